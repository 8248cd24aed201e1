"""The site registry's CA, and with it the certificates of the registries.

The cluster's own CA is none of it: Kubernetes makes that one where it wants it. The registry's CA is made on one master, and every master gets it with its key, through stdin: each issues and renews its registry's
certificate alone, whoever else is gone. Each registry's own key never leaves its host.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import ClassVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from installer_stub.errors import HostError
from installer_stub.host.command import Command, Secret
from installer_stub.host.connection import Connection, write
from installer_stub.phases import registry_authority, stub_verbs
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.registry_authority import (
    CERTIFICATE,
    KEY,
    NAMES,
    SECOND_COPY,
    STATEMENTS,
    Held,
    addresses,
    masters,
)
from installer_stub.plan.model import REGISTRY_AUTHORITY, REGISTRY_CA, HostPlan

# A certificate stands beside its own key or not at all; and what was to follow another CA does not follow this one.
_MAKE_ROOM = 'mkdir -p "$1"; chmod 0700 "$1"; rm -rf "$1/next"; rm -f "$2"'


class CreateAuthority(Phase):
    """One CA, trusted by every host and held by every master, and a certificate of its own on every master.

    In an order in which a registry that runs is believed at every moment: first all hosts trust the CA, beside whom they
    trust already; then the masters issue certificates. ``ServeImages`` starts the registries with them, and after that
    ``TrustRegistry`` lets nobody else be trusted.
    """

    title: ClassVar[str] = "Create the certificate authority"

    def is_needed(self, context: Context) -> bool:
        """Look at the CA, at who trusts it, and at the registries' certificates: whose, for what, for how long."""
        held = registry_authority.survey(context)
        if any(found.is_switching for found in held.values()):
            return True
        authority = registry_authority.known(context, held)
        return (
            authority is None
            or any(authority not in found.trusted for found in held.values())
            or any(_lacks_authority(held[host.address], held, authority) for host in masters(context))
            or any(not held[host.address].shows(host, authority) for host in masters(context))
            or any(found.has_second_copy for found in held.values())
        )

    def run(self, context: Context) -> None:
        """Make what is missing, in the order in which one needs the other."""
        held = _whole(context)
        authority = registry_authority.known(context, held)
        if authority is None:
            context.connection(masters(context)[0]).run(stub_verbs.new_authority())
            held = registry_authority.survey(context)
            authority = registry_authority.known(context, held)
        if authority is None:
            raise HostError(masters(context)[0].address, f"{CERTIFICATE} was not made")
        trust(context, held, authority)
        _share(context, held, authority)
        _issue(context, held, authority)
        for host in masters(context):
            if held[host.address].has_second_copy:
                changes = "remove the second copy of the cluster CA's key"
                context.connection(host).run(Command.of("rm", "-rf", SECOND_COPY, changes=changes))


def pem(certificate: x509.Certificate) -> bytes:
    """Return how ``certificate`` stands in a file."""
    return certificate.public_bytes(Encoding.PEM)


def _whole(context: Context) -> dict[str, Held]:
    """Return what hosts hold, after masters that were cut while they took the next CA have gone on."""
    held = registry_authority.survey(context)
    cut = [host for host in masters(context) if held[host.address].is_switching]
    if not cut:
        return held
    context.each(cut, lambda _host, connection: connection.run(stub_verbs.switch_authority()))
    return registry_authority.survey(context)


def trust(context: Context, held: Mapping[str, Held], authority: x509.Certificate) -> None:
    """Let every connected host believe registries of ``authority`` too, beside whom it believes already."""

    def write_down(host: HostPlan, connection: Connection) -> None:
        others = [each for each in held[host.address].trusted if each != authority]
        write(connection, REGISTRY_CA, b"".join(map(pem, [authority, *others])))

    context.each((host for host in context.reachable() if authority not in held[host.address].trusted), write_down)


def _share(context: Context, held: Mapping[str, Held], authority: x509.Certificate) -> None:
    """Give CA and key to the masters that lack them. The key is seen by nobody."""
    without = [host for host in masters(context) if _lacks_authority(held[host.address], held, authority)]
    if not without:
        return
    holder = context.connection(next(host for host in masters(context) if host not in without))
    key = Secret((holder.read(KEY) or b"").decode())
    context.secrets.append(key)
    if not _fit(key, authority):
        raise HostError(holder.host.address, f"{KEY} is not the key of {CERTIFICATE}", f"put {REGISTRY_AUTHORITY} back from another master")
    statements = holder.read(STATEMENTS) or b""

    def give(_host: HostPlan, connection: Connection) -> None:
        connection.run(Command.shell(_MAKE_ROOM, REGISTRY_AUTHORITY, CERTIFICATE, changes="make room for the site registry's CA"))
        public = ((STATEMENTS, statements, 0o644), (CERTIFICATE, pem(authority), 0o644))
        for path, data, mode in ((KEY, key.reveal().encode(), 0o600), *(each for each in public if each[1])):
            connection.put(io.BytesIO(data), path, size=len(data), mode=mode)

    context.each(without, give)


def _lacks_authority(found: Held, held: Mapping[str, Held], authority: x509.Certificate) -> bool:
    """Tell whether a master is without the CA, or has another key than the one beside the CA's certificate elsewhere."""
    keys = {each.key for each in held.values() if each.certificate == authority and each.key}
    return found.certificate != authority or found.key not in keys


def _fit(key: Secret, authority: x509.Certificate) -> bool:
    try:
        private = load_pem_private_key(key.reveal().encode(), None)
    except (ValueError, TypeError):
        return False
    return private.public_key() == authority.public_key()


def _issue(context: Context, held: Mapping[str, Held], authority: x509.Certificate) -> None:
    def issue(host: HostPlan, connection: Connection) -> None:
        connection.run(stub_verbs.issue_registry(addresses(host), NAMES))

    context.each((host for host in masters(context) if not held[host.address].shows(host, authority)), issue)
