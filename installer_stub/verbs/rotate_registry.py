"""``certs rotate-registry``: another CA for the site's registries, on all its hosts that answer; any one of them leads to all."""

from __future__ import annotations

from installer_stub.errors import ClusterError
from installer_stub.facts.gather import gather_all
from installer_stub.host.model import Role
from installer_stub.options import InstallOptions
from installer_stub.phases.base import Context
from installer_stub.phases.rotate_authority import Rotation, rotate
from installer_stub.phases.start_agents import leased
from installer_stub.plan.decide import build_plan
from installer_stub.site.find import with_marks
from installer_stub.site.follow import Followers
from installer_stub.verbs.certs import END_SOON
from installer_stub.verbs.open_site import OpenSite, open_site
from installer_stub.verbs.session import Session, artifact, result, session


def main(options: InstallOptions) -> int:
    """Rotate it. Return 0, or END_SOON where a host was silent and has to be told later. Raises InstallerError."""
    with session(options) as run, open_site(run) as site:
        if not any(host.name in site.connections for host in site.record.site.masters):
            raise ClusterError(f"no master of cluster {site.record.cluster} answers; nothing was changed", "let one of them be reached")
        with leased(site.connections.values(), artifact(run), "certs rotate-registry", run.screen):
            done = _rotate(run, site)
        lines = [str(done), *(f"{host.name} ({host.address}) does not answer: it is told by the next run that reaches it" for host in site.silent)]
        if site.silent:
            lines.append(f"when it is back: certs rotate-registry --master {site.record.site.masters[0].address}")
        result(run, "\n".join(lines), done=done.name.lower(), silent=[host.name for host in site.silent])
        return END_SOON if site.silent else 0


def _rotate(run: Session, site: OpenSite) -> Rotation:
    record = site.record
    hosts = Followers.everybody(site.found, record)
    facts = with_marks(gather_all({each.host.address: each for each in hosts.connections.values()}), site.found)
    by_address = {address: facts[connection.host.address] for address, connection in hosts.connections.items()}
    plan = build_plan(hosts, by_address, run.bundle.info, certificate_validity=hosts.certificate_validity, access=hosts.access, members=hosts.members)
    context = Context(plan, dict(hosts.connections), artifact(run), run.screen, record=record, secrets=run.secrets)
    return rotate(context, all_masters=not any(host.role is Role.MASTER for host in hosts.silent))
