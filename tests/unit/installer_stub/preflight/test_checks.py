"""Every check, on the host that makes it speak; and silence on a host where nothing is wrong."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from installer_stub.bundle.model import BALANCER_LABEL
from installer_stub.errors import PreflightFailed
from installer_stub.facts.base import Fact, Unknown
from installer_stub.facts.gather import ALL_FACTS, parse
from installer_stub.facts.kernel import Cgroups, CgroupVersion, Selinux
from installer_stub.facts.network import Firewalls, ResolvConf, Routes
from installer_stub.facts.resources import Mount
from installer_stub.facts.software import Membership
from installer_stub.host.model import Host, Role
from installer_stub.plan.decide import host_plan
from installer_stub.preflight.checks import ALL_CHECKS, check_all, require
from installer_stub.preflight.finding import Finding, Severity, Site
from tests.unit.installer_stub.facts.recordings import CLOCK, answers, facts, stdout
from tests.unit.installer_stub.preflight.sites import BUNDLE, GIB, disks, site, with_facts

FATAL, WARNING, NOTE = Severity.FATAL, Severity.WARNING, Severity.NOTE
HARMLESS_NOTES = ("inotify", "SELinux")  # the good host is a RHEL with its defaults


def findings(checked: Site) -> list[Finding]:
    return [one for one in check_all(checked) if not (one.severity is NOTE and any(word in one.problem for word in HARMLESS_NOTES))]


@pytest.mark.parametrize(("masters", "nodes"), [(1, 0), (1, 2), (3, 3), (5, 0)])
def test_nothing_to_find(masters: int, nodes: int) -> None:
    assert findings(site(masters, nodes)) == []


NOEXEC = (Mount("/", "xfs", frozenset({"rw"})), Mount("/var", "xfs", frozenset({"rw", "noexec"})))
V1 = Cgroups(CgroupVersion.V1, frozenset({"cpu", "cpuset", "memory", "pids"}))
NO_MEMORY = Cgroups(CgroupVersion.V2, frozenset({"cpu", "cpuset", "pids"}))
LOOPBACK = (ResolvConf("/etc/resolv.conf", ("127.0.0.53",)),)
RHEL_TOOLS = facts("rhel-9").tools


@pytest.mark.parametrize(
    ("field", "value", "severity", "problem"),
    [
        ("architecture", "arm64", FATAL, "its processor is arm64; this bundle is for linux/amd64"),
        ("glibc", "2.17", FATAL, "it has glibc 2.17, and the installer in this file starts on glibc 2.28 or newer"),
        ("glibc", "musl", FATAL, "it has musl, and the installer in this file starts on glibc 2.28 or newer"),
        ("kernel", "2.6.32-754.el6.x86_64", FATAL, "it has Linux 2.6.32-754.el6.x86_64, and the installer in this file runs on 3.10 or newer"),
        ("systemd", "", FATAL, "systemd does not run"),
        ("hostname", "localhost", FATAL, "no name of its own"),
        ("hostname", "my_host", FATAL, "cannot be a node's name"),
        ("hostname", "a" * 64, FATAL, "cannot be a node's name"),
        ("hostname", "HOST2", FATAL, "have the same hostname 'host2'"),
        ("machine_id", f"{2:032x}", WARNING, "have the same machine-id"),
        ("clock_offset", 40.0, FATAL, "its clock is 40 s ahead of the others"),
        ("clock_offset", -86400.0, FATAL, "its clock is 86400 s behind"),
        ("addresses", ("192.168.1.5",), FATAL, "does not have this address itself"),
        ("cpus", 1, FATAL, "one CPU: kubeadm refuses it"),
        ("memory", 1700 * 2**20 - 1, FATAL, "kubeadm refuses a master with less than 1.7 GiB"),
        ("memory", GIB, FATAL, "1.0 GiB of memory, kubeadm refuses a master with less than 1.7 GiB"),
        ("disks", disks(5 * GIB), FATAL, r"5.0 GiB free on /; the installation takes 5.6 GiB"),
        ("disks", disks(50 * GIB, var=4 * GIB), FATAL, "4.0 GiB free on /var; the installation takes 5.0 GiB"),
        ("mounts", NOEXEC, FATAL, "/var/lib/containerd is on a file system mounted noexec"),
        ("swap", True, WARNING, "swap is on"),
        ("cgroups", V1, NOTE, "cgroup v1"),
        ("cgroups", NO_MEMORY, FATAL, "does not offer the cgroup controller memory"),
        ("tools", RHEL_TOOLS - {"tar", "losetup"}, FATAL, "missing programs: losetup, tar"),
        ("tools", RHEL_TOOLS - {"iptables", "nft"}, WARNING, "neither iptables nor nft"),
        ("listening", frozenset({22, 6443}), FATAL, "port 6443 is in use"),
        ("listening", frozenset({10250, 2379}), FATAL, "ports 2379, 10250 are in use"),
        ("firewalls", Firewalls(firewalld=True, ufw=False), WARNING, "firewalld is active, and stays so"),
        ("firewalls", Firewalls(firewalld=False, ufw=True), WARNING, "ufw is active, and stays so"),
        ("addresses", ("10.0.0.1", "10.244.3.1"), FATAL, "the pod network 10.244.0.0/16 overlaps its own 10.244.3.1"),
        ("routes", Routes((IPv4Network("10.96.0.0/24"),), default=True), FATAL, "service network 10.96.0.0/12 overlaps its own 10.96.0.0/24"),
        ("resolv_confs", LOOPBACK, NOTE, "only the loopback nameserver 127.0.0.53"),
        ("resolv_confs", (), NOTE, "no nameserver"),
        ("default_route", False, NOTE, "no default route"),
        ("conntrack_writable", False, NOTE, "nf_conntrack_max cannot be set"),
        ("sys_resource", False, NOTE, "CAP_SYS_RESOURCE"),
        ("engines", ("dockerd",), FATAL, "dockerd already runs there"),
    ],
)
def test_one_thing_wrong_with_the_first_master(field: str, value: object, severity: Severity, problem: str) -> None:
    found = findings(site(**{field: value}))
    assert [one for one in found if problem in one.problem and one.severity is severity], found
    assert {one.severity for one in found} == {severity}
    for one in found:
        assert one.remedy or one.severity is NOTE
        assert one.host in {"10.0.0.1", "10.0.0.2", ""}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cpus", 1),
        ("memory", GIB),
        ("disks", disks(5 * GIB)),  # no artifact on a node
        ("listening", frozenset({6443, 2379, 5443})),
    ],
)
def test_what_is_wrong_with_a_master_need_not_be_with_a_node(field: str, value: object) -> None:
    assert findings(with_facts(site(), "10.0.0.2", **{field: value})) == []


@pytest.mark.parametrize("port", [6443, 6444])
def test_where_a_node_has_a_balancer_its_ports_must_be_free_too(port: int) -> None:
    balanced = replace(site(), bundle=replace(site().bundle, labels={BALANCER_LABEL: "docker.io/library/haproxy:3.0.11"}))
    (found,) = findings(with_facts(balanced, "10.0.0.2", listening=frozenset({port})))
    assert f"port {port} is in use" in found.problem


@pytest.mark.parametrize("fact", [{"cpus": 1}, {"memory": GIB}])
def test_a_master_that_kubeadm_has_taken_once_is_only_warned_about(fact: dict[str, object]) -> None:
    member = Membership("c1", "shop:1.4.0", joined=True, server="https://api.airseal.internal:6443")
    (found,) = findings(site(1, 0, membership=member, **fact))
    assert found.severity is WARNING


def test_what_kubeadm_takes_is_taken() -> None:
    assert findings(site(cpus=2, memory=1700 * 2**20)) == []


BIN = frozenset({"/usr/local/bin/kubectl", "/usr/local/bin/helm", "/opt/cni/bin/bridge"})


def test_names_that_others_hold_are_found_on_all_hosts_at_once() -> None:
    taken = with_facts(site(names_taken=frozenset({"/usr/local/bin/kubectl", "/usr/local/bin/mine"})), "10.0.0.2", names_taken=BIN)
    first, second = findings(replace(taken, links=BIN))
    assert (first.severity, first.host) == (second.severity, "10.0.0.1") == (FATAL, "10.0.0.1")
    assert first.problem == "this name is taken by files that are not ours: /usr/local/bin/kubectl"
    assert "/opt/cni/bin/bridge, /usr/local/bin/helm, /usr/local/bin/kubectl" in second.problem
    assert "mv /usr/local/bin/helm /usr/local/bin/helm.before-airseal" in second.remedy
    assert findings(taken) == []  # a bundle without such programs


def test_what_a_host_did_not_tell_is_said_once_for_each_reason() -> None:
    hung = tuple(Unknown(name, "the host hung at 'disks'", name, needed) for name, needed in (("disks", True), ("leftovers", True), ("swaps", False)))
    found = findings(site(unknown=(*hung, Unknown("os-release", "the answer makes no sense: 'x'", "which Linux it is", needed=False))))
    assert [one.severity for one in found] == [FATAL, WARNING, WARNING]
    assert found[0].problem == "it could not be found out disks (disks), leftovers (leftovers): the host hung at 'disks'"
    assert all(one.remedy for one in found)


@pytest.mark.parametrize("fact", [fact for fact in ALL_FACTS if fact.otherwise is not None], ids=lambda fact: fact.name)
def test_a_fact_that_is_unknown_is_the_only_finding(fact: Fact[object]) -> None:
    """Its stand-in makes no other check speak, and lets no plan be bold."""
    told = answers("rhel-9")
    del told[fact.name]
    host = parse(stdout(told), asked=CLOCK - 0.5, answered=CLOCK + 0.5)
    (unknown,) = host.unknown
    assert (unknown.name, unknown.why) == (fact.name, "it was not answered")
    whole, part = (
        [one for one in check_all(Site((HOST,), {HOST.address: each}, BUNDLE, "10.244.0.0/16", "10.96.0.0/12")) if one.severity is not NOTE]
        for each in (facts("rhel-9"), host)
    )
    further = [one for one in part if one not in whole]
    assert [one.severity for one in further] == [FATAL if unknown.needed else WARNING]
    assert unknown.meaning in further[0].problem
    host_plan(HOST, host)


HOST = Host("10.20.0.11", Role.MASTER)


def test_settings_that_we_make_are_told() -> None:
    problems = [one.problem for one in check_all(site(nodes=0)) if one.severity is NOTE]
    assert problems == ["fs.inotify.max_user_instances is 128: it will be raised", "SELinux is enforcing, and stays so"]
    quiet = site(nodes=0, selinux=Selinux.DISABLED, sysctls={"fs.inotify.max_user_instances": 8192})
    assert check_all(quiet) == ()


@pytest.mark.parametrize(
    ("masters", "severity", "problem"),
    [(0, FATAL, "no master"), (2, WARNING, "when either fails"), (4, WARNING, "no more failures than 3")],
)
def test_how_many_masters(masters: int, severity: Severity, problem: str) -> None:
    (found,) = findings(site(masters))
    assert found.severity is severity
    assert problem in found.problem


def test_old_kubernetes_needs_conntrack() -> None:
    old = replace(site(tools=RHEL_TOOLS - {"conntrack"}), bundle=replace(BUNDLE, kubernetes="v1.31.2"))
    assert "missing programs: conntrack" in " ".join(one.problem for one in findings(old))


def test_a_host_named_twice() -> None:
    base = site(1, 1)
    twice = replace(base, hosts=(*base.hosts, Host("10.0.0.1", Role.NODE)))
    (found,) = findings(twice)
    assert (found.severity, found.host, found.problem) == (FATAL, "10.0.0.1", "this host is named twice")


def test_a_host_named_by_two_of_its_addresses() -> None:
    base = site(1, 1)
    same = {"hostname": "host1", "machine_id": "1", "addresses": ("10.0.0.1", "10.0.0.2")}
    both = with_facts(with_facts(base, "10.0.0.1", **same), "10.0.0.2", **same)
    assert "10.0.0.2: this is the same host as 10.0.0.1" in [str(one).splitlines()[0] for one in findings(both)]


def test_a_name_instead_of_an_address() -> None:
    base = site(0, 0)
    named = replace(base, hosts=(Host("db.corp", Role.MASTER),), facts={"db.corp": site().facts["10.0.0.1"]})
    (found,) = findings(named)
    assert found.severity is FATAL
    assert "its own addresses are 10.0.0.1" in found.problem


def test_a_node_behind_nat_is_only_warned_about() -> None:
    (found,) = findings(with_facts(site(), "10.0.0.2", addresses=("192.168.0.9",)))
    assert found.severity is WARNING


def test_the_operators_own_clock() -> None:
    base = site(1, 1, clock_offset=7200.0)
    (found,) = findings(with_facts(base, "10.0.0.2", clock_offset=7201.0))
    assert (found.severity, found.host) == (WARNING, "")
    assert "differ from this machine's by 7200 s" in found.problem


def test_overlapping_networks() -> None:
    (found,) = findings(replace(site(), pod_cidr="10.96.0.0/16"))
    assert "overlap" in found.problem


class TestWhoseHosts:
    OURS = Membership("c1", "shop:1.4.0", joined=True, server="https://api.airseal.internal:6443")

    def test_a_finished_cluster_of_ours_goes_through(self) -> None:
        busy = {"membership": self.OURS, "engines": ("containerd", "kubelet"), "listening": frozenset({6443, 10250, 5443})}
        ours = with_facts(site(1, 1, **busy, addresses=("10.0.0.1", "10.244.0.1")), "10.0.0.2", **busy)
        assert findings(ours) == []

    def test_one_that_was_begun_goes_on(self) -> None:
        begun = Membership("c1", "shop:1.4.0", joined=False, server="")
        assert findings(site(1, 1, membership=begun)) == []

    @pytest.mark.parametrize(
        ("first", "second", "host", "problem"),
        [
            (None, Membership("", "", joined=True, server="https://10.9.9.9:6443"), "10.0.0.2", "cluster of https://10.9.9.9:6443 that this tool did not make"),
            (OURS, Membership("", "", joined=True, server=""), "10.0.0.2", "cluster that this tool did not make"),
        ],
    )
    def test_hosts_of_others_are_never_taken(self, first: Membership | None, second: Membership | None, host: str, problem: str) -> None:
        checked = site(1, 1)
        for address, member in (("10.0.0.1", first), ("10.0.0.2", second)):
            if member is not None:
                checked = with_facts(checked, address, membership=member)
        (found,) = findings(checked)
        assert (found.severity, found.host) == (FATAL, host)
        assert problem in found.problem
        assert found.remedy

    @pytest.mark.parametrize("joined", [True, False])
    def test_one_whose_reset_was_cut_is_finished_first(self, *, joined: bool) -> None:
        leaving = Membership("c1", "shop:1.4.0", joined=joined, server="", leaving=True)
        (found,) = findings(with_facts(site(1, 1), "10.0.0.2", membership=leaving))
        assert (found.severity, found.host) == (FATAL, "10.0.0.2")
        assert "reset" in found.remedy

    def test_little_room_on_a_host_that_is_installed_already_is_only_a_warning(self) -> None:
        (found,) = findings(site(1, 0, membership=self.OURS, disks=disks(GIB // 2)))
        assert found.severity is WARNING


class TestOneStop:
    def test_everything_that_is_wrong_at_once_worst_first(self) -> None:
        bad = with_facts(site(2, 0, systemd="", swap=True), "10.0.0.2", architecture="arm64", swap=True)
        found = check_all(bad)
        assert [one.severity for one in found] == sorted((one.severity for one in found), key=list(Severity).index)
        with pytest.raises(PreflightFailed) as caught:
            require(found)
        text = str(caught.value)
        assert text.startswith("2 findings forbid the installation; no host was changed:")
        assert "10.0.0.1: systemd does not run there\n      what to do: " in text
        assert "10.0.0.2: its processor is arm64" in text
        assert "swap" not in text
        assert caught.value.exit_code == 5

    def test_warnings_forbid_nothing(self) -> None:
        require(check_all(site(2, 0, swap=True)))

    @pytest.mark.parametrize("name", ["debian-12-blank-host", "ubuntu-22.04", "rhel-9", "debian-12-no-init"])
    def test_all_checks_take_every_recorded_host(self, name: str) -> None:
        host = Host("10.0.0.1", Role.MASTER)
        for check in ALL_CHECKS:
            list(check(Site((host,), {"10.0.0.1": facts(name)}, BUNDLE, "10.244.0.0/16", "10.96.0.0/12")))

    def test_a_blank_host_of_the_test_bed_has_only_notes(self) -> None:
        host = Host("10.78.1.11", Role.MASTER)
        found = check_all(Site((host,), {host.address: replace(facts("debian-12-blank-host"), clock_offset=0.0)}, BUNDLE, "10.244.0.0/16", "10.96.0.0/12", GIB))
        assert {one.severity for one in found} == {NOTE}
