"""containerd, as kubelet asks it (CRI) and as ``ctr`` does: a private daemon with its own root, state and socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from installer_stub.distro.containerd import hosts_toml
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from tests.clients.client import Manners, Place, PullFailedError, Session, daemon, digest_in
from tests.clients.scenarios import ARTIFACT, BY_NAME, ZERO_BYTES
from tests.clients.world import clean_environment, run

SKIP_METADATA = "--skip-metadata"
# "unable to fetch descriptor (sha256:e3b0c442…) which reports content size of zero": core/remotes/handlers.go, all versions.
NO_ZERO_BYTES = frozenset({ZERO_BYTES})
_CRI = Manners(frozenset(BY_NAME) - {ARTIFACT}, "root", refuses=NO_ZERO_BYTES, heads_only=True)

# 2.x and 1.x name the same settings by other plugins; the default paths of the rest would be this machine's.
_CONFIG = {
    "2": """\
version = 3
root = "{root}"
state = "{state}"
[grpc]
  address = "{socket}"
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "{hosts}"
[plugins."io.containerd.nri.v1.nri"]
  disable = true
[plugins."io.containerd.internal.v1.opt"]
  path = "{root}/opt"
""",
    "1": """\
version = 2
root = "{root}"
state = "{state}"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "{hosts}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{root}/opt"
""",
}


@dataclass(frozen=True)
class Programs:
    """The binaries of one containerd; ``major`` is its version."""

    major: Literal["1", "2"]
    containerd: Path
    ctr: Path


@contextmanager
def running_containerd(programs: Programs, place: Place) -> Iterator[Path]:
    """Run containerd and yield its socket. Its hosts.toml is the product's own text."""
    base = place.directory
    hosts = base / "certs.d" / "_default" / "hosts.toml"
    hosts.parent.mkdir(parents=True)
    hosts.write_text(hosts_toml([f"http://{place.registry}"], ca_path=""))
    listens = base / "c.sock"
    settings = {"root": base / "root", "state": base / "state", "socket": listens, "hosts": hosts.parent.parent}
    (base / "config.toml").write_text(_CONFIG[programs.major].format(**settings))
    command = place.network.command(programs.containerd, "--config", base / "config.toml", "--log-level", "debug")
    # 2.x looks for its shims in PATH, and for nothing else.
    environment = clean_environment(base / "home")
    with daemon(command, environment, base / "containerd.log", lambda: answers(listens)):
        yield listens


def answers(path: Path) -> bool:
    """Tell whether somebody listens at a socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


@dataclass(frozen=True)
class Cri:
    """PullImage over the socket, as kubelet sends it."""

    name: str
    programs: Programs
    cri: Path
    manners: Manners = _CRI

    @contextmanager
    def session(self, place: Place) -> Iterator[Session]:
        with running_containerd(self.programs, place) as listens:
            yield _CriSession(self.cri, listens, place)


@dataclass(frozen=True)
class _CriSession:
    program: Path
    socket: Path
    place: Place

    def pull(self, reference: Reference) -> Digest:
        self._call("pull", reference)
        repository = str(reference.repository)
        known = [line for line in self._call("digests", reference).splitlines() if line.startswith(f"{repository}@")]
        assert len(known) == 1, known
        return digest_in(known[0])

    def _call(self, call: str, reference: Reference) -> str:
        command = self.place.network.command(self.program, self.socket, call, str(reference))
        done = run(command, clean_environment(self.place.directory / "home"))
        if done.returncode:
            raise PullFailedError(done.stderr)
        return done.stdout


@dataclass(frozen=True)
class Ctr:
    """``ctr images pull``; for what is no image, ``ctr content fetch``: it does not unpack."""

    name: str
    programs: Programs
    options: tuple[str, ...] = ()

    @property
    def manners(self) -> Manners:
        # 2.x, by the transfer service: cmd/ctr/commands/images/pull.go, WithAllMetadata.
        reads_all = self.programs.major == "2" and SKIP_METADATA not in self.options
        return Manners(frozenset(BY_NAME), "root", refuses=NO_ZERO_BYTES, heads_only=True, all_metadata=reads_all)

    @contextmanager
    def session(self, place: Place) -> Iterator[Session]:
        with running_containerd(self.programs, place) as listens:
            yield _CtrSession(self.programs.ctr, listens, place, self.options)


@dataclass(frozen=True)
class _CtrSession:
    program: Path
    socket: Path
    place: Place
    options: tuple[str, ...]

    def pull(self, reference: Reference) -> Digest:
        how = ("content", "fetch") if "/charts/" in str(reference) else ("images", "pull", *self.options)
        self._ctr(*how, "--hosts-dir", self.place.directory / "certs.d", str(reference))
        # Columns: REF, TYPE, DIGEST, …
        (line,) = self._ctr("images", "list", f"name=={reference}").splitlines()[1:]
        return Digest.parse(line.split()[2])

    def _ctr(self, *words: str | Path) -> str:
        command = self.place.network.command(self.program, "--address", self.socket, *words)
        done = run(command, clean_environment(self.place.directory / "home"))
        if done.returncode:
            raise PullFailedError(done.stderr)
        return done.stdout
