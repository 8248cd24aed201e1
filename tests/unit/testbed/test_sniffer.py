"""What stays and what leaves, decided from the bytes of frames; and the kernel's filter, run as the kernel would."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_address

import pytest

from tests.testbed.sniffer import Packet, Report, packet_filter, parse, stays

_SUBNET = IPv4Network("10.78.1.0/24")
_ETHERNET = bytes(12)


def _ipv4(destination: str, protocol: int = 6, port: int = 443) -> bytes:
    header = bytes([0x45, *bytes(8), protocol, 0, 0])
    payload = (50000).to_bytes(2, "big") + port.to_bytes(2, "big")
    packed = ip_address("10.78.1.11").packed + ip_address(destination).packed
    return _ETHERNET + b"\x08\x00" + header + packed + payload


def _ipv6(destination: str) -> bytes:
    header = bytes([0x60, *bytes(5), 17, 64])
    return (
        _ETHERNET
        + b"\x86\xdd"
        + header
        + ip_address("fd00::1").packed
        + ip_address(destination).packed
        + b"\0\0\0\x35"
    )


def _run(program: list[tuple[int, int, int, int]], frame: bytes) -> int:
    """Interpret classic BPF: the five instructions that packet_filter uses."""
    accumulator = position = 0
    while True:
        code, if_true, if_false, value = program[position]
        position += 1
        if code in {0x28, 0x20}:
            accumulator = int.from_bytes(frame[value : value + (2 if code == 0x28 else 4)], "big")
        elif code == 0x54:
            accumulator &= value
        elif code == 0x15:
            position += if_true if accumulator == value else if_false
        else:
            return value


@pytest.mark.parametrize(
    ("frame", "passes"),
    [
        (_ipv4("10.78.1.21"), False),
        (_ipv4("10.78.1.1"), False),
        (_ipv4("10.78.2.21"), True),
        (_ipv4("8.8.8.8"), True),
        (_ipv6("2001:db8::1"), True),
        (_ETHERNET + b"\x81\x00\x00\x05" + _ipv4("8.8.8.8")[12:], True),
        (_ETHERNET + b"\x08\x06" + bytes(28), False),
    ],
    ids=["inside", "gateway", "another bed", "elsewhere", "ipv6", "vlan", "arp"],
)
def test_the_kernel_hands_over_what_may_leave(*, frame: bytes, passes: bool) -> None:
    assert bool(_run(packet_filter(_SUBNET), frame)) is passes


@pytest.mark.parametrize(
    ("frame", "packet"),
    [
        (_ipv4("8.8.8.8"), "10.78.1.11 -> 8.8.8.8 tcp port 443"),
        (_ipv4("8.8.8.8", 1), "10.78.1.11 -> 8.8.8.8 icmp"),
        (_ipv4("8.8.8.8", 47), "10.78.1.11 -> 8.8.8.8 protocol 47"),
        (_ipv6("2001:db8::1"), "fd00::1 -> 2001:db8::1 udp port 53"),
        (_ETHERNET + b"\x81\x00\x00\x05" + _ipv4("8.8.8.8")[12:], "10.78.1.11 -> 8.8.8.8 tcp port 443"),
    ],
)
def test_a_packet_is_told_with_where_it_went(frame: bytes, packet: str) -> None:
    assert str(parse(frame)) == packet


@pytest.mark.parametrize("frame", [b"", _ETHERNET + b"\x08\x06" + bytes(28), _ipv4("8.8.8.8")[:20]])
def test_what_is_no_packet_is_no_packet(frame: bytes) -> None:
    assert parse(frame) is None


@pytest.mark.parametrize(
    ("destination", "inside"),
    [
        ("10.78.1.21", True), ("10.78.1.255", True), ("224.0.0.251", True), ("255.255.255.255", True),
        ("169.254.1.1", True), ("ff02::2", True), ("fe80::1", True),
        ("10.78.2.1", False), ("192.0.2.1", False), ("2001:db8::1", False), ("fd00::2", False),
    ],
)  # fmt: skip
def test_only_the_subnet_and_what_no_router_forwards_stays(*, destination: str, inside: bool) -> None:
    assert stays(ip_address(destination), _SUBNET) is inside


def test_a_report_with_a_gap_is_not_clean() -> None:
    packet = Packet(ip_address("10.78.1.11"), ip_address("8.8.8.8"), "udp", 53)
    assert Report().is_clean
    assert not Report(missed=1).is_clean
    assert "10.78.1.11 -> 8.8.8.8 udp port 53" in str(Report(left=1, first=(packet,)))
