"""What a host says of the directories that a site chose for its data: asked once the site is known, beside the usual places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from installer_stub.errors import HostError
from installer_stub.facts.gather import HostFacts
from installer_stub.facts.leftovers import parse_leftovers, script
from installer_stub.facts.resources import disks_script, parse_disks
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection
from installer_stub.host.fanout import for_each
from installer_stub.plan.settings import SiteSettings

_TIMEOUT: Final = 120.0  # seconds; du of a full directory on a slow disk
_LINKS: Final = """\
for place in PLACES; do
  real=$(readlink -m -- "$place") || exit 1
  [ "$real" = "$place" ] || echo "$place $real"
done
"""


def with_directories(facts: Mapping[str, HostFacts], connections: Mapping[str, Connection], settings: SiteSettings) -> dict[str, HostFacts]:
    """Return ``facts`` with the disks and leftovers of the directories in ``settings``.

    Raises HostError for one that leads elsewhere through a link, HostError and HostsFailed for what cannot be told.
    """
    if not settings.directories:
        return dict(facts)
    hosts = tuple(connection.host for connection in connections.values())
    by_address = {connection.host.address: connection for connection in connections.values()}
    found = for_each(hosts, lambda host: _ask(by_address[host.address], settings))
    answers = {address: found[connection.host.address] for address, connection in connections.items()}
    return {**facts, **{address: _added(facts[address], answer) for address, answer in answers.items()}}


def _ask(connection: Connection, settings: SiteSettings) -> tuple[str, str]:
    places = [path for _, path in settings.directories]
    address = connection.host.address
    links = connection.run(Command.shell(_LINKS.replace("PLACES", " ".join(places))), timeout=_TIMEOUT).stdout.split()
    if links:
        raise HostError(address, f"{links[0]} is {links[-1]}, through a link", "name the directory itself in dataDirectories, or mount a file system there")
    disks = connection.run(Command.shell(disks_script(places)), timeout=_TIMEOUT).stdout
    leftovers = connection.run(Command.shell(script(tuple((path, True) for path in places))), timeout=_TIMEOUT).stdout
    return disks, leftovers


def _added(facts: HostFacts, answer: tuple[str, str]) -> HostFacts:
    disks, leftovers = answer
    return replace(facts, disks=(*facts.disks, *parse_disks(disks)), leftovers=(*facts.leftovers, *parse_leftovers(leftovers)))
