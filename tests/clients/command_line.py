"""Clients that are one command: skopeo, crane, podman, helm. They name images by path prefix, or are told of mirrors."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from registry_snapshot.oci.descriptor import Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from tests.clients.client import Manners, Place, PullFailedError, Session
from tests.clients.scenarios import ARTIFACT, BY_NAME, TAG_AND_DIGEST, WITH_PORT, by_path_prefix
from tests.clients.world import clean_environment, run

_MIRRORED = ("docker.io", "ghcr.io", "quay.io", "registry.k8s.io")
_SKOPEO = Manners(frozenset(BY_NAME) - {TAG_AND_DIGEST, WITH_PORT}, "child")
_CRANE = Manners(frozenset(BY_NAME) - {WITH_PORT}, "child")
_PODMAN = Manners(frozenset(BY_NAME) - {ARTIFACT, WITH_PORT}, "root")
_HELM = Manners(frozenset({ARTIFACT}), "root")


@dataclass(frozen=True)
class CommandSession:
    """Runs the client's commands in its network, with a home below its directory."""

    place: Place
    program: Path

    def command(self, *words: str | Path, **environment: str) -> str:
        """Run one and return what it printed. Raises PullFailedError."""
        cleaned = clean_environment(self.place.directory / "home", **environment)
        done = run(self.place.network.command(self.program, *words), cleaned)
        if done.returncode:
            raise PullFailedError(done.stderr)
        return done.stdout

    def target(self) -> Path:
        """Return a new directory for what is pulled."""
        return Path(tempfile.mkdtemp(prefix="pulled-", dir=self.place.directory))


@dataclass(frozen=True)
class Skopeo:
    """``skopeo copy`` into its ``dir:`` form, which keeps manifests as they are. 1.9 refuses a tag beside a digest."""

    name: str = "skopeo"
    manners: Manners = _SKOPEO

    @contextmanager
    def session(self, place: Place) -> Iterator[Session]:
        yield _SkopeoSession(place, Path("skopeo"))


class _SkopeoSession(CommandSession):
    def pull(self, reference: Reference) -> Digest:
        target = self.target()
        source = f"docker://{by_path_prefix(self.place.registry, reference)}"
        self.command("copy", "--quiet", "--src-tls-verify=false", source, f"dir:{target}")
        return Digest.of((target / "manifest.json").read_bytes())


@dataclass(frozen=True)
class Crane:
    """``crane pull`` into an OCI layout."""

    program: Path
    platform: Platform
    name: str = "crane"
    manners: Manners = _CRANE

    @contextmanager
    def session(self, place: Place) -> Iterator[Session]:
        yield _CraneSession(place, self.program, self.platform)


@dataclass(frozen=True)
class _CraneSession(CommandSession):
    platform: Platform

    def pull(self, reference: Reference) -> Digest:
        target = self.target()
        name = by_path_prefix(self.place.registry, reference)
        self.command("pull", "--insecure", "--platform", str(self.platform), "--format", "oci", name, target)
        (listed,) = json.loads((target / "index.json").read_text())["manifests"]
        return Digest.parse(listed["digest"])


@dataclass(frozen=True)
class Podman:
    """``podman pull``, with every registry rewritten to a path below ours in its registries.conf."""

    name: str = "podman"
    manners: Manners = _PODMAN

    @contextmanager
    def session(self, place: Place) -> Iterator[Session]:
        lines = ['unqualified-search-registries = ["docker.io"]']
        for registry in _MIRRORED:
            lines += ["[[registry]]", f'prefix = "{registry}"', f'location = "{place.registry}/{registry}"', "insecure = true"]
        (place.directory / "registries.conf").write_text("\n".join(lines) + "\n")
        yield _PodmanSession(place, Path("podman"))


class _PodmanSession(CommandSession):
    def pull(self, reference: Reference) -> Digest:
        self._podman("pull", "--quiet", str(reference))
        by_digest = Reference(reference.repository, None, reference.digest)
        (known,) = json.loads(self._podman("image", "inspect", str(by_digest if reference.digest else reference)))
        return Digest.parse(known["Digest"])

    def _podman(self, *words: str) -> str:
        base = self.place.directory
        stores = ("--root", base / "root", "--runroot", base / "run", "--tmpdir", base / "tmp", "--storage-driver", "vfs")
        settings = {"CONTAINERS_REGISTRIES_CONF": str(base / "registries.conf")}
        return self.command(*stores, "--events-backend", "none", *words, **settings)


@dataclass(frozen=True)
class Helm:
    """``helm pull oci://…``: charts only."""

    program: Path
    name: str = "helm"
    manners: Manners = _HELM

    @contextmanager
    def session(self, place: Place) -> Iterator[Session]:
        yield HelmSession(place, self.program)


class HelmSession(CommandSession):
    """Leaves what it pulled in ``pulled-…`` directories."""

    def pull(self, reference: Reference) -> Digest:
        chart = by_path_prefix(self.place.registry, Reference(reference.repository, None, None))
        words = ("--version", str(reference.tag), "--plain-http", "--destination", self.target())
        # It says the digest, but on stderr.
        done = run(self.place.network.command(self.program, "pull", f"oci://{chart}", *words), clean_environment(self.place.directory / "home"))
        found = re.search(r"sha256:[0-9a-f]{64}", done.stdout + done.stderr)
        if done.returncode or found is None:
            raise PullFailedError(done.stderr)
        return Digest.parse(found[0])
