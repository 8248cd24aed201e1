"""Where a client runs: a network of its own with this machine at its gateway, and nothing behind it.

It has a default route and a nameserver that knows every name, like a host that believes in an internet: so whatever a client
sends to elsewhere really leaves it, is seen by a sniffer at the gateway, and ends there: that interface does not forward.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Protocol

from tests.clients.nameserver import nameserver
from tests.testbed.cache import Cache, locked

_NAME = "airseal-clients"
_INTERFACE, _PEER = "airseal-c0", "airseal-c1"
_SUBNET = IPv4Network("10.79.0.0/24")

# Not `ip netns exec`: that mounts /sys anew, without the cgroups that dockerd asks for.
_ENTER = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'


class World(Protocol):
    """What clients need to know of where they are, and a sniffer too."""

    @property
    def gateway(self) -> str:
        """This machine's address there: where our registries listen."""

    @property
    def client_address(self) -> str:
        """The address that a client's requests come from."""

    @property
    def netns(self) -> Path:
        """The file that is its network namespace."""

    @property
    def interface(self) -> str:
        """Where all its packets pass."""

    @property
    def subnet(self) -> IPv4Network:
        """What is not elsewhere."""

    @property
    def looked_up(self) -> list[str]:
        """The names that clients asked the nameserver for."""

    def command(self, *words: str | Path) -> list[str]:
        """Return the command line that runs ``words`` there."""


@dataclass(frozen=True)
class Namespace:
    """A network namespace of this machine. Processes in it see the machine's files."""

    resolv_conf: Path
    gateway: str = str(_SUBNET[1])
    client_address: str = str(_SUBNET[2])
    netns: Path = Path("/run/netns") / _NAME
    interface: str = _INTERFACE
    subnet: IPv4Network = _SUBNET
    looked_up: list[str] = field(default_factory=list)
    """The names that clients asked the nameserver for."""

    def command(self, *words: str | Path) -> list[str]:
        """Return the command line that runs ``words`` in it, as the very process that is started."""
        enter = ["nsenter", f"--net=/run/netns/{_NAME}", "unshare", "--mount", "sh", "-c", _ENTER, self.resolv_conf, *words]
        return [str(word) for word in enter]


@contextmanager
def namespace(cache: Cache) -> Iterator[Namespace]:
    """Make the namespace, for one process at a time; what a killed one left behind is removed first. Needs root."""
    with locked(cache.root / "clients.lock"):
        _remove()
        resolv_conf = cache.root / "clients-resolv.conf"
        resolv_conf.write_text(f"nameserver {_SUBNET[1]}\noptions timeout:1 attempts:1\n")
        gateway, address = f"{_SUBNET[1]}/{_SUBNET.prefixlen}", f"{_SUBNET[2]}/{_SUBNET.prefixlen}"
        inside = ("-n", _NAME)
        _ip("netns", "add", _NAME)
        try:
            _ip("link", "add", _INTERFACE, "type", "veth", "peer", "name", _PEER, "netns", _NAME)
            _ip("address", "add", gateway, "dev", _INTERFACE)
            _ip("link", "set", _INTERFACE, "up")
            Path(f"/proc/sys/net/ipv4/conf/{_INTERFACE}/forwarding").write_text("0")
            _ip(*inside, "address", "add", address, "dev", _PEER)
            _ip(*inside, "link", "set", _PEER, "up")
            _ip(*inside, "link", "set", "lo", "up")
            _ip(*inside, "route", "add", "default", "via", str(_SUBNET[1]))
            world = Namespace(resolv_conf)
            with nameserver(world.gateway, world.looked_up):
                yield world
        finally:
            _remove()


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """Return an environment that tells a client nothing: no proxies, no logins, a home of its own."""
    home.mkdir(parents=True, exist_ok=True)
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8", **more}


def _remove() -> None:
    for words in (("link", "delete", _INTERFACE), ("netns", "delete", _NAME)):
        subprocess.run(["ip", *words], capture_output=True, check=False)


def _ip(*words: str) -> None:
    done: subprocess.CompletedProcess[str] = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"


def run(command: Sequence[str], environment: dict[str, str], *, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """Run one command of a client and keep its words."""
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds, check=False)
