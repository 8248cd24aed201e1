"""Proof that nothing leaves: listens on the hosts' bridge and counts every packet whose destination is elsewhere.

    with Sniffer(bed.bridge, bed.subnet, reported={"pods": "10.244.0.0/16", "services": "10.96.0.0/16"}) as sniffer:
        install()
    assert sniffer.report().is_clean, sniffer.report()

The kernel throws away what stays within the subnet before it is copied to us, so a gigabyte between hosts costs nothing;
and it tells how many packets it could not hand over, so that a gap in the proof cannot go unseen. Needs root.
"""

from __future__ import annotations

import ctypes
import ipaddress
import socket
import struct
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from types import TracebackType
from typing import Self

from tests.testbed.cache import TestBedError

_KEPT = 20
_SNAP = 128
_IPV4, _IPV6, _VLAN = 0x0800, 0x86DD, 0x8100
_EVERYTHING = 0x0003  # ETH_P_ALL
_SO_ATTACH_FILTER = 26
_SOL_PACKET, _ADD_MEMBERSHIP, _STATISTICS, _PROMISCUOUS = 263, 1, 6, 1
_PORTED = {6: "tcp", 17: "udp", 132: "sctp"}
_NAMED = {1: "icmp", 58: "icmpv6", **_PORTED}

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class Packet:
    """Where a packet came from, and where to."""

    source: Address
    destination: Address
    protocol: str
    port: int | None = None

    def __str__(self) -> str:
        port = f" port {self.port}" if self.port is not None else ""
        return f"{self.source} -> {self.destination} {self.protocol}{port}"


@dataclass(frozen=True)
class Report:
    """What was seen: packets to elsewhere, and those to the networks that are reported by name."""

    left: int = 0
    first: tuple[Packet, ...] = ()
    reported: Mapping[str, int] = field(default_factory=dict)
    missed: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether nothing left, and nothing could have left unseen."""
        return self.left == 0 and self.missed == 0

    def __str__(self) -> str:
        lines = [f"{self.left} packet(s) left the hosts' network, {self.missed} could not be looked at"]
        lines += [f"  {packet}" for packet in self.first]
        lines += [f"{count} packet(s) for {name}" for name, count in self.reported.items() if count]
        return "\n".join(lines)


class Sniffer:
    """Listens from ``__enter__`` to ``__exit__``; ``report`` may be asked at any time."""

    def __init__(
        self, bridge: str, subnet: IPv4Network, *, reported: Mapping[str, str] | None = None
    ) -> None:
        self._bridge, self._subnet = bridge, subnet
        self._reported = {name: ipaddress.ip_network(cidr) for name, cidr in (reported or {}).items()}
        self._counts: Counter[str] = Counter()
        self._first: list[Packet] = []
        self._left = self._missed = 0
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._listen, name=f"sniffer-{bridge}", daemon=True)

    def __enter__(self) -> Self:
        """Start listening. Raises TestBedError without root, or when the bridge is not there."""
        try:
            self._socket = _open(self._bridge, self._subnet)
        except PermissionError as error:
            raise TestBedError(
                "listening on a bridge needs root (CAP_NET_RAW); run the test as root"
            ) from error
        except OSError as error:
            raise TestBedError(f"cannot listen on {self._bridge}: {error}; is the bed up?") from error
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        with self._lock:
            self._count_missed()
        self._socket.close()

    def report(self) -> Report:
        """Return what was seen until now."""
        with self._lock:
            if not self._stop.is_set():
                self._count_missed()
            return Report(self._left, tuple(self._first), dict(self._counts), self._missed)

    def _listen(self) -> None:
        while True:
            try:
                frame = self._socket.recv(_SNAP)
            except TimeoutError:
                if self._stop.is_set():
                    return  # what was queued when the end came has been read
                continue
            packet = parse(frame)
            if packet is not None and not stays(packet.destination, self._subnet):
                self._note(packet)

    def _note(self, packet: Packet) -> None:
        with self._lock:
            for name, network in self._reported.items():
                if packet.destination in network:
                    self._counts[name] += 1
                    return
            self._left += 1
            if len(self._first) < _KEPT:
                self._first.append(packet)

    def _count_missed(self) -> None:
        _, dropped = struct.unpack(
            "II", self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 8)
        )  # reading resets it
        self._missed += dropped


def stays(destination: Address, subnet: IPv4Network) -> bool:
    """Tell whether a packet to this address cannot get past the bridge."""
    return (
        destination in subnet
        or destination.is_multicast
        or destination.is_link_local
        or destination.is_unspecified
        or destination == IPv4Address("255.255.255.255")
    )


def parse(frame: bytes) -> Packet | None:
    """Return the packet in an Ethernet frame; None if it is neither IPv4 nor IPv6, or cut off."""
    kind, offset = int.from_bytes(frame[12:14], "big"), 14
    if kind == _VLAN:
        kind, offset = int.from_bytes(frame[16:18], "big"), 18
    packet = frame[offset:]
    if kind == _IPV4 and len(packet) >= 20:
        header = (packet[0] & 15) * 4
        source, destination = IPv4Address(packet[12:16]), IPv4Address(packet[16:20])
        return _packet(source, destination, packet[9], packet[header:])
    if kind == _IPV6 and len(packet) >= 40:
        return _packet(IPv6Address(packet[8:24]), IPv6Address(packet[24:40]), packet[6], packet[40:])
    return None


def _packet(source: Address, destination: Address, protocol: int, payload: bytes) -> Packet:
    port = int.from_bytes(payload[2:4], "big") if protocol in _PORTED and len(payload) >= 4 else None
    return Packet(source, destination, _NAMED.get(protocol, f"protocol {protocol}"), port)


def packet_filter(subnet: IPv4Network) -> list[tuple[int, int, int, int]]:
    """Return the classic BPF program that lets through IPv6, VLANs, and IPv4 to anywhere but the subnet."""
    load_half, load_word, and_mask, jump_equal, give = 0x28, 0x20, 0x54, 0x15, 0x06
    return [
        (load_half, 0, 0, 12),
        (jump_equal, 0, 3, _IPV4),  # else to 5
        (load_word, 0, 0, 30),
        (and_mask, 0, 0, int(subnet.netmask)),
        (jump_equal, 3, 2, int(subnet.network_address)),  # 8 : 7
        (jump_equal, 1, 0, _IPV6),  # 7 : 6
        (jump_equal, 0, 1, _VLAN),  # 7 : 8
        (give, 0, 0, _SNAP),
        (give, 0, 0, 0),
    ]


def _open(bridge: str, subnet: IPv4Network) -> socket.socket:
    """Open the socket with its filter in place before the first packet can come."""
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in packet_filter(subnet))
    memory = ctypes.create_string_buffer(program)
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        filter_program = struct.pack("HL", len(program) // 8, ctypes.addressof(memory))
        opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_program)
        opened.bind((bridge, _EVERYTHING))
        index = socket.if_nametoindex(bridge)
        membership = struct.pack("iHH8s", index, _PROMISCUOUS, 0, b"")
        opened.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, membership)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        opened.settimeout(0.2)
    except BaseException:
        opened.close()
        raise
    return opened
