"""The parts: every program of a cluster and of the internet around it, by Go module and pinned version.

Package registries are the only source there is everywhere, so each part is built from the real project's own module.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.testbed.cri_client import SOURCE as CRI_SOURCE
from tests.testbed.cri_client import VERSION as CRI_API
from tests.testbed.tencent_stub import GO_MOD as TENCENT_GO_MOD
from tests.testbed.tencent_stub import SOURCE as TENCENT_SOURCE

KUBERNETES = "v1.36.3"
ETCD = "v3.6.8"
CONTAINERD = "v2.3.7"
RUNC = "v1.3.0"
CNI_PLUGINS = "v1.9.1"
FLANNEL = "v0.28.10"
COREDNS = "v1.14.2"
HELM = "v3.22.0"
LOCAL_PATH = "v0.0.30"
CONFORMANCE = "v0.0.0-20260831232431-97274622c111"

_STATIC = "-extldflags -static"
_CONTAINERD = "github.com/containerd/containerd/v2"
_CNI = "github.com/containernetworking/plugins"
_TENCENT = "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud"


@dataclass(frozen=True)
class GoPart:
    """Some commands of one Go module; ``packages`` are relative to the module, or whole import paths.

    A path below ``build/`` is a command of our own among ``files``: there the module is only what it is made with.
    """

    name: str
    module: str
    version: str
    packages: tuple[str, ...] = ("",)
    ldflags: str = ""
    tags: str = ""
    cgo: bool = False
    requires: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    staging: bool = False
    """Whether the module's ``k8s.io/… v0.0.0`` requirements are replaced by the published staging modules."""
    tolerant: bool = False
    """Whether ``go mod tidy`` may leave imports of other platforms unresolved."""

    @property
    def import_paths(self) -> tuple[str, ...]:
        return tuple(
            package if "." in package.split("/")[0] or package.startswith("build/") else f"{self.module}/{package}".rstrip("/")
            for package in self.packages
        )


def _kubernetes_version(version: str) -> str:
    major, minor, _ = version.removeprefix("v").split(".")
    values = {
        "gitVersion": version,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "gitCommit": "0" * 40,
        "buildDate": "2026-01-01T00:00:00Z",
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(f"-X {package}.{name}={value}" for package in packages for name, value in values.items())


def kubernetes_part(version: str, name: str = "kubernetes") -> GoPart:
    """Return the programs of one version of Kubernetes."""
    programs = ("kubeadm", "kubelet", "kubectl", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
    return GoPart(name, "k8s.io/kubernetes", version, tuple(f"cmd/{program}" for program in programs), ldflags=_kubernetes_version(version), staging=True)


def etcd_part(version: str, name: str = "etcd") -> GoPart:
    """Return the programs of one version of etcd."""
    return GoPart(name, "go.etcd.io/etcd/v3", version, ("go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/etcdctl/v3", "go.etcd.io/etcd/etcdutl/v3"))


def coredns_part(version: str, name: str = "coredns") -> GoPart:
    """Return one version of CoreDNS."""
    return GoPart(name, "github.com/coredns/coredns", version)


GO_PARTS: tuple[GoPart, ...] = (
    kubernetes_part(KUBERNETES),
    GoPart(
        "containerd",
        _CONTAINERD,
        CONTAINERD,
        ("cmd/containerd", "cmd/ctr", "cmd/containerd-shim-runc-v2"),
        ldflags=f"-X {_CONTAINERD}/version.Version={CONTAINERD}",
    ),
    # Without seccomp every sandbox fails with "seccomp not supported"; static, for hosts with an older libc.
    GoPart(
        "runc",
        "github.com/opencontainers/runc",
        RUNC,
        ldflags=f"{_STATIC} -X main.version={RUNC.removeprefix('v')}",
        tags="seccomp netgo osusergo",
        cgo=True,
    ),
    etcd_part(ETCD),
    coredns_part(COREDNS),
    GoPart(
        "cni",
        _CNI,
        CNI_PLUGINS,
        (
            "plugins/main/bridge", "plugins/main/loopback", "plugins/main/host-device", "plugins/main/ptp",
            "plugins/meta/portmap", "plugins/meta/bandwidth", "plugins/meta/firewall", "plugins/meta/tuning",
            "plugins/ipam/host-local", "plugins/ipam/static",
        ),
        ldflags=f"-X {_CNI}/pkg/utils/buildversion.BuildVersion={CNI_PLUGINS}",
    ),
    # flannel's own CNI plugin is in no registry; this is its ancestor. Its source takes a newer CNI library as it is,
    # and with it speaks the cniVersion 1.0.0 that flannel's manifest asks for. Its Windows half does not, hence tolerant.
    GoPart(
        "flannel-cni",
        _CNI,
        "v0.9.1",
        ("plugins/meta/flannel",),
        requires=("github.com/containernetworking/cni v1.3.0",),
        tolerant=True,
    ),
    # One dependency of flannel is in no registry: the types of a cloud SDK whose backend never runs here.
    GoPart(
        "flannel",
        "github.com/flannel-io/flannel",
        FLANNEL,
        ("", "cmd/install_conf"),
        ldflags=_STATIC,
        cgo=True,
        replaces=(f"{_TENCENT}/vpc => ./vpc", f"{_TENCENT}/common => {_TENCENT}/common v1.3.210"),
        files={"vpc/go.mod": TENCENT_GO_MOD, "vpc/v20170312/vpc.go": TENCENT_SOURCE},
    ),
    GoPart(
        "helm",
        "helm.sh/helm/v3",
        HELM,
        ("cmd/helm",),
        ldflags=f"-X helm.sh/helm/v3/internal/version.version={HELM}",
    ),
    GoPart("crane", "github.com/google/go-containerregistry", "v0.22.1", ("cmd/crane",)),
    GoPart("cri", "k8s.io/cri-api", CRI_API, ("build/cri",), files={"cri/main.go": CRI_SOURCE}),
    GoPart("registry", "github.com/distribution/distribution/v3", "v3.1.2", ("cmd/registry",)),
    GoPart("local-path-provisioner", "github.com/rancher/local-path-provisioner", LOCAL_PATH),
    # The official suite that a registry is measured by.
    GoPart(
        "conformance",
        "github.com/opencontainers/distribution-spec/conformance",
        CONFORMANCE,
        ldflags=f"-X main.Version={CONFORMANCE}",
    ),
)  # fmt: skip

PAUSE_SOURCE = """\
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static void stop(int s) { (void)s; exit(0); }
static void reap(int s) { (void)s; while (waitpid(-1, 0, WNOHANG) > 0) ; }
int main(void) { signal(SIGINT, stop); signal(SIGTERM, stop); signal(SIGCHLD, reap); for (;;) pause(); }
"""
