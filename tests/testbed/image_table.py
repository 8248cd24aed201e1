"""The images of our internet, under their upstream names, and what each is made of.

The forms differ on purpose, as they do out there: Docker schema 2 from registry.k8s.io, OCI manifests elsewhere, an index
with two platforms and an attestation for busybox, one path on two registries with different contents.
"""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.testbed.cache import TestBedError
from tests.testbed.oci_image import Build, Entry, Files, Image, Tree
from tests.testbed.part_table import FLANNEL, KUBERNETES, LOCAL_PATH
from tests.testbed.parts import Parts, module_file
from tests.testbed.rootfs import RootfsStore

HAPROXY = "3.0.11"  # what the base kubernetes names, and Debian trixie has
CORP = "registry.corp.example:8443"
_FILES = Path(__file__).parent / "image_files"
_SHOP = Path(__file__).parents[2] / "examples" / "shop"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_POSTGRES_BIN = "usr/lib/postgresql/15/bin"


def image_table(parts: Parts, rootfs: RootfsStore) -> tuple[Image, ...]:
    """Return every image. Raises TestBedError when kubeadm or flannel name one that nothing here makes."""
    table = _Table(parts, rootfs)
    images = (*table.kubernetes(), *table.flannel(), *table.busybox(), *table.servers(), *table.shop())
    missing = {*kubeadm_images(parts, "kubernetes", KUBERNETES), *_flannel_images()} - {image.reference for image in images}
    if missing:
        raise TestBedError(
            f"image_table.py makes nothing called {', '.join(sorted(missing))}; add it, or pin other versions"
        )
    return images


@dataclass(frozen=True)
class ControlPlane:
    """What the kubeadm of one version names, and the parts that it is made of."""

    version: str = KUBERNETES
    etcd: str = "3.6.8-0"
    pause: str = "3.10.2"
    coredns: str = "v1.14.2"
    kubernetes_part: str = "kubernetes"
    etcd_part: str = "etcd"
    coredns_part: str = "coredns"


def control_plane_images(parts: Parts, rootfs: RootfsStore, plane: ControlPlane) -> tuple[Image, ...]:
    """Return the images of another version's control plane. Raises TestBedError where its kubeadm names one that is none of them."""
    images = _Table(parts, rootfs).kubernetes(plane)
    missing = {*kubeadm_images(parts, plane.kubernetes_part, plane.version)} - {image.reference for image in images}
    if missing:
        raise TestBedError(f"image_table.py makes nothing called {', '.join(sorted(missing))}")
    return images


def company_images(parts: Parts, rootfs: RootfsStore) -> tuple[Image, ...]:
    """Return the images that only the company's own registry has: what there is to serve beside the real internet."""
    return _Table(parts, rootfs).shop()


@dataclass(frozen=True)
class _Table:
    parts: Parts
    rootfs: RootfsStore

    def kubernetes(self, plane: ControlPlane | None = None) -> tuple[Image, ...]:
        """The control plane, as ``kubeadm config images list`` names it."""
        plane = plane or ControlPlane()
        control_plane = tuple(
            self._program(f"registry.k8s.io/{name}:{plane.version}", plane.kubernetes_part, {name: f"usr/local/bin/{name}"})
            for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
        )
        etcd = {name: f"usr/local/bin/{name}" for name in ("etcdctl", "etcdutl")}
        return (
            *control_plane,
            self._on_iptables(
                f"registry.k8s.io/kube-proxy:{plane.version}",
                plane.kubernetes_part,
                {"kube-proxy": "usr/local/bin/kube-proxy"},
                docker=True,
            ),
            self._program(f"registry.k8s.io/etcd:{plane.etcd}", plane.etcd_part, {"server": "usr/local/bin/etcd", **etcd}),
            self._program(
                f"registry.k8s.io/pause:{plane.pause}", "pause", {"pause": "pause"}, user="65535:65535", index=True
            ),
            self._program(f"registry.k8s.io/coredns/coredns:{plane.coredns}", plane.coredns_part, {"coredns": "coredns"}),
        )

    def flannel(self) -> tuple[Image, ...]:
        """The network, as flannel's own manifest names it."""
        plugin = self._files("flannel-cni", {"flannel": "flannel"})
        programs = {"flannel": "opt/bin/flanneld", "install_conf": "opt/bin/install-conf"}
        return (
            self._on_iptables(f"ghcr.io/flannel-io/flannel:{FLANNEL}", "flannel", programs),
            Image(
                "ghcr.io/flannel-io/flannel-cni-plugin:v1.9.1-flannel3",
                (Build((self._busybox_layer("amd64", "flannel-cni-plugin"), plugin), {"Env": [_PATH]}),),
            ),
        )

    def busybox(self) -> tuple[Image, ...]:
        """busybox as an index of two platforms on docker.io; another one under the same path on quay.io."""
        config = {"Cmd": ["sh"], "Env": [_PATH]}

        def builds(origin: str) -> tuple[Build, ...]:
            return (
                Build((self._busybox_layer("amd64", origin),), config),
                Build((self._busybox_layer("arm64", origin),), config, architecture="arm64", variant="v8"),
            )

        hub = "docker.io/library/busybox"
        return (
            Image(f"{hub}:1.36", builds("docker.io"), attested=True),
            Image(f"{hub}:latest", builds("docker.io"), attested=True),
            Image(f"{hub}:1.36-glibc", builds("docker.io glibc"), attested=True),
            Image("quay.io/library/busybox:1.36", builds("quay.io")[:1]),
        )

    def servers(self) -> tuple[Image, ...]:
        """PostgreSQL, nginx, haproxy and the storage provisioner."""
        provisioner = self._files(
            "local-path-provisioner", {"local-path-provisioner": "usr/bin/local-path-provisioner"}
        )
        return (
            Image("docker.io/library/postgres:16", (self._postgres(),)),
            Image("docker.io/library/nginx:1.27", (self._nginx(),), index=True, attested=True),
            Image(f"docker.io/library/haproxy:{HAPROXY}", (self._haproxy(),), index=True, attested=True),
            Image(
                f"docker.io/rancher/local-path-provisioner:{LOCAL_PATH}",
                (Build((provisioner,), {"Env": [_PATH], "Entrypoint": ["/usr/bin/local-path-provisioner"]}),),
            ),
        )

    def shop(self) -> tuple[Image, ...]:
        """The example application's own images, behind a login; made as its Dockerfiles say."""
        api = {"Entrypoint": ["/shop-api"], "User": "65532:65532", "ExposedPorts": {"8080/tcp": {}}}
        web = self._nginx()
        page = Files(
            {
                "usr/share/nginx/html/index.html": Entry((_SHOP / "web" / "index.html").read_bytes()),
                "etc/nginx/conf.d/default.conf": Entry((_SHOP / "web" / "default.conf").read_bytes()),
            }
        )
        return (
            Image(
                f"{CORP}/shop/api:1.0.0", (Build((self._files("shop-api", {"shop-api": "shop-api"}),), api),)
            ),
            Image(f"{CORP}/shop/web:1.0.0", (Build((*web.layers, page), web.config),)),
        )

    def _files(self, part: str, programs: Mapping[str, str]) -> Files:
        out = self.parts.out(part)
        entries = {target: Entry(out / program, 0o755) for program, target in programs.items()}
        return Files(entries, made_by=f"{part} {self.parts.key(part)}")

    def _program(
        self, reference: str, part: str, programs: Mapping[str, str], *, user: str = "", index: bool = False
    ) -> Image:
        entrypoint = f"/{next(iter(programs.values()))}"
        config: dict[str, Any] = {"Entrypoint": [entrypoint], "Env": [_PATH], "WorkingDir": "/"}
        config |= {"User": user} if user else {}
        return Image(
            reference, (Build((self._files(part, programs),), config),), docker_types=True, index=index
        )

    def _on_iptables(
        self, reference: str, part: str, programs: Mapping[str, str], *, docker: bool = False
    ) -> Image:
        config = {"Entrypoint": [f"/{next(iter(programs.values()))}"], "Env": [_PATH]}
        layers = (self._tree("iptables"), self._files(part, programs))
        return Image(reference, (Build(layers, config),), docker_types=docker)

    def _tree(self, name: str) -> Tree:
        return Tree(self.rootfs.tarball(name), self.rootfs.key(name))

    def _busybox_layer(self, architecture: str, origin: str) -> Files:
        binary = _member(self.rootfs.tarball(f"busybox-{architecture}"), "busybox")
        applets = _applets(
            _member(self.rootfs.tarball("busybox-amd64"), "busybox"),
            self.rootfs.tarball("busybox-amd64").parent,
        )
        entries = {
            "bin/busybox": Entry(binary, 0o755),
            # What tells, in a pod, which registry it came from.
            "etc/busybox-origin": Entry(f"{origin}\n".encode()),
            "etc/passwd": Entry(
                b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n"
            ),
            "etc/group": Entry(b"root:x:0:\nnobody:x:65534:\n"),
            "tmp/.keep": Entry(b""),
        }
        return Files(entries, {f"bin/{applet}": "busybox" for applet in applets})

    def _postgres(self) -> Build:
        script = Entry((_FILES / "postgres-entrypoint.sh").read_bytes(), 0o755)
        # Empty indeed: initdb refuses a data directory with as much as a dot file in it.
        entrypoint = Files(
            {"usr/local/bin/docker-entrypoint.sh": script},
            directories=("docker-entrypoint-initdb.d", "var/lib/postgresql/data"),
        )
        config = {
            "Entrypoint": ["docker-entrypoint.sh"],
            "Cmd": ["postgres"],
            "Env": [
                f"{_PATH}:/{_POSTGRES_BIN}",
                "PGDATA=/var/lib/postgresql/data",
                "LANG=C.UTF-8",
                "PG_MAJOR=16",
            ],
            "ExposedPorts": {"5432/tcp": {}},
            "StopSignal": "SIGINT",
            "Volumes": {"/var/lib/postgresql/data": {}},
        }
        return Build((self._tree("postgres"), entrypoint), config)

    def _haproxy(self) -> Build:
        # The official image has its program here, and haproxy as user 99.
        link = Files({}, {"usr/local/sbin/haproxy": "/usr/sbin/haproxy"})
        config = {
            "Entrypoint": ["haproxy"],
            "Cmd": ["-f", "/usr/local/etc/haproxy/haproxy.cfg"],
            "Env": [_PATH],
            "StopSignal": "SIGUSR1",
            "User": "99",
        }
        return Build((self._tree("haproxy"), link), config)

    def _nginx(self) -> Build:
        settings = Files(
            {
                "etc/nginx/nginx.conf": Entry((_FILES / "nginx.conf").read_bytes()),
                "etc/nginx/conf.d/default.conf": Entry((_FILES / "nginx-default.conf").read_bytes()),
                "usr/share/nginx/html/index.html": Entry(b"<h1>Welcome to nginx!</h1>\n"),
            }
        )
        config = {
            "Cmd": ["nginx", "-g", "daemon off;"],
            "Env": [_PATH],
            "ExposedPorts": {"80/tcp": {}},
            "StopSignal": "SIGQUIT",
        }
        return Build((self._tree("nginx"), settings), config)


def kubeadm_images(parts: Parts, part: str, version: str) -> list[str]:
    """Return the references that the kubeadm of ``part`` names for a version of Kubernetes."""
    command = [str(parts.out(part) / "kubeadm"), "config", "images", "list", "--kubernetes-version", version]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def _flannel_images() -> list[str]:
    manifest = module_file(
        "github.com/flannel-io/flannel", FLANNEL, "Documentation/kube-flannel.yml"
    ).decode()
    return [line.split()[-1] for line in manifest.splitlines() if line.strip().startswith("image:")]


def _member(tarball: Path, name: str) -> bytes:
    """Return the one file of that name in any directory of a tarball (/bin or /usr/bin: releases differ)."""
    with tarfile.open(tarball) as tar:
        for member in tar:
            if member.isfile() and Path(member.name).name == name and Path(member.name).parent.name == "bin":
                file = tar.extractfile(member)
                if file is not None:
                    return file.read()
    raise TestBedError(f"{tarball} holds no program {name}; delete its directory and run again")


def _applets(binary: bytes, directory: Path) -> list[str]:
    program = directory / "busybox"
    if not program.exists():
        program.write_bytes(binary)
        program.chmod(0o755)
    names = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    return [name for name in names if name != "busybox"]
