"""The journal against this machine's shell: what was there first comes back, whatever happened in between."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from installer_stub.errors import HostError
from installer_stub.phases.journal import Entry, Journal, Kind, parse, render
from tests.fakes.local_host import LocalConnection
from tests.fakes.scripted import ScriptedConnection

SYSTEMCTL = """\
#!/bin/sh
echo "$*" >> "{log}"
case "$*" in
"is-enabled old.service") echo enabled ;;
is-enabled*) exit 1 ;;
esac
"""


@pytest.fixture
def host(tmp_path: Path) -> LocalConnection:
    fakes = tmp_path / "fakes"
    fakes.mkdir()
    script = fakes / "systemctl"
    script.write_text(SYSTEMCTL.format(log=tmp_path / "systemctl.log"))
    script.chmod(0o755)
    return LocalConnection({"PATH": f"{fakes}:/usr/sbin:/usr/bin:/sbin:/bin"})


@pytest.fixture
def journal(host: LocalConnection, tmp_path: Path) -> Journal:
    return Journal(host, str(tmp_path / "state"))


def test_a_changed_file_comes_back_with_its_mode(journal: Journal, tmp_path: Path) -> None:
    target = tmp_path / "etc" / "some.conf"
    target.parent.mkdir()
    target.write_text("theirs\n")
    target.chmod(0o640)
    assert journal.write(str(target), "ours\n")
    assert target.read_text() == "ours\n"
    assert journal.restore() == ()
    assert target.read_text() == "theirs\n"
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_file_that_was_not_there_goes_again(journal: Journal, tmp_path: Path) -> None:
    target = tmp_path / "new.conf"
    journal.write(str(target), "ours\n")
    journal.restore()
    assert not target.exists()


def test_a_link_comes_back_as_a_link(journal: Journal, tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("real")
    link.symlink_to(real)
    journal.remember((Kind.FILE, str(link)))
    link.unlink()
    link.write_text("ours")
    journal.restore()
    assert link.is_symlink()
    assert real.read_text() == "real"


def test_the_first_value_wins_over_our_own_changes(journal: Journal, tmp_path: Path) -> None:
    target = tmp_path / "some.conf"
    target.write_text("theirs")
    journal.write(str(target), "ours, first run")
    journal.write(str(target), "ours, second run")
    assert len(journal.entries()) == 1
    journal.restore()
    assert target.read_text() == "theirs"


def test_writing_what_is_there_already_changes_nothing(journal: Journal, host: LocalConnection, tmp_path: Path) -> None:
    target = tmp_path / "some.conf"
    target.write_text("same")
    assert not journal.write(str(target), "same")
    assert journal.entries() == ()
    assert [command for command in host.commands if command.changes] == []


def test_the_journal_is_written_before_the_change(host: LocalConnection, tmp_path: Path) -> None:
    """Killed between journal and change nothing is lost; the other way round the old content would be."""
    target = tmp_path / "some.conf"
    target.write_text("theirs")

    class Killed(LocalConnection):
        def put(self, *arguments: object, **named: object) -> None:
            raise KeyboardInterrupt

    killed = Killed(host._environment)
    with pytest.raises(KeyboardInterrupt):
        Journal(killed, str(tmp_path / "state")).write(str(target), "ours")
    assert [entry.name for entry in Journal(host, str(tmp_path / "state")).entries()] == [str(target)]
    assert target.read_text() == "theirs"


def test_a_torn_line_is_passed_over_and_the_next_one_stands_alone(journal: Journal, tmp_path: Path) -> None:
    journal.remember((Kind.FILE, str(tmp_path / "one")))
    path = tmp_path / "state" / "journal.jsonl"
    path.write_bytes(path.read_bytes() + b'{"kind": "file", "na')
    journal.remember((Kind.FILE, str(tmp_path / "two")))
    assert [entry.name for entry in journal.entries()] == [str(tmp_path / "one"), str(tmp_path / "two")]


def test_directories_that_were_not_there_go_and_those_that_were_empty_are_emptied(journal: Journal, tmp_path: Path) -> None:
    absent, empty, full = tmp_path / "absent", tmp_path / "empty", tmp_path / "full"
    empty.mkdir()
    full.mkdir()
    (full / "theirs").touch()
    journal.remember(*((Kind.DIRECTORY, str(path)) for path in (absent, empty, full)))
    for path in (absent, empty, full):
        path.mkdir(exist_ok=True)
        (path / "ours").touch()
        (path / ".hidden").touch()
    assert journal.restore() == ()
    assert not absent.exists()
    assert list(empty.iterdir()) == []
    assert {path.name for path in full.iterdir()} == {"theirs", "ours", ".hidden"}


def test_units_are_disabled_or_enabled_again_last_change_first(journal: Journal, tmp_path: Path) -> None:
    unit = tmp_path / "new.service"
    journal.remember((Kind.FILE, str(unit)), (Kind.UNIT, "new.service"), (Kind.UNIT, "old.service"))
    unit.write_text("[Unit]")
    (tmp_path / "systemctl.log").unlink()
    journal.restore()
    done = [line for line in (tmp_path / "systemctl.log").read_text().splitlines() if line != "daemon-reload"]
    assert done == ["enable --now old.service", "disable --now new.service"]
    assert not unit.exists()


def test_restoring_twice_is_the_same_as_once(journal: Journal, tmp_path: Path) -> None:
    target = tmp_path / "some.conf"
    target.write_text("theirs")
    journal.write(str(target), "ours")
    journal.restore()
    assert journal.restore() == ()
    assert target.read_text() == "theirs"


def test_names_with_blanks_and_quotes_are_only_names(journal: Journal, tmp_path: Path) -> None:
    target = tmp_path / "it's a $(touch pwned) file"
    target.write_text("theirs")
    journal.write(str(target), "ours")
    journal.restore()
    assert target.read_text() == "theirs"
    assert not (tmp_path / "pwned").exists()


def test_what_is_no_line_of_ours_is_no_entry() -> None:
    entry = Entry(Kind.SYSCTL, "net.ipv4.ip_forward", "0")
    data = b"\xff\n[]\n" + json.dumps({"kind": "spell", "name": "x", "previous": None}).encode() + b"\n" + render([entry])
    assert parse(data) == (entry,)
    assert parse(None) == ()


def test_a_host_that_does_not_answer_for_everything_is_not_taken_to_have_had_nothing() -> None:
    connection = ScriptedConnection().on("", "file\t/etc/one\t\n")
    with pytest.raises(HostError, match="cannot tell"):
        Journal(connection).remember((Kind.FILE, "/etc/one"), (Kind.FILE, "/etc/two"))
    assert connection.read("/var/lib/airseal/journal.jsonl") is None
