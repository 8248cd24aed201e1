"""Debian root file systems by mmdebstrap, each once per recipe, and the few of them that the engine must know as images."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import docker
import docker.errors

from tests.testbed.cache import Cache, build_once, is_built, key_of, locked
from tests.testbed.progress import run_logged, say, step

Suite = Literal["bullseye", "bookworm", "trixie"]
"""A Debian release: systemd 247, 252 and 257, glibc 2.31, 2.36 and 2.41, iproute2, iptables and coreutils of their years."""

HOST_SUITE: Suite = "bookworm"
HOST_IMAGE = "airseal-testbed/host:latest"
DEBIAN_IMAGE = "debian:bookworm-slim"
RECIPE_LABEL = "airseal.testbed.recipe"

_EPOCH = (
    "1767225600"  # 2026-01-01: what mmdebstrap clamps times to, so that the same packages give the same bytes
)


@dataclass(frozen=True)
class Rootfs:
    """One tree: packages on top of a variant of mmdebstrap, and commands before and after they are configured."""

    name: str
    include: tuple[str, ...] = ()
    variant: str = "minbase"
    architecture: str = "amd64"
    suite: str = "bookworm"
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    on_demand: bool = False
    """Made only when it is asked for by name."""

    def command(self, tarball: Path) -> list[str]:
        """Return the command that makes the tree's tarball."""
        command = ["mmdebstrap", f"--variant={self.variant}", f"--architectures={self.architecture}"]
        command += ["--dpkgopt=force-confold", "--aptopt=Acquire::Retries 3"]
        command += [f"--include={','.join(self.include)}"] if self.include else []
        command += [f"--essential-hook={hook}" for hook in self.before]
        command += [f"--customize-hook={hook}" for hook in self.after]
        return [*command, self.suite, str(tarball)]


_NO_DOCS = 'rm -rf "$1"/usr/share/doc/* "$1"/usr/share/man/* "$1"/usr/share/locale/* "$1"/var/cache/apt/*'
_HOST = (
    "systemd", "systemd-sysv", "dbus", "openssh-server", "iproute2", "iptables", "nftables", "conntrack",
    "ca-certificates", "procps", "kmod", "ethtool", "socat", "sudo", "iputils-ping", "curl",
)  # fmt: skip

_BLANK = (
    'chroot "$1" useradd --create-home --shell /bin/bash --groups sudo ops',
    # Each host gets its own; a shared one would be the test bed's mistake and hide the product's.
    'rm -f "$1"/etc/ssh/ssh_host_*; : > "$1"/etc/machine-id; rm -f "$1"/var/lib/dbus/machine-id',
    _NO_DOCS,
)


def host_rootfs(suite: Suite) -> str:
    """Return the name of the tree of a blank host of this release."""
    return "host" if suite == HOST_SUITE else f"host-{suite}"


def host_image(suite: Suite) -> str:
    """Return the name under which the engine knows a blank host of this release."""
    return HOST_IMAGE if suite == HOST_SUITE else f"{HOST_IMAGE.partition(':')[0]}:{suite}"


ROOTFS: tuple[Rootfs, ...] = (
    Rootfs("host", include=_HOST, after=_BLANK),
    Rootfs("host-bullseye", include=_HOST, suite="bullseye", after=_BLANK, on_demand=True),
    Rootfs("host-trixie", include=_HOST, suite="trixie", after=_BLANK, on_demand=True),
    Rootfs("debian", include=("ca-certificates",), after=(_NO_DOCS,)),
    Rootfs("iptables", include=("iptables", "nftables", "conntrack", "iproute2", "kmod"), after=(_NO_DOCS,)),
    Rootfs(
        "postgres",
        include=("postgresql",),
        before=(
            # The official image's numbers: a volume made by one must be readable to the other.
            'echo postgres:x:999: >> "$1"/etc/group',
            'echo postgres:x:999:999::/var/lib/postgresql:/bin/bash >> "$1"/etc/passwd',
            'mkdir -p "$1"/etc/postgresql-common; echo "create_main_cluster = false" > "$1"/etc/postgresql-common/createcluster.conf',
        ),
        # A key pair made at random at installation: no image should carry one, and this one's digest should not change.
        after=(
            _NO_DOCS,
            'rm -f "$1"/etc/ssl/private/* "$1"/etc/ssl/certs/ssl-cert-snakeoil.pem "$1"/var/cache/debconf/*.dat*; find "$1"/etc/ssl/certs -xtype l -delete',
        ),
    ),
    Rootfs("nginx", include=("nginx",), after=(_NO_DOCS,)),
    Rootfs("haproxy", include=("haproxy",), suite="trixie", after=(_NO_DOCS,)),
    Rootfs("busybox-amd64", include=("busybox-static",), variant="extract"),
    Rootfs("busybox-arm64", include=("busybox-static",), variant="extract", architecture="arm64"),
)


class RootfsStore:
    """The tarballs that were made, by name."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def tarball(self, name: str) -> Path:
        """Return the tarball of a root file system that ``build_all`` made."""
        return self._cache.rootfs / name / "rootfs.tar"

    def key(self, name: str) -> str:
        """Return the recipe key that a root file system was made with."""
        return (self._cache.rootfs / name / "recipe").read_text()

    def build_all(self, *, only: tuple[str, ...] = ()) -> None:
        """Make whatever is missing or was made by another recipe; what is on demand only by its name."""
        for rootfs in ROOTFS:
            target, key = self._cache.rootfs / rootfs.name, key_of(*rootfs.command(Path("-")))
            wanted = rootfs.name in only if only else not rootfs.on_demand
            if wanted and not is_built(target, key):
                with step(f"root file system {rootfs.name} ({rootfs.architecture})"):
                    build_once(target, key, functools.partial(_build, rootfs))

    def import_into(self, client: docker.APIClient) -> None:
        """Give the engine the blank host, and debian:bookworm-slim unless it has the real one or ours already."""
        self.import_one(client, "host", HOST_IMAGE)
        self.import_one(client, "debian", DEBIAN_IMAGE, unless_present=True)

    def import_one(
        self, client: docker.APIClient, name: str, image: str, *, unless_present: bool = False
    ) -> None:
        """Import one tarball as an image, unless the engine has it by the same recipe (or at all)."""
        with locked(self._cache.rootfs / ".import.lock"):
            labels = _labels_of(client, image)
            if labels is not None and (unless_present or labels.get(RECIPE_LABEL) == self.key(name)):
                return
            say(f"importing {image}")
            repository, _, tag = image.rpartition(":")
            client.import_image_from_file(
                str(self.tarball(name)),
                repository=repository,
                tag=tag,
                changes=[f"LABEL {RECIPE_LABEL}={self.key(name)}", 'CMD ["/bin/bash"]'],
            )


def _labels_of(client: docker.APIClient, image: str) -> dict[str, str] | None:
    try:
        return client.inspect_image(image)["Config"].get("Labels") or {}
    except docker.errors.ImageNotFound:
        return None


def _build(rootfs: Rootfs, directory: Path) -> None:
    run_logged(
        rootfs.command(directory / "rootfs.tar"),
        env={**os.environ, "SOURCE_DATE_EPOCH": _EPOCH},
        log=directory / "mmdebstrap.log",
        remedy="look at the log; it needs root (or user namespaces), and a mirror of Debian that answers",
    )
