"""The real distribution registry, alone on loopback: the upstream that the suite fills and the recorder records."""

from __future__ import annotations

import http.client
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.media_types import OCI_INDEX, OCI_MANIFEST
from tests.contract.loopback_sshd import free_port

# Indexes whose children were not pushed, and layers that stand elsewhere, are among the suite's data.
_CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: {quiet}}}}}
storage: {{filesystem: {{rootdirectory: {root}}}, maintenance: {{readonly: {{enabled: {read_only}}}}}}}
http: {{addr: "127.0.0.1:{port}", {tls}debug: {{addr: "127.0.0.1:{debug_port}", prometheus: {{enabled: true, path: /metrics}}}}}}
validation: {{manifests: {{indexes: {{platforms: none}}, urls: {{allow: ["^https://"]}}}}}}
{auth}
"""
# bcrypt of "a-password"; what htpasswd -nbB bob a-password writes
USER, PASSWORD = "bob", "a-password"
_HTPASSWD = "bob:$2b$05$IGULkhoUntHUWuMcNpaxwuzzte/cTp4pwSSwwV.vEJ2pWGMkJZDKS"
_START_SECONDS = 30


# Of these the suite pushes less than they list, or layers at a host that is not there: they cannot be recorded whole.
INCOMPLETE = frozenset({"sparse-image", "non-distributable-image"})

# What distribution v3 does not have; the run with pushes has both.
UPSTREAM_LACKS = {"OCI_API_REFERRER": "false", "OCI_DATA_SHA512": "false"}


@dataclass(frozen=True)
class Holdings:
    """What one repository has: tags, and all manifests (children of indexes too)."""

    tags: dict[str, Digest]
    manifests: frozenset[Digest]


@dataclass(frozen=True)
class Tls:
    """What it shows: certificate and key, in PEM files."""

    certificate: Path
    key: Path


Auth = Callable[[Path], str]  # from its directory to the part of the configuration that is called auth


def basic(directory: Path) -> str:
    """Let ``USER`` in with ``PASSWORD``, and nobody else."""
    file = directory / "htpasswd"
    file.write_text(_HTPASSWD + "\n")
    return f'auth: {{htpasswd: {{realm: test, path: "{file}"}}}}'


class DistributionRegistry:
    """Runs between ``with`` and its end; what it holds stays in ``directory``."""

    def __init__(
        self, program: Path, directory: Path, *, access_log: bool = False, auth: Auth | None = None, tls: Tls | None = None, read_only: bool = False
    ) -> None:
        self._program = program
        self._auth = auth
        self._tls = tls
        self._read_only = read_only
        self._access_log = access_log
        self._directory = directory
        self.address = ("127.0.0.1", free_port())
        self._debug_port = free_port()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.address[0]}:{self.address[1]}"

    @property
    def name(self) -> str:
        """What stands before the path in a reference."""
        return f"127.0.0.1:{self.address[1]}"

    def holdings(self, repository: str) -> Holdings:
        """Return what a repository has, as its files say: the protocol lists tags only."""
        root = self._directory / "docker" / "registry" / "v2" / "repositories" / repository / "_manifests"
        tags = {path.name: Digest.parse((path / "current" / "link").read_text()) for path in (root / "tags").iterdir()}
        return Holdings(tags, frozenset(Digest(path.parent.name, path.name) for path in (root / "revisions").glob("*/*")))

    def log(self) -> str:
        """Return what it has logged so far; with ``access_log`` a line for each answer, with its status and bytes sent."""
        return (self._directory / "registry.log").read_text()

    def wait_until_idle(self) -> None:
        """Return when no request is being answered any more, so that each has its line in the log."""
        deadline = time.monotonic() + _START_SECONDS
        while self._in_flight():
            assert time.monotonic() < deadline, f"{self.url} does not come to rest"
            time.sleep(0.02)

    def _in_flight(self) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._debug_port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        found = [float(line.rpartition(" ")[2]) for line in lines if line.startswith("registry_http_in_flight_requests")]
        assert found, lines
        return sum(found)

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        config = self._directory / "config.yml"
        config.write_text(
            _CONFIG.format(
                root=self._directory,
                port=self.address[1],
                debug_port=self._debug_port,
                quiet=str(not self._access_log).lower(),
                read_only=str(self._read_only).lower(),
                tls=f'tls: {{certificate: "{self._tls.certificate}", key: "{self._tls.key}"}}, ' if self._tls else "",
                auth=self._auth(self._directory) if self._auth else "",
            )
        )
        log = (self._directory / "registry.log").open("wb")
        with log:
            self._process = subprocess.Popen([self._program, "serve", config], stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, (self._directory / "registry.log").read_text()
            assert time.monotonic() < deadline, f"{self.url} does not answer"
            time.sleep(0.05)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """End it. May be called twice."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(_START_SECONDS)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._debug_port}/metrics", timeout=5), socket.create_connection(self.address, 5):
                return True
        except (urllib.error.URLError, OSError):
            return False


@dataclass(frozen=True)
class Answer:
    """What a client sees of one piece of content."""

    status: int
    content_type: str | None
    length: str | None
    digest: str | None
    body: bytes


def ask(address: tuple[str, int], method: str, target: str) -> Answer:
    connection = http.client.HTTPConnection(*address, timeout=60)
    try:
        connection.request(method, target, headers={"Accept": f"{OCI_INDEX}, {OCI_MANIFEST}, */*"})
        answer = connection.getresponse()
        named = (answer.getheader(name) for name in ("Content-Type", "Content-Length", "Docker-Content-Digest"))
        return Answer(answer.status, *named, answer.read())
    finally:
        connection.close()
