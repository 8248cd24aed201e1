"""The journal's face over a connection, with the real stub of this tree behind it: what was there first comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from installer_stub.errors import CommandFailed, HostError, LedgerDamaged
from installer_stub.host.command import Secret
from installer_stub.phases.journal import Journal, Kind
from tests.fakes.local_host import LocalConnection
from tests.fakes.scripted import ScriptedConnection

SYSTEMCTL = """\
#!/bin/sh
echo "$*" >> "{log}"
case "$*" in
show*old.service) printf 'LoadState=loaded\\nUnitFileState=masked\\nActiveState=inactive\\n' ;;
show*) printf 'LoadState=not-found\\nUnitFileState=\\nActiveState=inactive\\n' ;;
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


def test_a_changed_file_comes_back_with_its_mode_and_a_new_one_goes(journal: Journal, tmp_path: Path) -> None:
    target, new = tmp_path / "it's a $(touch pwned) file", tmp_path / "deep" / "new.conf"
    target.write_text("theirs\n")
    target.chmod(0o640)
    assert journal.write(str(target), "ours\n")
    assert journal.write(str(new), "ours\n", mode=0o600)
    assert journal.write(str(target), "ours, later\n")
    assert target.read_text() == "ours, later\n"
    assert new.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in journal.entries()] == [str(target), str(tmp_path / "deep"), str(new)]
    assert journal.restore() == ()
    assert target.read_text() == "theirs\n"
    assert target.stat().st_mode & 0o777 == 0o640
    assert not new.parent.exists()
    assert not (tmp_path / "pwned").exists()
    assert journal.entries() == ()
    assert journal.restore() == ()


def test_what_is_noted_already_needs_no_stub(journal: Journal, host: LocalConnection, tmp_path: Path) -> None:
    target = tmp_path / "some.conf"
    target.write_text("theirs")
    journal.remember((Kind.FILE, str(target)))
    asked = len(host.commands)
    journal.remember((Kind.FILE, str(target)))
    assert not journal.write(str(target), "theirs")
    assert len(host.commands) == asked


def test_units_are_noted_as_they_are_masked_ones_too(journal: Journal) -> None:
    journal.remember((Kind.UNIT, "old.service"), (Kind.UNIT, "new.service"))
    assert [entry.previous for entry in journal.entries()] == ["masked inactive", None]


def test_several_files_go_in_one_command_and_what_is_sent_is_never_shown(journal: Journal, host: LocalConnection, tmp_path: Path) -> None:
    from installer_stub.distro.base import HostFile

    files = [HostFile(str(tmp_path / name), f"secret {name}", 0o600) for name in ("a", "b")]
    assert journal.write_all(files) == (files[0].path, files[1].path)
    (command,) = host.commands
    assert isinstance(command.stdin, Secret)
    assert "secret" not in command.text + command.changes
    assert (tmp_path / "b").read_text() == "secret b"


def test_what_is_made_after_done_by_somebody_else_is_left_alone(journal: Journal, tmp_path: Path) -> None:
    target = tmp_path / "some.conf"
    target.write_text("theirs")
    journal.remember((Kind.FILE, str(target)))
    target.write_text("ours")
    journal.done((Kind.FILE, str(target)))
    target.write_text("an administrator's")
    (left,) = journal.restore()
    assert left.startswith(f"{target}: somebody changed it")
    assert target.read_text() == "an administrator's"


def test_a_look_that_fails_is_an_error_of_the_host_and_nothing_is_noted(journal: Journal, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(CommandFailed, match="loop"):
        journal.remember((Kind.FILE, str(tmp_path / "loop" / "x")))
    assert journal.entries() == ()


def test_a_damaged_ledger_stops_before_anything_is_changed(journal: Journal, host: LocalConnection, tmp_path: Path) -> None:
    target = tmp_path / "some.conf"
    journal.write(str(target), "ours")
    log = tmp_path / "state" / "ledger" / "log"
    first, *rest = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(first.replace(b'"n":1', b'"n":7') + b"".join(rest))
    with pytest.raises(LedgerDamaged, match=r"127\.0\.0\.1: .*line 1"):
        journal.remember((Kind.FILE, str(tmp_path / "other")))


def test_a_host_that_does_not_answer_is_not_taken_to_have_noted() -> None:
    connection = ScriptedConnection().on("host ledger", "oops")
    with pytest.raises(HostError, match="gave no answer"):
        Journal(connection).remember((Kind.FILE, "/etc/one"))


def test_the_fake_is_noted_like_the_real_one(journal: Journal, tmp_path: Path) -> None:
    fake = ScriptedConnection().journals()
    for each in (journal, Journal(fake)):
        each.write(str(tmp_path / "a"), "x")
        each.remember((Kind.SYSCTL, "kernel.no_such_thing"))
    assert [(entry.kind, entry.name) for entry in journal.entries()] == [(entry.kind, entry.name) for entry in Journal(fake).entries()]


def test_what_it_keeps_and_lost_is_told_with_the_file_that_it_was(journal: Journal, tmp_path: Path) -> None:
    target = tmp_path / "some.conf"
    target.write_text("theirs")
    journal.write(str(target), "ours")
    assert journal.damaged() == ((), ())
    (kept,) = (tmp_path / "state" / "ledger" / "content").iterdir()
    kept.unlink()
    left = {path: path.stat().st_mtime_ns for path in (tmp_path / "state").rglob("*")}
    (told,), mendable = journal.damaged()
    assert mendable == ()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "state").rglob("*")} == left, "it looks only"
    assert told.name == str(target)
    assert str(kept) in told.why
