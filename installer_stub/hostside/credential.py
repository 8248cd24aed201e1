"""The site registry's login as a file: one line, ``user:password``, that nobody but its owner can read."""

from __future__ import annotations

import ipaddress
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from installer_stub.errors import InstallerError, UsageError
from installer_stub.hostside.keys import keep_private
from registry_snapshot.serve.login import Credential

_BYTES: Final = 32  # of randomness: nobody guesses 256 bits, however many tries a registry answers
_LONGEST: Final = 4096  # bytes of the line: what is longer is another kind of file


def read_credential(path: Path) -> Credential:
    """Return the login in the first line of ``path``.

    Raises UsageError, which never holds the line: the file is missing, others can read it, or it spells no login.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            line = b"" if mode & 0o077 else file.readline(_LONGEST + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "name a file with the registry's user:password") from None
    if mode & 0o077:
        raise UsageError(f"{path} holds a password, and others can read it (mode {mode:04o})", f"chmod 600 {path}")
    try:
        return Credential.parse(line.decode() if len(line) <= _LONGEST else "")
    except ValueError:  # UnicodeDecodeError is one
        raise UsageError(f"the first line of {path} is not user:password", "write both there, with a colon between them") from None


def make_credential(path: Path, user: str) -> None:
    """Make a login with a random password at ``path`` (mode 0600), whole or not at all; one that is there is kept.

    Raises UsageError for a file that is there and holds none, InstallerError if it cannot be written.
    """
    try:
        if path.exists():
            read_credential(path)
        else:
            keep_private(path, f"{user}:{secrets.token_urlsafe(_BYTES)}\n".encode())
    except OSError as error:
        raise InstallerError(f"{path} cannot be written: {error.strerror}", "run this as root") from None


def is_loopback(host: str) -> bool:
    """Tell whether what is sent to ``host``, an address or a name, stays on this machine. A name other than localhost is asked of nobody."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
