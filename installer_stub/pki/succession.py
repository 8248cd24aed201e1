"""Succession: one CA of a site's registries handed over to the next, provably, and on each host whole at every moment.

A CA is its public key, so two of them on two masters would be two sites. A statement says that they are one: it is the next
CA's public key, signed by the key before it. Whoever was away meanwhile is told by whoever holds the statement.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from installer_stub.errors import InstallerError
from installer_stub.hostside import keys
from installer_stub.pki import authority
from installer_stub.pki.authority import CERTIFICATE, KEY, Authority
from installer_stub.pki.leaf import public_key
from registry_snapshot.store.durable import sync_directory

NEXT: Final = "next"  # below the CA's directory: the one that is trusted, and not used yet
STATEMENTS: Final = "succession.pem"  # beside a CA: all statements that lead to it


def prepare(directory: Path, now: dt.datetime) -> None:
    """Make the next CA below the present one's ``directory``, with the statement, unless it is there. Raises InstallerError."""
    following = directory / NEXT
    if (following / CERTIFICATE).exists() and (following / STATEMENTS).exists():
        Authority.load(following)
        return
    present = Authority.load(directory)
    authority.make(following, now)
    statement = present.vouch(Authority.load(following).certificate, now)
    try:
        keys.keep(following / STATEMENTS, _read(directory / STATEMENTS) + statement, 0o644)
    except OSError as error:
        raise InstallerError(f"{following} cannot be written: {error.strerror}", "run this as root") from None


def switch(directory: Path) -> bool:
    """Let the next CA be the present one. Return whether there was one.

    The certificate goes first and comes last: it stands beside its own key or not at all. Cut anywhere, the same call goes
    on. Raises InstallerError.
    """
    following = directory / NEXT
    if not (following / CERTIFICATE).exists():
        return False
    if (following / KEY).exists():
        Authority.load(following)
        (directory / CERTIFICATE).unlink(missing_ok=True)
        sync_directory(directory)
        (following / KEY).replace(directory / KEY)
    if (following / STATEMENTS).exists():
        (following / STATEMENTS).replace(directory / STATEMENTS)
    (following / CERTIFICATE).replace(directory / CERTIFICATE)
    sync_directory(directory)
    following.rmdir()
    Authority.load(directory)
    return True


def leads(old: x509.Certificate, new: x509.Certificate, statements: Iterable[x509.Certificate]) -> bool:
    """Tell whether ``old`` handed over to ``new``, also through others in between."""
    left, reached = list(statements), {public_key(old)}
    while public_key(new) not in reached:
        found = [each for each in left if any(_signed(each, key) for key in reached)]
        if not found:
            return False
        reached |= {public_key(each) for each in found}
        left = [each for each in left if each not in found]
    return True


def parse(pem: bytes | None) -> tuple[x509.Certificate, ...]:
    """Return the statements in a file. What is none says nothing."""
    try:
        return tuple(x509.load_pem_x509_certificates(pem or b""))
    except ValueError:
        return ()


def _signed(statement: x509.Certificate, key: bytes) -> bool:
    signer = serialization.load_der_public_key(key)
    if not isinstance(signer, ec.EllipticCurvePublicKey) or statement.signature_hash_algorithm is None:
        return False
    try:
        signer.verify(statement.signature, statement.tbs_certificate_bytes, ec.ECDSA(statement.signature_hash_algorithm))
    except InvalidSignature:
        return False
    return True


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
