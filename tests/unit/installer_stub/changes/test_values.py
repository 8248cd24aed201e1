"""Changes as values: what they look like, what they say, what they make; a look that fails is unknown."""

from __future__ import annotations

from pathlib import Path

import pytest

from installer_stub.changes.block import with_block, without_block
from installer_stub.changes.disk import Disk
from installer_stub.changes.image import Form, Image
from installer_stub.changes.mounts import below, parse_mounts
from installer_stub.changes.things import sysctl_path
from installer_stub.changes.values import (
    Block,
    Change,
    Directory,
    Link,
    Module,
    Observed,
    Sysctl,
    WriteFile,
    observe,
)
from tests.fakes.machine import FakeHost

CHANGES: tuple[Change, ...] = (
    WriteFile("/etc/some.conf", b"a secret", 0o600),
    Link("/etc/link", "/opt/airseal/x"),
    Block("/etc/hosts", ("10.0.0.2 api.airseal.internal",)),
    Sysctl("net.ipv4.ip_forward", "1"),
    Directory("/etc/kubernetes"),
)


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    host = FakeHost(tmp_path)
    host.put("/proc/sys/net/ipv4/ip_forward", "0\n")
    host.put("/etc/hosts", "127.0.0.1 localhost")
    return host


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: type(change).__name__)
def test_each_is_not_so_then_made_then_so(host: FakeHost, change: Change) -> None:
    assert observe(change, host.machine) in {Observed.ABSENT, Observed.DIFFERENT}
    change.make(host.machine)
    assert observe(change, host.machine) is Observed.SAME
    assert "secret" not in change.describe()


def test_a_module_is_loaded_by_modprobe(host: FakeHost) -> None:
    host.programs.answers["modprobe overlay"] = ""
    assert observe(Module("overlay"), host.machine) is Observed.ABSENT
    Module("overlay").make(host.machine)
    assert host.programs.asked == [("modprobe", "overlay")]


def test_an_error_of_the_disk_is_unknown_and_never_absent(host: FakeHost) -> None:
    host.path("/etc/loop").symlink_to("loop")
    for change in (WriteFile("/etc/loop/x", b""), Link("/etc/loop/x", "y"), Directory("/etc/loop/x"), Block("/etc/loop/x", ())):
        assert observe(change, host.machine) is Observed.UNKNOWN


@pytest.mark.parametrize("before", [b"", b"one\n", b"one", b"\xff\xfe\r\n\x85\x0b", "公司服务器\n".encode(), b"\n\n"])
def test_a_block_comes_and_goes_and_no_other_byte_changes(before: bytes) -> None:
    made = with_block(before, [b"10.0.0.2 name"])
    assert with_block(made, [b"10.0.0.2 name"]) == made
    assert without_block(made) in {before, before + b"\n"}


@pytest.mark.parametrize(
    ("data", "rest"),
    [
        (b"# airseal begin\ntheirs\n", b"theirs\n"),  # torn: what follows is not ours
        (b"# airseal begin\n# airseal begin\nours\n# airseal end\ntheirs\n", b"theirs\n"),
        (b"10.0.0.9 name\n# airseal end\ntheirs\n", b"theirs\n"),
    ],
)
def test_a_torn_block_takes_nothing_of_others_with_it(data: bytes, rest: bytes) -> None:
    assert without_block(data, b"name") == rest


def test_a_file_keeps_its_attributes_owner_and_time(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    path.chmod(0o4750)
    disk = Disk(tmp_path)
    image, data = disk.seen("/file")
    disk.replace("/file", b"y", Image(Form.FILE, mode=0o600))
    disk.replace("/file", data, image)
    assert disk.seen("/file") == (image, data)
    assert Image.of_json(image.to_json()) == image


def test_mounts_below_are_the_deepest_first_and_blanks_are_read() -> None:
    mounts = parse_mounts("a / x 0 0\nb /var/lib/kubelet x 0 0\nc /var/lib/kubelet/a x 0 0\nd /var/lib/kubelet/a/b\\040c x 0 0\ne /var/lib/kubelet2/x x 0 0\n")
    assert [mount.target for mount in below(mounts, "/var/lib/kubelet")] == ["/var/lib/kubelet/a/b c", "/var/lib/kubelet/a"]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("net.ipv4.ip_forward", "/proc/sys/net/ipv4/ip_forward"),
        ("net/ipv4/conf/eth0.5/forwarding", "/proc/sys/net/ipv4/conf/eth0.5/forwarding"),
        ("net.ipv4.conf.eth0/5.forwarding", "/proc/sys/net/ipv4/conf/eth0.5/forwarding"),
    ],
)
def test_both_spellings_of_a_setting(name: str, path: str) -> None:
    assert sysctl_path(name) == path
