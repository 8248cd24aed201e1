"""The certificates of the host we run on."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from installer_stub.distro.certificates import FILES, KUBECONFIGS
from installer_stub.facts.certificates import OURS, Certificate, embedded, read_certificate

_LIMIT: Final = 4 << 20  # bytes of one file


def host_certificates(root: str = "") -> tuple[Certificate, ...]:
    """Return every certificate of Kubernetes and of ours on this host. One that cannot be read says why."""
    found: list[Certificate] = []
    for pattern in (*FILES, OURS):
        found += [_certificate(path, root) for path in _files(root, pattern)]
    found += [_certificate(path, root) for path in _files(root, KUBECONFIGS) if embedded(_bytes(path))]
    return tuple(found)


def _files(root: str, pattern: str) -> list[str]:
    return sorted(str(path) for path in Path(root or "/").glob(pattern.lstrip("/")))


def _certificate(path: str, root: str) -> Certificate:
    data = _bytes(path)
    return read_certificate(path.removeprefix(root), embedded(data) or data)


def _bytes(path: str) -> bytes:
    """Return a file's content; one that cannot be read is empty, and that is no certificate."""
    try:
        with Path(path).open("rb") as stream:
            return stream.read(_LIMIT)
    except OSError:
        return b""
