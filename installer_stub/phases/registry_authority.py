"""What the hosts hold of the site registry's CA, looked at from here: who has its key, who trusts whom, who shows what."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from installer_stub.distro.paths import CA_KEY
from installer_stub.errors import HostError, InstallerError
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection
from installer_stub.host.model import Role
from installer_stub.phases.base import Context
from installer_stub.pki import authority, succession
from installer_stub.pki.leaf import Leaf, public_key
from installer_stub.plan.model import (
    API_NAME,
    REGISTRY_AUTHORITY,
    REGISTRY_CA,
    REGISTRY_CERTIFICATE,
    REGISTRY_KEY,
    STATE,
    HostPlan,
)

CERTIFICATE: Final = f"{REGISTRY_AUTHORITY}/{authority.CERTIFICATE}"
STATEMENTS: Final = f"{REGISTRY_AUTHORITY}/{succession.STATEMENTS}"
NEXT: Final = f"{REGISTRY_AUTHORITY}/{succession.NEXT}/{authority.CERTIFICATE}"
KEY: Final = f"{REGISTRY_AUTHORITY}/{authority.KEY}"
NAMES: Final = (API_NAME, "localhost")
# Until there was a CA of the registry's own, the cluster's served for both, and its key was kept here a second time.
SECOND_COPY: Final = f"{STATE}/authority"
# sha256sum of a private key tells nothing of it, and tells whether two hosts have the same one. One that was emptied or cut has lost
# its last mark (RFC 7468): no key.
_LOOK: Final = """\
date +%s
for file; do
  if [ ! -e "$file" ]; then echo absent; continue; fi
  sum=$(sha256sum < "$file")
  case $file in *.key) grep -q -e '-----END [A-Z ]*PRIVATE KEY-----' < "$file" || sum=absent ;; esac
  echo "${sum%% *}"
done
"""


@dataclass(frozen=True, slots=True)
class Held:
    """What one host holds. Beyond ``trusted``, only masters hold anything. Keys are told by their hash, "" for none and for a torn one."""

    trusted: tuple[x509.Certificate, ...]
    certificate: x509.Certificate | None = None
    key: str = ""
    leaf: Leaf | None = None
    leaf_key: str = ""
    has_second_copy: bool = False  # of the cluster CA's key, equal to the one that Kubernetes has
    has_next: bool = False  # a CA that is to follow the present one
    clock: int = 0  # seconds of Unix time

    @property
    def is_torn(self) -> bool:
        """Whether the CA's key is there without a certificate that can be read, and nothing is under way that would explain it."""
        return bool(self.key) and self.certificate is None and not self.has_next

    @property
    def is_switching(self) -> bool:
        """Whether it was cut while it took the next CA for the present one."""
        return self.has_next and self.certificate is None

    def shows(self, host: HostPlan, issuer: x509.Certificate) -> bool:
        """Tell whether ``host`` has a certificate of ``issuer`` for itself alone, with most of its life before it."""
        if self.leaf is None or not self.leaf_key or not self.leaf.is_signed_by(issuer):
            return False
        if (set(self.leaf.addresses), set(self.leaf.names)) != (set(addresses(host)), set(NAMES)):
            return False
        return not self.leaf.is_due(dt.datetime.fromtimestamp(self.clock, dt.UTC)) or self.leaf.certificate.not_valid_after_utc == issuer.not_valid_after_utc


def addresses(host: HostPlan) -> tuple[str, ...]:
    """Return what the registry's certificate on ``host`` is valid for, as certificates spell it."""
    return (str(ipaddress.ip_address(host.internal)), "127.0.0.1")


def masters(context: Context) -> tuple[HostPlan, ...]:
    """Return the masters that are connected."""
    return context.reachable(context.plan.masters)


def survey(context: Context) -> dict[str, Held]:
    """Look at every connected host. Raises HostError where that cannot be done: what was not seen is not taken for absent."""
    return context.each(context.reachable(), _look)


def known(context: Context, held: Mapping[str, Held]) -> x509.Certificate | None:
    """Return the CA whose key a master has; None if there never was one.

    Raises HostError for a CA without its key or certificate, which hosts may trust, InstallerError for two of them: no other is made instead.
    """
    whole = {
        public_key(found.certificate): found.certificate
        for host in masters(context)
        if (found := held[host.address]).certificate is not None and found.key
    }
    if len(whole) > 1:
        last = _last(context, whole.values())
        if last is not None:
            return last
        raise InstallerError(
            f"{_masters_with_keys(context, held)} have different CAs of a site registry: they are masters of different sites",
            "name the masters of one site, and reset what is to leave the other one",
        )
    if whole:
        return next(iter(whole.values()))
    lost = [host.address for host in context.reachable() if _knows(held[host.address])]
    torn = [host.address for host in masters(context) if held[host.address].is_torn]
    if torn and lost:  # where nobody trusts it its making was cut, and it is made anew
        raise HostError(
            ", ".join(torn),
            f"{CERTIFICATE}, the certificate of the site registry's CA, is torn or gone; its key is there",
            f"put it back: cp {REGISTRY_CA} {CERTIFICATE} (of two certificates in it only the last); then run the same command again",
        )
    if lost:
        raise HostError(
            ", ".join(lost),
            "the site registry's CA is known here, but its key is on none of the masters that were named, or torn there",
            f"name every master of the site with --master; or put {REGISTRY_AUTHORITY} back on one of them from a backup; or, if "
            f"that key is lost for good, have another CA made: rm -rf {REGISTRY_CA} {REGISTRY_AUTHORITY} on every host",
        )
    return None


def _last(context: Context, authorities: Iterable[x509.Certificate]) -> x509.Certificate | None:
    """Return the one of several CAs that all others handed over to, as the masters can prove; None where they cannot."""
    read = context.each(masters(context), lambda _host, connection: succession.parse(connection.read(STATEMENTS)))
    statements = [statement for each in read.values() for statement in each]
    found = tuple(authorities)
    return next((last for last in found if all(succession.leads(each, last, statements) for each in found)), None)


def _look(host: HostPlan, connection: Connection) -> Held:
    trusted = _certificates(connection.read(REGISTRY_CA))
    if host.role is not Role.MASTER:
        return Held(trusted)
    look = Command.shell(_LOOK, KEY, REGISTRY_KEY, f"{SECOND_COPY}/ca.key", CA_KEY, NEXT)
    clock, *sums = connection.run(look).stdout.split()
    key, leaf_key, second, cluster, following = ("" if each == "absent" else each for each in sums)
    try:
        leaf = Leaf.parse(connection.read(REGISTRY_CERTIFICATE) or b"")
    except ValueError:
        leaf = None
    return Held(
        trusted,
        next(iter(_certificates(connection.read(CERTIFICATE))), None),
        key,
        leaf,
        leaf_key,
        bool(second) and second == cluster,
        bool(following),
        int(clock),
    )


def _certificates(pem: bytes | None) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(x509.load_pem_x509_certificates(pem or b""))
    except ValueError:  # none, or torn: it is written anew
        return ()


def _knows(held: Held) -> bool:
    return held.certificate is not None or any(authority.is_ours(certificate) for certificate in held.trusted)


def _masters_with_keys(context: Context, held: Mapping[str, Held]) -> str:
    return ", ".join(host.address for host in masters(context) if held[host.address].key)
