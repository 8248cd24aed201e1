"""What is noted, in what order, and what is never noted twice or overwritten."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from installer_stub.changes.disk import Disk
from installer_stub.changes.image import Form, Image
from installer_stub.changes.things import Kind, Thing
from installer_stub.changes.values import Link, Sysctl, WriteFile
from installer_stub.errors import CouldNotTell, LedgerDamaged, LedgerError, NotPutBack
from installer_stub.ledger.ledger import Ledger, facts_of
from installer_stub.ledger.record import Step
from tests.fakes.machine import FakeHost

CONF = Thing(Kind.FILE, "/etc/some.conf")


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path)


def test_the_first_look_counts_whatever_comes_after(host: FakeHost) -> None:
    host.put(CONF.name, "theirs")
    with Ledger.opened(host.machine) as ledger:
        assert ledger.make(WriteFile(CONF.name, b"ours, first run"))
        assert ledger.make(WriteFile(CONF.name, b"ours, second run"))
        ledger.remember([CONF])
        (entry,) = ledger.entries
        assert ledger.store.content(entry.before) == b"theirs"
        assert [after.size for after in entry.afters] == [15, 15, 16, 16]


def test_what_is_so_already_is_not_noted(host: FakeHost) -> None:
    host.put(CONF.name, "same")
    with Ledger.opened(host.machine) as ledger:
        assert not ledger.make(WriteFile(CONF.name, b"same"))
        assert ledger.entries == ()


def test_another_mode_is_another_file(host: FakeHost) -> None:
    host.put(CONF.name, "same", 0o644)
    with Ledger.opened(host.machine) as ledger:
        assert ledger.make(WriteFile(CONF.name, b"same", 0o600))
    assert host.path(CONF.name).stat().st_mode & 0o777 == 0o600


def test_the_intent_is_on_the_disk_before_the_change(host: FakeHost) -> None:
    class Killed(Disk):
        def rename(self, old: str, new: str) -> None:
            if new == CONF.name:
                raise KeyboardInterrupt
            super().rename(old, new)

    host.put(CONF.name, "theirs")
    host.disk = Killed(host.root)
    with pytest.raises(KeyboardInterrupt), Ledger.opened(host.machine) as ledger:
        ledger.make(WriteFile(CONF.name, b"ours"))
    host.disk = None
    with Ledger.opened(host.machine) as ledger:
        (entry,) = ledger.entries
        assert (entry.thing, entry.state) == (CONF, Step.INTENT)
        assert ledger.store.content(entry.before) == b"theirs"


def test_directories_made_for_a_file_are_noted_from_the_top(host: FakeHost) -> None:
    with Ledger.opened(host.machine) as ledger:
        ledger.make(WriteFile("/etc/a/b/c.conf", b""))
        assert [str(entry.thing) for entry in ledger.entries] == ["parent /etc/a", "parent /etc/a/b", "file /etc/a/b/c.conf"]


def test_a_link_replaces_a_file_and_a_setting_is_set(host: FakeHost) -> None:
    host.put("/usr/local/bin/kubectl", "theirs", 0o755)
    host.put("/proc/sys/net/ipv4/ip_forward", "0\n")
    with Ledger.opened(host.machine) as ledger:
        assert ledger.make(Link("/usr/local/bin/kubectl", "/opt/airseal/kubectl"))
        assert ledger.make(Sysctl("net.ipv4.ip_forward", "1"))
        assert [entry.before.form for entry in ledger.entries] == [Form.FILE, Form.VALUE]
    assert host.path("/proc/sys/net/ipv4/ip_forward").read_text() == "1\n"


def test_a_look_that_fails_is_not_taken_for_absence(host: FakeHost) -> None:
    class Broken(Disk):
        def seen(self, name: str) -> tuple[Image, bytes]:
            if name == CONF.name:
                raise OSError(5, "Input/output error", name)
            return super().seen(name)

    host.disk = Broken(host.root)
    with Ledger.opened(host.machine) as ledger:
        for attempt in (lambda: ledger.remember([CONF]), lambda: ledger.make(WriteFile(CONF.name, b"x"))):
            with pytest.raises(CouldNotTell):
                attempt()
        assert ledger.entries == ()


def test_several_things_are_noted_all_or_none_when_one_cannot_be_looked_at(host: FakeHost) -> None:
    host.path("/etc/loop").symlink_to("loop")
    host.put("/etc/one", "1")
    with Ledger.opened(host.machine) as ledger:
        with pytest.raises(CouldNotTell):
            ledger.remember([Thing(Kind.FILE, "/etc/one"), Thing(Kind.FILE, "/etc/loop/x")])
        assert ledger.entries == ()


def test_a_directory_is_never_replaced_by_a_file(host: FakeHost) -> None:
    host.path("/etc/some.conf").mkdir()
    with Ledger.opened(host.machine) as ledger, pytest.raises(NotPutBack, match="is a directory"):
        ledger.make(WriteFile(CONF.name, b"x"))


@pytest.mark.parametrize("damage", ["gone", "empty", "altered"])
def test_a_before_image_is_trusted_only_if_it_is_what_it_was(host: FakeHost, damage: str) -> None:
    host.put(CONF.name, "theirs")
    with Ledger.opened(host.machine) as ledger:
        ledger.remember([CONF])
        (kept,) = host.path("/var/lib/airseal/ledger/content").iterdir()
        assert kept.stat().st_mode & 0o777 == 0o600
        {"gone": kept.unlink, "empty": lambda: kept.write_bytes(b""), "altered": lambda: kept.write_bytes(b"Theirs")}[damage]()
        with pytest.raises(LedgerDamaged, match=kept.name):
            ledger.store.content(ledger.entries[0].before)


def test_one_process_at_a_time_writes(host: FakeHost) -> None:
    release, inside = threading.Event(), threading.Event()

    def hold() -> None:
        with Ledger.opened(host.machine):
            inside.set()
            release.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    inside.wait(10)
    try:
        with pytest.raises(LedgerError, match="held by another process"), Ledger.opened(host.machine, wait=0.0):
            pass
    finally:
        release.set()
        holder.join()
    with Ledger.opened(host.machine, wait=0.0):
        pass


def test_what_was_undone_and_is_changed_again_begins_anew(host: FakeHost) -> None:
    host.put(CONF.name, "first")
    with Ledger.opened(host.machine) as ledger:
        ledger.make(WriteFile(CONF.name, b"ours"))
        ledger.note(Step.UNDONE, CONF)
        host.put(CONF.name, "second")
        ledger.make(WriteFile(CONF.name, b"ours again"))
        entry = ledger.entry(CONF)
        assert entry is not None
        assert ledger.store.content(entry.before) == b"second"


def test_a_fact_is_what_was_said_last_and_no_change_of_a_thing(host: FakeHost) -> None:
    with Ledger.opened(host.machine) as ledger:
        ledger.hold({"command:1": "one two", "command:2": ""})
        ledger.hold({"command:1": "three"})
        count = len(ledger.log.records)
        ledger.hold({"command:1": "three"})
        assert len(ledger.log.records) == count
    with Ledger.opened(host.machine) as ledger:
        assert facts_of(ledger.log.records) == {"command:1": "three", "command:2": ""}
        assert ledger.entries == ()
