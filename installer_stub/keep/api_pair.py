"""The API server's certificate and its key take their places together: kube-apiserver reads both again when either changes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from installer_stub.changes.disk import Disk
from installer_stub.changes.image import Form, Image
from installer_stub.distro.paths import API_CERTIFICATE, API_KEY
from installer_stub.errors import InstallerError
from installer_stub.keep import before

_LIMIT: Final = 64 << 10  # bytes of either


def place(directory: Path, disk: Disk | None = None, home: str = before.HOME) -> None:
    """Put ``apiserver.crt`` and ``apiserver.key`` of ``directory`` in their places. A cut in between leaves the old ones.

    Raises InstallerError when they do not belong together, OSError.
    """
    from installer_stub.hostside.keys import is_pair

    on = disk or Disk()
    certificate, key = (_read(directory / name) for name in ("apiserver.crt", "apiserver.key"))
    if not is_pair(certificate, key):
        raise InstallerError(f"{directory} holds no certificate with its key", "run the same command again")
    with before.kept((API_KEY, API_CERTIFICATE), on, home):
        on.replace(API_KEY, key, Image(Form.FILE, mode=0o600))
        on.replace(API_CERTIFICATE, certificate, Image(Form.FILE, mode=0o644))


def _read(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_LIMIT)
