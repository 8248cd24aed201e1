"""Another CA for the site's registries, in an order in which a registry that runs is believed at every moment.

The next CA is made beside the present one, and every host believes it; then a master switches to it, and from there on it is
what ``CreateAuthority`` finds: it gives it to the other masters, whose registries start again one after the other; then nobody
believes the old one any more. Each step looks at the hosts, so a run that was cut is gone on with, by this or by an installation.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from cryptography import x509

from installer_stub.errors import HostError, InstallerError
from installer_stub.phases import registry_authority, stub_verbs
from installer_stub.phases.base import Context
from installer_stub.phases.create_authority import CreateAuthority, trust
from installer_stub.phases.registry_authority import NEXT, Held, masters
from installer_stub.phases.serve_images import TrustRegistry
from installer_stub.plan.model import HostPlan


class Rotation(StrEnum):
    """What ``rotate`` did, for people."""

    ROTATED = "the site's registries have a new CA"
    FINISHED = "the rotation that was cut is finished: the site's registries have a new CA"
    WAITING = "the site's registries have a new CA; the old one is believed until all masters show the new one"


def rotate(context: Context, *, all_masters: bool) -> Rotation:
    """Let the registries of the connected hosts have another CA; where a rotation was cut, only go on with it.

    The old CA is believed for as long as not ``all_masters`` take part: one that is off shows its certificate when it is back.
    Raises InstallerError where there is no CA, or nobody can tell which, HostError, HostsFailed.
    """
    work = CreateAuthority()
    held = registry_authority.survey(context)
    present = None if any(each.is_switching for each in held.values()) else registry_authority.known(context, held)
    cut = present is None or not _is_settled(context, held, present)
    first = _master(context, held, present)
    if present is not None and (not cut or any(each.has_next for each in held.values())):
        _begin(context, first)
    if work.is_needed(context):
        work.run(context)
    for host in masters(context):
        context.reporter.step(f"{host.address}: letting the registry show its certificate")
        context.connection(host).run(stub_verbs.renew_registry())
    if not all_masters:
        return Rotation.WAITING
    TrustRegistry().run(context)
    return Rotation.FINISHED if cut else Rotation.ROTATED


def _begin(context: Context, master: HostPlan) -> None:
    """Make the next CA, let every host believe it too, and only then let the master use it."""
    connection = context.connection(master)
    connection.run(stub_verbs.next_authority())
    try:
        following = x509.load_pem_x509_certificate(connection.read(NEXT) or b"")
    except ValueError:
        raise HostError(master.address, f"{NEXT} was not made", "run the same command again") from None
    context.reporter.step("letting every host believe the next CA")
    trust(context, registry_authority.survey(context), following)
    connection.run(stub_verbs.switch_authority())


def _master(context: Context, held: Mapping[str, Held], present: x509.Certificate | None) -> HostPlan:
    """Return the master that holds the next CA already, else one that has the present one."""
    having = [host for host in masters(context) if held[host.address].has_next]
    having += [host for host in masters(context) if present is not None and held[host.address].certificate == present and held[host.address].key]
    if not having:
        raise InstallerError("the site's registries have no CA of their own yet", "install with this file: it makes one")
    return having[0]


def _is_settled(context: Context, held: Mapping[str, Held], present: x509.Certificate) -> bool:
    """Tell whether all hosts believe the present CA alone, and all masters use it: then nothing is to be gone on with."""
    return all(each.trusted == (present,) and not each.has_next for each in held.values()) and all(
        held[host.address].shows(host, present) for host in masters(context)
    )
