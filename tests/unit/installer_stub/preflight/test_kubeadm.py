"""kubeadm's own preflight: whatever it refuses we refuse before anything changed, or say why it cannot come to that.

Names: cmd/kubeadm/app/preflight/checks.go of v1.36, for the configuration that ``distro.kubeadm_config`` writes.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.distro.kubeadm_config import init_configuration, node_registration
from installer_stub.facts.kernel import Cgroups, CgroupVersion
from installer_stub.facts.leftovers import Leftover
from installer_stub.preflight.checks import check_all
from installer_stub.preflight.finding import Severity
from tests.fakes.plans import make_plan, masters
from tests.unit.installer_stub.facts.recordings import facts
from tests.unit.installer_stub.preflight.sites import BUNDLE, site

TOOLS = facts("rhel-9").tools


def lies_at(path: str) -> dict[str, Any]:
    return {"leftovers": (Leftover(path, 4096, 1_700_000_000, mount_point=False),)}


def in_use(port: int) -> dict[str, Any]:
    return {"listening": frozenset({port})}


# What makes kubeadm fail on the first master, as facts: a fatal finding of ours has to come of each.
REFUSED: dict[str, dict[str, Any]] = {
    "NumCPU": {"cpus": 1},
    "Mem": {"memory": 1700 * 2**20 - 1},
    "Port-6443": in_use(6443),
    "Port-10259": in_use(10259),
    "Port-10257": in_use(10257),
    "Port-10250": in_use(10250),
    "Port-2379": in_use(2379),
    "Port-2380": in_use(2380),
    "FileAvailable--etc-kubernetes-manifests-kube-apiserver.yaml": lies_at("/etc/kubernetes"),
    "FileAvailable--etc-kubernetes-manifests-kube-controller-manager.yaml": lies_at("/etc/kubernetes"),
    "FileAvailable--etc-kubernetes-manifests-kube-scheduler.yaml": lies_at("/etc/kubernetes"),
    "FileAvailable--etc-kubernetes-manifests-etcd.yaml": lies_at("/etc/kubernetes"),
    "FileAvailable--etc-kubernetes-kubelet.conf": lies_at("/etc/kubernetes"),
    "FileAvailable--etc-kubernetes-bootstrap-kubelet.conf": lies_at("/etc/kubernetes"),
    "FileAvailable--etc-kubernetes-pki-ca.crt": lies_at("/etc/kubernetes"),
    "DirAvailable--var-lib-etcd": lies_at("/var/lib/etcd"),
    "FileExisting-conntrack": {"tools": TOOLS - {"conntrack"}},
    "FileExisting-losetup": {"tools": TOOLS - {"losetup"}},
    "FileExisting-mount": {"tools": TOOLS - {"mount"}},
    "Hostname": {"hostname": "not_a_name"},
    "SystemVerification": {"cgroups": Cgroups(CgroupVersion.V2, frozenset({"cpu", "cpuset", "pids"}))},
}
# What it cannot refuse on a host of ours, or only warns about.
EXCUSED: dict[str, str] = {
    "IsPrivilegedUser": "every command of ours runs as root: host.become proves it first",
    "KubernetesVersion": "the version is the bundle's and the kubeadm in it is that version",
    "KubeletVersion": "kubelet comes out of the same bundle",
    "CRI": "containerd is ours, and runs before kubeadm does",
    "ContainerRuntimeVersion": "a warning",
    "Firewalld": "a warning; ours is preflight.network.firewalls",
    "HTTPProxy": "a warning; and kubeadm runs in a clean environment",
    "HTTPProxyCIDR": "a warning; and kubeadm runs in a clean environment",
    "Service-kubelet": "a warning; the unit is ours",
    "Swap": "ignored in node_registration: kubelet is told to accept swap, and preflight warns",
    "FileExisting-cp": "coreutils, like sha256sum, which preflight asks for",
    "FileContent--proc-sys-net-ipv4-ip_forward": "PrepareHosts sets it",
    "FileContent--proc-sys-net-ipv6-conf-default-forwarding": "hosts are reached by IPv4 addresses so far",
    "ExternalEtcdVersion": "etcd is stacked",
    "ExternalEtcdClientCertificates": "etcd is stacked",
    "ImagePull": "from the site registry, which serves exactly what was recorded; it was started and asked before",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_kubeadm_refuses_is_a_fatal_finding(name: str) -> None:
    checked = site(nodes=0, **REFUSED[name])
    if name == "FileExisting-conntrack":  # asked for before 1.32 only, by kubeadm and by us
        checked = replace(checked, bundle=replace(BUNDLE, kubernetes="v1.31.2"))
    assert [one for one in check_all(checked) if one.severity is Severity.FATAL]
    assert not [one for one in check_all(site(nodes=0)) if one.severity is Severity.FATAL]


def test_what_is_ignored_is_what_is_excused_here() -> None:
    plan = make_plan(*masters("10.0.0.2", cgroup_v1=True))
    ignored = set(node_registration(plan, plan.masters[0])["ignorePreflightErrors"])
    # SystemVerification also refuses cgroup v1, which kubelet is told to accept; br_netfilter is not among 1.36's checks.
    assert ignored - {"FileContent--proc-sys-net-bridge-bridge-nf-call-iptables"} == {"Swap", "SystemVerification"}
    assert init_configuration(plan, plan.masters[0], None)["nodeRegistration"] == node_registration(plan, plan.masters[0])
    assert {path for path, _ in KUBEADM.own_directories} >= {"/etc/kubernetes", "/var/lib/etcd"}


def source() -> Path:
    found = sorted(Path.home().glob("go/pkg/mod/k8s.io/kubernetes@v1.3*/cmd/kubeadm/app/preflight/checks.go"))
    if not found:
        pytest.skip("kubeadm's source is not on this machine: the test bed compiles it")
    return found[-1]


def test_kubeadms_source_has_no_other_checks() -> None:
    text = source().read_text()
    named = re.findall(r"\) Name\(\) string \{(.*?)\n\}", text, re.DOTALL)
    kinds = {name.removesuffix("%s").removesuffix("%d") for body in named for name in re.findall(r'"([A-Z][A-Za-z]+(?:-%[sd])?)"', body)}
    assert {"NumCPU", "Mem", "Port-", "DirAvailable-"} <= kinds
    ours = REFUSED.keys() | EXCUSED.keys()
    unknown = {kind for kind in kinds if not any(name == kind or (kind.endswith("-") and name.startswith(kind)) for name in ours)}
    assert unknown == set()
    labels = set(re.findall(r'Label: +"(\w+)"', text))
    assert labels <= ours


def test_kubeadms_thresholds_are_ours() -> None:
    constants = (source().parents[1] / "constants" / "constants.go").read_text()
    assert re.search(r"^\tControlPlaneNumCPU = 2$", constants, re.MULTILINE)
    assert re.search(r"^\tControlPlaneMem = 1700$", constants, re.MULTILINE)


def test_kubeadms_ports_and_programs_are_among_ours() -> None:
    text = source().read_text() + source().with_name("checks_linux.go").read_text() + source().with_name("checks_unix.go").read_text()
    programs = set(re.findall(r'InPathCheck\{executable: "(\w+)", mandatory: true', text))
    assert {f"FileExisting-{name}" for name in programs} <= REFUSED.keys() | EXCUSED.keys()
    constants = (source().parents[1] / "constants" / "constants.go").read_text()
    for name in re.findall(r"PortOpenCheck\{port: kubeadmconstants\.(\w+)\}", text):
        (port,) = re.findall(rf"^\t{name} = (\d+)$", constants, re.MULTILINE)
        assert f"Port-{port}" in REFUSED
