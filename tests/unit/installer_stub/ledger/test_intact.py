"""What an undo will need is looked at by every run: lost bytes are named while a backup may have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from installer_stub.changes.things import Kind, Thing
from installer_stub.changes.values import Block, Sysctl, WriteFile
from installer_stub.ledger.intact import damaged, mend, mendable
from installer_stub.ledger.ledger import Ledger
from installer_stub.ledger.opening import open_ledger
from installer_stub.ledger.record import Step
from installer_stub.ledger.undo import abandon_by_name
from installer_stub.plan.model import STATE
from tests.fakes.machine import FakeHost

CONTENT = f"{STATE}/ledger/content"


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    host = FakeHost(tmp_path)
    host.put(f"{STATE}/cluster.json", "{}")
    host.put("/etc/theirs.conf", "theirs", 0o640)
    host.put("/etc/hosts", "127.0.0.1 localhost\n")
    host.put("/etc/kubernetes/pki/theirs.key", "key", 0o600)
    host.put("/proc/sys/net/ipv4/ip_forward", "0\n")
    with Ledger.opened(host.machine) as ledger:
        open_ledger(ledger, measure=True)
        ledger.remember([Thing(Kind.DIRECTORY, "/etc/kubernetes")])
        ledger.make(WriteFile("/etc/theirs.conf", b"ours"))
        ledger.make(WriteFile("/etc/new.conf", b"ours"))
        ledger.make(Block("/etc/hosts", ("10.0.0.2 api.airseal.internal",)))
        ledger.make(Sysctl("net.ipv4.ip_forward", "1"))
    return host


def lost(host: FakeHost) -> list[tuple[str, str]]:
    with Ledger.opened(host.machine) as ledger:
        return [(left.name, left.why) for left in damaged(ledger)]


def test_a_whole_ledger_has_nothing_to_say_and_looking_changes_nothing(host: FakeHost) -> None:
    before = host.tree()
    assert lost(host) == []
    assert host.tree() == before


@pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_bytes(b""), lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])])
def test_every_file_that_it_keeps_is_missed(host: FakeHost, damage: Callable[[Path], object]) -> None:
    """Each in turn: what an undo needs is named with the path, and the undo then leaves that and nothing else."""
    named = set()
    for path in sorted(host.path(CONTENT).iterdir()):
        was = path.read_bytes()
        damage(path)
        found = lost(host)
        assert all(path.name in why for _, why in found)
        named |= {name for name, _ in found}
        path.write_bytes(was)
    assert named == {"/etc/theirs.conf", "/etc/kubernetes"}  # and of /etc/hosts what is there without our lines proves what it was
    damage(host.path(f"{STATE}/ledger/before.json.zst"))
    ((name, why),) = lost(host)
    assert name == "snapshot"
    assert "before.json.zst" in why


@pytest.mark.parametrize("hosts", ["127.0.0.1 localhost\n", "127.0.0.1 localhost", "# Århus\r\n127.0.0.1 localhost\r\n"])
def test_a_file_with_our_lines_proves_what_it_was_without_them(tmp_path: Path, hosts: str) -> None:
    host = FakeHost(tmp_path)
    host.put("/etc/hosts", hosts)
    with Ledger.opened(host.machine) as ledger:
        open_ledger(ledger, measure=False)
        ledger.make(Block("/etc/hosts", ("10.0.0.2 api.airseal.internal",)))
        kept = host.path(f"{CONTENT}/{ledger.entries[0].before.sha256}")
    was = kept.read_bytes()
    kept.write_bytes(b"")
    with Ledger.opened(host.machine) as ledger:
        assert (damaged(ledger), mendable(ledger)) == ((), ("/etc/hosts",))
        assert kept.read_bytes() == b""
        mend(ledger)
        assert kept.read_bytes() == was
        assert mendable(ledger) == ()
    kept.unlink()
    host.path("/etc/hosts").write_text("10.0.0.9 somebody's since\n" + host.path("/etc/hosts").read_text())
    assert [name for name, _ in lost(host)] == ["/etc/hosts"]


def test_what_was_given_up_or_undone_is_missed_by_nobody(host: FakeHost) -> None:
    for path in host.path(CONTENT).iterdir():
        path.unlink()
    assert {name for name, _ in lost(host)} == {"/etc/theirs.conf", "/etc/kubernetes"}
    with Ledger.opened(host.machine) as ledger:
        abandon_by_name(ledger, ["/etc/theirs.conf"])
        ledger.note(Step.UNDONE, Thing(Kind.DIRECTORY, "/etc/kubernetes"))
    assert lost(host) == []
