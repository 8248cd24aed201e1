"""The certificate that this master's registry shows: issued here, by the CA that is here, and renewed before it ends."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from installer_stub.distro.units import REGISTRY_UNIT
from installer_stub.errors import InstallerError, UsageError
from installer_stub.hostside import keys
from installer_stub.keep.programs import run
from installer_stub.pki.authority import Authority
from installer_stub.pki.leaf import Leaf
from installer_stub.plan.model import REGISTRY_AUTHORITY, REGISTRY_CERTIFICATE, REGISTRY_KEY
from installer_stub.plan.settings import REGISTRY_PORT

DAYS: Final = 90
UNIT: Final = "airseal-registry.service"
_RESTART_SECONDS: Final = 120.0  # systemd's own patience for a start is 90
_SHOW_SECONDS: Final = 10.0


class Renewal(StrEnum):
    """What ``renew`` did, in words for a log."""

    NO_REGISTRY = "no site registry is on this host"
    FRESH = "the site registry's certificate has most of its life before it"
    WAITS = "the site registry's certificate is renewed when it is this master's turn"
    RENEWED = "the site registry's certificate was renewed"
    RESTARTED = "the site registry was started again: it showed another certificate than its file"


@dataclass(frozen=True, slots=True)
class RegistryFiles:
    """Where CA, certificate and key are. The defaults are a master's."""

    authority: Path = Path(REGISTRY_AUTHORITY)
    certificate: Path = Path(REGISTRY_CERTIFICATE)
    key: Path = Path(REGISTRY_KEY)


def issue(files: RegistryFiles, addresses: Sequence[str], names: Sequence[str], life: dt.timedelta, now: dt.datetime) -> None:
    """Write a certificate for exactly these addresses and names, and its key if there is none, or a torn one: nobody else needs that.

    Killed at any moment, what is there fits. Raises UsageError, InstallerError.
    """
    try:
        for text in addresses:
            ipaddress.ip_address(text)
    except ValueError as error:
        raise UsageError(f"--ip: {error}", "write one address for each --ip") from None
    if not addresses and not names:
        raise UsageError("a certificate needs at least one --ip or --dns", "add --ip with this host's address")
    authority = Authority.load(files.authority)
    try:
        if not files.key.exists() or keys.is_torn(files.key):
            files.certificate.unlink(missing_ok=True)  # its key is gone
            files.key.unlink(missing_ok=True)
        key = keys.load_or_make(files.key)
        keys.keep(files.certificate, authority.issue(key.public_key(), addresses, names, life, now), 0o644)
    except OSError as error:
        raise InstallerError(f"{files.certificate} cannot be written: {error.strerror}", "run this as root") from None


def issue_again(files: RegistryFiles, now: dt.datetime) -> None:
    """Write a certificate of the present CA for what the present certificate is for; nothing where there is none. Raises InstallerError."""
    try:
        leaf = Leaf.parse(files.certificate.read_bytes())
    except (OSError, ValueError):
        return  # the installer issues one, and knows for what
    if not leaf.is_signed_by(Authority.load(files.authority).certificate):
        issue(files, leaf.addresses, leaf.names, dt.timedelta(days=DAYS), now)


def renew(
    files: RegistryFiles,
    now: dt.datetime,
    *,
    my_turn: bool = True,
    shown: Callable[[], bytes | None] | None = None,
    restart: Callable[[], None] | None = None,
) -> Renewal:
    """Issue the next certificate when it is time, for what the present one is valid for, and see that the registry shows it.

    ``shown`` returns what the registry shows (DER), None if nothing answers; ``restart`` starts it again. The defaults are
    this host's. Where it is not ``my_turn`` one that has days left is left: with several masters one registry at a time starts
    again. Safe to call at any time, also while an installation runs. Raises InstallerError.
    """
    try:
        leaf = Leaf.parse(files.certificate.read_bytes())
    except FileNotFoundError:
        return Renewal.NO_REGISTRY
    except (OSError, ValueError) as error:
        raise InstallerError(f"{files.certificate} cannot be read: {error}", "run the installer again") from None
    authority = Authority.load(files.authority)
    if not leaf.is_signed_by(authority.certificate):
        raise InstallerError(f"{files.certificate} was not signed by the CA in {files.authority}", "run the installer again")
    done = Renewal.FRESH
    if is_due(leaf, authority, now) and not my_turn and not leaf.is_urgent(now):
        done = Renewal.WAITS
    elif is_due(leaf, authority, now):
        issue(files, leaf.addresses, leaf.names, dt.timedelta(days=DAYS), now)
        leaf, done = Leaf.parse(files.certificate.read_bytes()), Renewal.RENEWED
    shows = (shown or _shown)()
    if shows is not None and shows != leaf.der:
        (restart or _restart)()
        done = Renewal.RESTARTED if done is not Renewal.RENEWED else done
    return done


def is_due(leaf: Leaf, authority: Authority, now: dt.datetime) -> bool:
    """Tell whether the next certificate should be issued, and would live longer."""
    return leaf.is_due(now) and leaf.certificate.not_valid_after_utc < authority.certificate.not_valid_after_utc


def _shown() -> bytes | None:
    """Ask the registry on this host. Whom to believe is not the question here: what it shows is compared."""
    try:
        return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", _port()), timeout=_SHOW_SECONDS))
    except OSError:
        return None  # systemd starts it again for ever, and what it starts with is the file


def _port() -> int:
    """Return the port that the registry's unit names: a site may have another one than ours. Raises OSError."""
    unit = Path(REGISTRY_UNIT)
    found = re.search(r"(?m)^ExecStart=.* --listen \S+:([0-9]{1,5}) ", unit.read_text(errors="replace")) if unit.exists() else None
    return int(found[1]) if found else REGISTRY_PORT


def _restart() -> None:
    done = run(("systemctl", "restart", UNIT), timeout=_RESTART_SECONDS)
    if not done.ok:
        raise InstallerError(f"{UNIT} could not be started again: {done.output[-500:]}", f"look there: journalctl -u {UNIT}")
