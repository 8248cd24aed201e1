"""Each parser, on what Linux can answer at its worst."""

from __future__ import annotations

import pytest

from installer_stub.facts.identity import parse_glibc, parse_machine, parse_os_release
from installer_stub.facts.kernel import parse_capabilities, parse_sysctls, parse_systemd
from installer_stub.facts.network import parse_addresses, parse_ipv6_default, parse_resolv_confs, parse_routes
from installer_stub.facts.resources import mount_of, parse_disks, parse_mounts
from installer_stub.facts.software import parse_engines, parse_membership


@pytest.mark.parametrize(
    ("text", "pretty"),
    [
        ("", "unknown Linux"),
        ("ID=alpine\nVERSION_ID=3.20\n", "alpine 3.20"),
        ("# ID=no\nID='kylin'\nPRETTY_NAME=\"Kylin Linux \\\"V10\\\"\"\n", 'Kylin Linux "V10"'),
        ("PRETTY_NAME=Plain\n", "Plain"),
    ],
)
def test_os_release(text: str, pretty: str) -> None:
    assert parse_os_release(text).pretty == pretty


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("glibc 2.36\n", "2.36"),
        ("ldd (Debian GLIBC 2.36-9+deb12u10) 2.36\nCopyright (C) 2022 Free Software Foundation, Inc.\n", "2.36"),
        ("ldd (GNU libc) 2.17\nCopyright (C) 2012 Free Software Foundation, Inc.\n", "2.17"),
        ("ldd (Ubuntu GLIBC 2.35-0ubuntu3.6) 2.35\n", "2.35"),
        ("musl libc (x86_64)\nVersion 1.2.5\nDynamic Program Loader\nUsage: ldd [options] [--] pathname\n", "musl"),
    ],
)
def test_c_libraries(said: str, version: str) -> None:
    assert parse_glibc(said) == version


@pytest.mark.parametrize("said", ["", "undefined\n", "sh: ldd: not found\n", "glibc two\n"])
def test_a_host_that_does_not_say_is_not_believed_to_have_one(said: str) -> None:
    with pytest.raises(ValueError):
        parse_glibc(said)


@pytest.mark.parametrize(("machine", "architecture"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("riscv64", "riscv64")])
def test_architectures_in_the_words_of_the_oci(machine: str, architecture: str) -> None:
    assert parse_machine(f"{machine}\n6.1.0\n").architecture == architecture


@pytest.mark.parametrize(
    ("row", "mount", "total", "free"),
    [
        ("/dev/sda1 100 40 60 40% /", "/", 102400, 61440),
        ("overlay 100 40 -5 105% /", "/", 102400, 0),
        ("//server/my share 100 40 60 40% /mnt/a b", "/mnt/a b", 102400, 61440),
        ("- 0 0 0 - /run", "/run", 0, 0),
    ],
)
def test_disks(row: str, mount: str, total: int, free: int) -> None:
    (disk,) = parse_disks(f"/opt\t{row}\n")
    assert (disk.place, disk.mount, disk.total, disk.free) == ("/opt", mount, total, free)


def test_the_deepest_and_latest_mount_counts() -> None:
    mounts = parse_mounts("a / x rw 0 0\nb /var x rw 0 0\nc /var x rw,noexec 0 0\nd /variety x ro 0 0\ne /my\\040disk x rw 0 0\n")
    found = {path: mount_of(path, mounts) for path in ("/", "/var/lib", "/variety", "/va", "/my disk/x")}
    assert {path: mount.path for path, mount in found.items() if mount} == {
        "/": "/",
        "/var/lib": "/var",
        "/variety": "/variety",
        "/va": "/",
        "/my disk/x": "/my disk",
    }
    mount = found["/var/lib"]
    assert mount is not None
    assert "noexec" in mount.options


@pytest.mark.parametrize(
    ("text", "allowed"),
    [("000001ffffffffff\n000001ffffffffff\n", True), ("000001fffeffffff\n000001ffffffffff\n", False), ("", True)],
)
def test_sys_resource(*, text: str, allowed: bool) -> None:
    assert parse_capabilities(text) is allowed


@pytest.mark.parametrize(
    ("text", "version"), [("systemd 252 (252.39-1)\n+PAM\n", "252"), ("", ""), ("Failed to connect to bus\n", "")]
)
def test_systemd(text: str, version: str) -> None:
    assert parse_systemd(text) == version


def test_sysctls_that_the_kernel_lacks_are_left_out() -> None:
    assert parse_sysctls("a 1\nb\nc 3\n") == {"a": 1, "c": 3}


@pytest.mark.parametrize(
    ("text", "usable"),
    [
        ("nameserver 10.0.0.1\n", True),
        ("nameserver 10.0.0.1\nnameserver 127.0.0.1\n", False),
        ("nameserver 127.0.0.53\n", False),
        ("nameserver ::1\n", False),
        ("nameserver fe80::1%eth0\n", True),
        ("search corp\n#nameserver 10.0.0.1\nnameserver\n", False),
        ("", False),
    ],
)
def test_which_resolv_conf_a_pod_can_use(*, text: str, usable: bool) -> None:
    (conf,) = parse_resolv_confs(f"==> /etc/resolv.conf\n{text}\n")
    assert conf.usable is usable


def test_no_resolv_conf() -> None:
    assert parse_resolv_confs("") == ()


def test_routes_are_read_backwards() -> None:
    head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
    found = parse_routes(
        head
        + "eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        + "eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        + "down\t00000A0A\t00000000\t0000\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
    )
    assert (found.default, [str(network) for network in found.networks]) == (True, ["192.168.1.0/24"])
    assert parse_routes(head).default is False


@pytest.mark.parametrize(("flags", "device", "default"), [("00450003", "eth0", True), ("00200200", "lo", False)])
def test_ipv6_default_route(*, flags: str, device: str, default: bool) -> None:
    zero = "0" * 32
    line = f"{zero} 00 {zero} 00 fe80000000000000000000000000{'0001'} 00000400 00000001 00000000 {flags} {device}\n"
    assert parse_ipv6_default(line) is default


def test_addresses_without_loopback_and_link_local() -> None:
    text = "|-- 169.254.1.1\n/32 host LOCAL\n|-- 10.0.0.9\n/32 link BROADCAST\n|-- 10.0.0.2\n/32 host LOCAL\n|-- 10.0.0.2\n/32 host LOCAL\n"
    assert parse_addresses(text) == ("10.0.0.2",)


@pytest.mark.parametrize(
    ("text", "ours", "joined"),
    [
        ("", False, False),
        ('marker {"cluster": "c1", "bundle": "shop:1"}\n', True, False),
        ("joined\nserver https://10.0.0.9:6443\n", False, True),
        ("marker {torn\n", False, False),
        ("marker []\n", False, False),
    ],
)
def test_membership(*, text: str, ours: bool, joined: bool) -> None:
    found = parse_membership(text)
    assert (found.ours, found.joined) == (ours, joined)


@pytest.mark.parametrize(
    ("record", "leaving"),
    [('{"version": 1, "stage": "leaving", "authority": ""}', True), ('{"version": 1, "stage": "member", "authority": ""}', False), ('{"version": 1, "stage": "leav', False)],
)
def test_a_reset_that_was_begun(*, record: str, leaving: bool) -> None:
    assert parse_membership(f'marker {{"cluster": "c1"}}\nrecord {record}\n').leaving is leaving


def test_engines() -> None:
    assert parse_engines("bash\ndockerd\ncontainerd\ncontainerd-shim\n") == ("containerd", "dockerd")
