"""Reference: the full name of an image, the way container runtimes read it.

Grammar: github.com/distribution/reference, ``reference.go``; docker.io's short forms: its ``normalize.go``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from registry_snapshot.errors import ReferenceInvalid
from registry_snapshot.oci.digest import Digest

DOCKER_HUB = "docker.io"

_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")
_NAME_LENGTH = 255  # of the path: reference.go, RepositoryNameTotalLengthMax
_REMEDY = "write registry/path:tag or registry/path@sha256:…, for example docker.io/library/busybox:1.36"


def looks_like_registry(segment: str) -> bool:
    """Tell whether a reference's first segment names a host, and is not the beginning of a path on docker.io.

    It has a dot, a port or a capital letter, or is ``localhost``: ``normalize.go``, splitDockerDomain.
    """
    named = "." in segment or ":" in segment or segment == "localhost" or segment.lower() != segment
    return named and _REGISTRY.fullmatch(segment) is not None


def is_tag(text: str) -> bool:
    """Tell whether ``text`` follows the grammar of a tag."""
    return _TAG.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, order=True)
class Repository:
    """A registry (host with optional port) and a path in it. The same path on two registries is two repositories."""

    registry: str
    path: str

    @classmethod
    def of(cls, registry: str, path: str) -> Repository:
        """Return the repository, with docker.io's aliases and ``library/`` filled in. Raises ReferenceInvalid.

        A registry that a reference would take for the beginning of a path is refused: ``team`` with the path ``app``
        would be written as ``team/app``, and read back as ``docker.io/team/app``.
        """
        if registry in {"index.docker.io", "registry-1.docker.io"}:
            registry = DOCKER_HUB
        if registry == DOCKER_HUB and "/" not in path:
            path = f"library/{path}"
        if not looks_like_registry(registry) or not _PATH.fullmatch(path) or len(path) > _NAME_LENGTH:
            raise ReferenceInvalid(f"{registry[:100]}/{path[:300]} is not a repository", _REMEDY)
        return cls(registry, path)

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}"


@dataclass(frozen=True, slots=True)
class Reference:
    """A repository with a tag, a digest, or both. At least one of them is set; ``tag`` defaults to ``latest``.

    >>> str(Reference.parse("busybox"))
    'docker.io/library/busybox:latest'
    """

    repository: Repository
    tag: str | None
    digest: Digest | None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Return the reference that ``text`` spells, normalised. Raises ReferenceInvalid, DigestInvalid.

        64 hex digits alone are refused: docker takes them for the id of a local image.
        """
        if _IDENTIFIER.fullmatch(text):
            raise ReferenceInvalid(f"{text} is a digest without its algorithm, and no name", _REMEDY)
        rest, at, digest_text = text.partition("@")
        digest = Digest.parse(digest_text) if at else None
        head, slash, last = rest.rpartition("/")
        last, colon, tag_text = last.partition(":")
        tag: str | None = tag_text if colon else None
        if tag is not None and not _TAG.fullmatch(tag):
            raise ReferenceInvalid(f"{text[:300]!r} has no valid tag", _REMEDY)
        name = f"{head}{slash}{last}"
        first, slash, path = name.partition("/")
        if slash and looks_like_registry(first):
            repository = Repository.of(first, path)
        else:
            repository = Repository.of(DOCKER_HUB, name)
        if tag is None and digest is None:
            tag = "latest"
        return cls(repository, tag, digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag is not None else ""
        digest = f"@{self.digest}" if self.digest is not None else ""
        return f"{self.repository}{tag}{digest}"
