"""How a host is connected: addresses, routes, nameservers, ports in use, firewalls."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_address

from installer_stub.facts.base import Fact, Otherwise

RESOLV_CONFS = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")
_LISTEN = "0A"  # net/tcp_states.h
_ROUTE_UP, _ROUTE_REJECT = 0x1, 0x200  # linux/route.h


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """A resolv.conf and its nameservers."""

    path: str
    nameservers: tuple[str, ...]

    @property
    def usable(self) -> bool:
        """Whether a pod may use it: CoreDNS dies of a loopback nameserver (a loop) and of none at all."""
        return bool(self.nameservers) and not any(_is_loopback(server) for server in self.nameservers)


@dataclass(frozen=True, slots=True)
class Routes:
    """``networks`` without the default route; ``default`` tells whether there is one."""

    networks: tuple[IPv4Network, ...]
    default: bool


@dataclass(frozen=True, slots=True)
class Firewalls:
    """Firewall managers that are on."""

    firewalld: bool
    ufw: bool


def parse_resolv_confs(stdout: str) -> tuple[ResolvConf, ...]:
    """Return every file after a line "==> path"."""
    found: list[tuple[str, list[str]]] = []
    for line in stdout.splitlines():
        words = line.split()
        if words[:1] == ["==>"]:
            found.append((words[1], []))
        elif words[:1] == ["nameserver"] and len(words) > 1 and found:
            found[-1][1].append(words[1])
    return tuple(ResolvConf(path, tuple(servers)) for path, servers in found)


def parse_routes(stdout: str) -> Routes:
    """Return the main table from /proc/net/route: addresses are hexadecimal, least significant byte first."""
    networks, default = [], False
    for line in stdout.splitlines():
        fields = line.split()
        if len(fields) < 8 or fields[0] == "Iface":
            continue
        flags = int(fields[3], 16)
        if not flags & _ROUTE_UP or flags & _ROUTE_REJECT:
            continue
        network = IPv4Network((_little_endian(fields[1]), str(_little_endian(fields[7]))))
        if network.prefixlen == 0:
            default = True
        else:
            networks.append(network)
    return Routes(tuple(dict.fromkeys(networks)), default)


def parse_ipv6_default(stdout: str) -> bool:
    """Tell whether /proc/net/ipv6_route has a default route that leads somewhere."""
    rows = (line.split() for line in stdout.splitlines())
    return any(
        row[0] == "0" * 32 and row[1] == "00" and not int(row[8], 16) & _ROUTE_REJECT for row in rows if len(row) == 10
    )


def parse_addresses(stdout: str) -> tuple[str, ...]:
    """Return the host's own addresses, without loopback and link-local ones.

    From /proc/net/fib_trie, where a local IPv4 address is a leaf followed by "/32 host LOCAL", and /proc/net/if_inet6.
    """
    found: list[str] = []
    leaf = ""
    for line in stdout.splitlines():
        words = line.split()
        if words[:1] == ["|--"]:
            leaf = words[1]
        elif words == ["/32", "host", "LOCAL"]:
            found.append(leaf)
        elif len(words) == 6 and len(words[0]) == 32:
            found.append(":".join(re.findall("....", words[0])))
    addresses = [ip_address(text) for text in found]
    return tuple(dict.fromkeys(str(one) for one in addresses if not (one.is_loopback or one.is_link_local)))


def parse_listening(stdout: str) -> frozenset[int]:
    """Return the TCP ports that something listens on, from /proc/net/tcp and tcp6."""
    rows = (line.split() for line in stdout.splitlines())
    return frozenset(int(row[1].rpartition(":")[2], 16) for row in rows if len(row) > 3 and row[3] == _LISTEN)


def parse_firewalls(stdout: str) -> Firewalls:
    """Return it from "firewalld: STATE", "ufw: STATE" and ufw.conf: its unit is active even when ufw is off."""
    lines = {line.strip() for line in stdout.splitlines()}
    return Firewalls("firewalld: active" in lines, {"ufw: active", "ENABLED=yes"} <= lines)


def _little_endian(text: str) -> IPv4Address:
    return IPv4Address(int.from_bytes(bytes.fromhex(text), "little"))


def _is_loopback(server: str) -> bool:
    try:
        return ip_address(server.partition("%")[0]).is_loopback
    except ValueError:
        return False


_RESOLV = f'for file in {" ".join(RESOLV_CONFS)}; do [ -r $file ] && {{ echo "==> $file"; cat $file; echo; }}; done'
_FIREWALLS = 'for unit in firewalld ufw; do echo "$unit: $(systemctl is-active $unit)"; done; cat /etc/ufw/ufw.conf'

RESOLV_CONF: Fact[tuple[ResolvConf, ...]] = Fact("resolv-conf", _RESOLV, parse_resolv_confs, Otherwise((), "which nameserver pods may use; none is taken"))
ROUTES = Fact("routes", "cat /proc/net/route", parse_routes, Otherwise(Routes((), default=False), "whether its networks overlap the cluster's"))
IPV6_DEFAULT = Fact("ipv6-routes", "cat /proc/net/ipv6_route", parse_ipv6_default, Otherwise(value=False, meaning="whether it has a default route"))
ADDRESSES: Fact[tuple[str, ...]] = Fact("addresses", "cat /proc/net/fib_trie /proc/net/if_inet6", parse_addresses, Otherwise((), "which addresses it has"))
LISTENING: Fact[frozenset[int]] = Fact("listening", "cat /proc/net/tcp /proc/net/tcp6", parse_listening, Otherwise(frozenset(), "whether the ports of Kubernetes are free"))
FIREWALLS = Fact("firewalls", _FIREWALLS, parse_firewalls, Otherwise(Firewalls(firewalld=False, ufw=False), "whether a firewall is on"))
