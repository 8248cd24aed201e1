"""The download sites: release files at their official paths, each with the kind of checksum file its publisher gives."""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.testbed.cache import TestBedError, build_once, file_sha256, key_of
from tests.testbed.oci_image import tar_member
from tests.testbed.part_table import CNI_PLUGINS, CONTAINERD, FLANNEL, HELM, KUBERNETES, RUNC
from tests.testbed.parts import Parts, module_file

# As the real sites do, two of these answer with a redirect to another host (see internet.py, NGINX_CONFIG).
KUBERNETES_FILES = "cdn.dl.k8s.io/release"
GITHUB_FILES = "release-assets.githubusercontent.com"
_LAYOUT = 1  # to be raised when this module writes something else
SITES = ("dl.k8s.io", "github.com", "get.helm.sh", "deb.debian.org", "snapshot.debian.org")


@dataclass(frozen=True)
class BusyboxPackage:
    """Debian's own package with a static busybox."""

    pool: str
    name: str


def build_releases(parts: Parts, downloads: Path, target: Path) -> bool:
    """Fill ``target`` with every site's files; return False if they were there already."""
    package = _busybox_package(downloads)
    used = ("kubernetes", "containerd", "runc", "cni", "helm")
    key = key_of(package, _LAYOUT, *(parts.key(part) for part in used))
    return build_once(target, key, lambda directory: _Sites(parts, directory).write(downloads, package))


@dataclass(frozen=True)
class _Sites:
    parts: Parts
    root: Path

    def write(self, downloads: Path, package: BusyboxPackage) -> None:
        self._kubernetes()
        self._containerd()
        self._runc()
        self._cni()
        self._helm()
        self._flannel()
        target = self.root / "deb.debian.org" / "debian" / package.pool / package.name
        target.parent.mkdir(parents=True)
        shutil.copyfile(downloads / package.name, target)

    def _kubernetes(self) -> None:
        write_kubernetes(self.parts.out("kubernetes"), self.root, KUBERNETES)

    def _containerd(self) -> None:
        out, number = self.parts.out("containerd"), CONTAINERD.removeprefix("v")
        archive = (
            self._github("containerd/containerd", CONTAINERD) / f"containerd-{number}-linux-amd64.tar.gz"
        )
        _archive(archive, {f"bin/{program.name}": program for program in out.iterdir()})
        _checksum(archive, ".sha256sum")

    def _runc(self) -> None:
        directory = self._github("opencontainers/runc", RUNC)
        shutil.copyfile(self.parts.out("runc") / "runc", directory / "runc.amd64")
        (directory / "runc.sha256sum").write_text(f"{file_sha256(directory / 'runc.amd64')}  runc.amd64\n")

    def _cni(self) -> None:
        archive = (
            self._github("containernetworking/plugins", CNI_PLUGINS)
            / f"cni-plugins-linux-amd64-{CNI_PLUGINS}.tgz"
        )
        _archive(archive, {f"./{program.name}": program for program in self.parts.out("cni").iterdir()})
        _checksum(archive, ".sha256")

    def _helm(self) -> None:
        archive = self.root / "get.helm.sh" / f"helm-{HELM}-linux-amd64.tar.gz"
        archive.parent.mkdir(parents=True)
        _archive(archive, {"linux-amd64/helm": self.parts.out("helm") / "helm"})
        _checksum(archive, ".sha256sum")
        (archive.parent / f"{archive.name}.sha256").write_text(file_sha256(archive))

    def _flannel(self) -> None:
        manifest = module_file("github.com/flannel-io/flannel", FLANNEL, "Documentation/kube-flannel.yml")
        (self._github("flannel-io/flannel", FLANNEL) / "kube-flannel.yml").write_bytes(manifest)

    def _github(self, repository: str, version: str) -> Path:
        directory = self.root / GITHUB_FILES / repository / version
        directory.mkdir(parents=True)
        return directory


def write_kubernetes(programs: Path, root: Path, version: str) -> None:
    """Write what a host wants of a version of Kubernetes below the sites' root, each with its checksum."""
    directory = root / KUBERNETES_FILES / version / "bin" / "linux" / "amd64"
    directory.mkdir(parents=True, exist_ok=True)
    for program in ("kubeadm", "kubelet", "kubectl"):
        shutil.copyfile(programs / program, directory / program)
        (directory / f"{program}.sha256").write_text(file_sha256(directory / program))


def pins_of(root: Path) -> str:
    """Return the pins of the compiled programs below the sites' root: what their checksum files say, by the addresses that recipes name."""
    return "".join(sorted(f"{digest}  {url}\n" for url, digest in _sums(root)))


def _sums(root: Path) -> Iterator[tuple[str, str]]:
    for file in sorted(root.rglob("*.sha256*")):
        digest, *name = file.read_text().split()
        path = str(file.with_name(name[0] if name else file.stem).relative_to(root))
        if path.startswith(GITHUB_FILES):
            owner, repository, rest = path.removeprefix(f"{GITHUB_FILES}/").split("/", 2)
            path = f"github.com/{owner}/{repository}/releases/download/{rest}"
        yield f"https://{path.replace(KUBERNETES_FILES, SITES[0])}", digest


def _archive(target: Path, programs: Mapping[str, Path]) -> None:
    """Write a .tar.gz of programs: root's, sorted, at a fixed time."""
    with (
        target.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, program in sorted(programs.items()):
            data = program.read_bytes()
            member = tar_member(name, tarfile.REGTYPE, 0o755)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def _checksum(archive: Path, suffix: str) -> None:
    archive.with_name(archive.name + suffix).write_text(f"{file_sha256(archive)}  {archive.name}\n")


def _busybox_package(downloads: Path) -> BusyboxPackage:
    """Download the package apt offers, unless it is there. Raises TestBedError where apt cannot."""
    downloads.mkdir(parents=True, exist_ok=True)
    ask = ["apt-get", "download", "--print-uris", "busybox-static"]
    try:
        words = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.split()
        pool, _, name = words[0].strip("'").replace("%2b", "+").partition("/debian/")[2].rpartition("/")
        if not (downloads / name).exists():
            subprocess.run(
                ["apt-get", "download", "busybox-static"], cwd=downloads, capture_output=True, check=True
            )
            (downloads / words[1]).rename(downloads / name)
    except (FileNotFoundError, IndexError, subprocess.CalledProcessError) as error:
        detail = getattr(error, "stderr", "") or ""
        raise TestBedError(
            f"apt-get cannot download busybox-static; run apt-get update, or look at the network\n{detail}"
        ) from error
    return BusyboxPackage(pool, name)
