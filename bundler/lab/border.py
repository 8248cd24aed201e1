"""Border: who in a lab sent a packet to somewhere outside of it. Such a packet is refused at once, and never forgotten.

The network has no way out anyway. Without this a connection to an address of the internet would hang until somebody's
timeout, and nobody would learn who tried. A table of nftables in each host's own network namespace; netfilter's dynamic sets
keep source, destination, protocol and port (man nft, "set statement").
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from bundler.errors import ClusterFailed
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection

_TABLE: Final = "airseal_lab"
_ALWAYS: Final = ("127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32", "0.0.0.0/32")
_MOST: Final = 4096  # contacts that a host remembers
_TIMEOUT: Final = 30.0

_RULES: Final = """\
table ip %(table)s {
  set inside { type ipv4_addr; flags interval; auto-merge; elements = { %(inside)s } }
  set seen { type ipv4_addr . ipv4_addr . inet_proto . inet_service; flags dynamic,timeout; timeout 1d; size %(most)d; }
  chain coming { type filter hook prerouting priority -150; ip daddr @inside accept; meta l4proto { tcp, udp } update @seen { ip saddr . ip daddr . meta l4proto . th dport }; }
  chain through { type filter hook forward priority -150; ip daddr @inside accept; reject with icmp type admin-prohibited; }
  chain going { type filter hook output priority -150; ip daddr @inside accept; meta l4proto { tcp, udp } update @seen { ip saddr . ip daddr . meta l4proto . th dport }; reject with icmp type admin-prohibited; }
}
"""


@dataclass(frozen=True, slots=True, order=True)
class Contact:
    """Somebody at ``source`` wanted to speak to ``target``, at a port of a protocol."""

    source: str
    target: str
    protocol: str
    port: int

    def __str__(self) -> str:
        return f"{self.target} port {self.port}/{self.protocol}"


def guard(connection: Connection, inside: Iterable[str]) -> None:
    """Close the border of a host: ``inside`` are the networks it may speak to. Raises ClusterFailed where it cannot be closed."""
    listed = ", ".join((*_ALWAYS, *inside))
    text = _RULES % {"table": _TABLE, "inside": listed, "most": _MOST}
    done = connection.run(Command.of("nft", "-f", "-", changes="close the border", stdin=text.encode()), check=False, timeout=_TIMEOUT)
    if not done.ok:
        said = " ".join(done.stderr.split())[-300:]
        raise ClusterFailed(f"the lab's border cannot be closed on {connection.host.address}: {said}", "the engine's kernel needs nf_tables: modprobe nf_tables")


def contacts(connection: Connection) -> frozenset[Contact]:
    """Return who tried. Raises ClusterFailed where that cannot be told."""
    done = connection.run(Command.of("nft", "-j", "list", "set", "ip", _TABLE, "seen"), check=False, timeout=_TIMEOUT)
    try:
        if not done.ok:
            raise ValueError(done.stderr[-200:])  # noqa: TRY301 - one answer for all that is no list
        return frozenset(_parsed(json.loads(done.stdout)))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ClusterFailed(f"{connection.host.address}: nobody can tell who wanted to leave the lab: {error}", "report this") from None


def _parsed(value: Any) -> Iterable[Contact]:
    (found,) = (each["set"] for each in value["nftables"] if "set" in each)
    for element in found.get("elem", []):
        inner = element["elem"]["val"] if "elem" in element else element
        source, target, protocol, port = inner["concat"]
        yield Contact(str(source), str(target), str(protocol), int(port))
