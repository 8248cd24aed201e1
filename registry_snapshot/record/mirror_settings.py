"""Single settings of mirrors, checked: the same rules for the file of mirrors and for the command line."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.reference import DOCKER_HUB, looks_like_registry

HUB_HOST = "registry-1.docker.io"
EXAMPLE = "write for example registry.k8s.io: https://mirror.example.com"


def is_url(text: str) -> bool:
    """Tell whether a text begins as a web address does."""
    return text.startswith(("http://", "https://"))


def checked_base_url(text: str, where: str) -> str:
    """Return a base URL without a slash at its end. Raises RegistryError, which says ``where`` it stands."""
    try:
        parts = urlsplit(text)
        valid = is_url(text) and bool(parts.hostname) and not parts.query and not parts.fragment
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        valid = has_port = False
    if not valid or not has_port:
        raise RegistryError(f"{where}: {without_password(text)} is no base URL", "write https://host[:port][/prefix]")
    if parts.username is not None:
        raise RegistryError(f"{where}: a login does not belong into a URL", f"run: docker login {parts.hostname}")
    return text.rstrip("/")


def without_password(text: str) -> str:
    """Return a text as an error may show it: what may be a login in it is left out."""
    head, at, tail = text.rpartition("@")
    return f"…@{tail!r}" if at and head else repr(text[:200])


def checked_registry(name: str, where: str) -> str:
    """Return a registry's name as references have it. Raises RegistryError, which says ``where`` it stands."""
    if name in {HUB_HOST, "index.docker.io"}:
        return DOCKER_HUB
    if not looks_like_registry(name):
        raise RegistryError(f"{where}: {without_password(name)} is no registry name", "write it as in an image's name: registry.k8s.io, host:5000")
    return name


def checked_ca_file(path: Path, where: str) -> Path:
    """Return the full path of a file that is there. Raises RegistryError, which says ``where`` it stands."""
    if not path.is_file():
        raise RegistryError(f"{where}: there is no file {path}", "name a PEM file with the authority's certificate")
    return path.resolve()
