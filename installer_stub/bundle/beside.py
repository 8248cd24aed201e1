"""What stands beside an artifact: ``FILE.sha256`` and ``FILE.sig``, of the whole file, for programs that are not ours.

Whoever copies one of two builds over the other, and not what stands beside it, has a file that is whole and sums of another. Sums and
signatures of other makers, which only have the same names, are left to them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from installer_stub.errors import BesideAnother, SignatureError
from installer_stub.trust.sshsig import BEGIN, MAX_BYTES, NAMESPACE, decode, verify_digest

SUMS: Final = ".sha256"
SIGNATURE: Final = ".sig"
_MOST: Final = 1 << 20  # bytes of a list of sums
_SUM: Final = re.compile(rb"(?i)(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_REMEDY: Final = "fetch it again with what stands beside it, from who sealed it; or, if the file is the right one, remove what is of another"


def of_this_file(path: Path, sha256: str) -> tuple[str, ...]:
    """Return the names of what stands beside ``path`` and is of it, the file with this SHA-256 in hex. Raises BesideAnother."""
    return tuple(_sums(path, sha256)) + tuple(_signature(path, bytes.fromhex(sha256)))


def _sums(path: Path, sha256: str) -> Iterator[str]:
    beside = path.with_name(f"{path.name}{SUMS}")
    found = {each.decode().lower() for each in _SUM.findall(_read(beside, _MOST))}
    if found and sha256 not in found:
        raise BesideAnother(f"{path.name} is whole, but {beside.name} beside it is of another file: this one has sha256 {sha256}", _REMEDY)
    if found:
        yield beside.name


def _signature(path: Path, digest: bytes) -> Iterator[str]:
    beside = path.with_name(f"{path.name}{SIGNATURE}")
    armored = _read(beside, MAX_BYTES + 1)
    if not armored.startswith(BEGIN):
        return
    try:
        signature = decode(armored)
        if (signature.namespace, signature.hash_algorithm) != (NAMESPACE, "sha256"):
            return  # somebody's own: ours are of the hash that sealing knows
        verify_digest(signature, digest)
    except SignatureError as error:
        raise BesideAnother(f"{path.name} is whole, but {beside.name} beside it is no signature of this file: {error.problem}", _REMEDY) from None
    yield beside.name


def _read(path: Path, most: int) -> bytes:
    try:
        if not path.is_file():  # a pipe would be waited for
            return b""
        with path.open("rb") as file:
            return file.read(most)
    except OSError:
        return b""
