"""What is lost of a ledger's log is missed by whoever reads it: the sign beside it says how far it went."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from installer_stub.changes.disk import Disk
from installer_stub.changes.image import Image
from installer_stub.changes.things import Kind, Thing
from installer_stub.changes.values import WriteFile
from installer_stub.errors import LedgerDamaged, LedgerError
from installer_stub.ledger import words
from installer_stub.ledger.importing import was_changed
from installer_stub.ledger.ledger import Ledger
from installer_stub.ledger.log import parse, read_what_can_be
from installer_stub.ledger.opening import open_ledger
from installer_stub.ledger.put_back import put_back
from installer_stub.ledger.record import Step
from installer_stub.ledger.report import Report
from installer_stub.ledger.sign import Head, lost_of, sign_of
from installer_stub.ledger.undo import undo_host
from installer_stub.plan.model import STATE
from tests.fakes.machine import FakeHost

LOG = f"{STATE}/ledger/log"
SIGN = sign_of(STATE)
FILES = [f"/etc/{number}.conf" for number in range(6)]


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    """A host on which six files were changed, in two sessions."""
    host = FakeHost(tmp_path)
    host.put(f"{STATE}/cluster.json", "{}")
    for name in FILES:
        host.put(name, f"theirs: {name}")
    with Ledger.opened(host.machine) as ledger:
        open_ledger(ledger, measure=False)
    with Ledger.opened(host.machine) as ledger:
        for name in FILES:
            ledger.make(WriteFile(name, b"ours"))
    return host


def lost(ledger: Ledger) -> str:
    assert ledger.lost is not None
    return ledger.lost.note.removeprefix("lost ")


def records(host: FakeHost) -> int:
    with Ledger.opened(host.machine) as ledger:
        return len(ledger.log.records)


def test_a_log_that_was_cut_anywhere_is_missed_and_stays_as_it_is(host: FakeHost) -> None:
    whole, sign = host.path(LOG).read_bytes(), host.path(SIGN).read_bytes()
    for cut in range(len(whole)):
        with pytest.raises(LedgerDamaged, match="is damaged") as caught:
            parse(whole[:cut], LOG, sign)
        assert "records are lost" in caught.value.problem
        assert "forget-lost" in caught.value.remedy
    host.path(LOG).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LedgerDamaged), Ledger.opened(host.machine):
        pass
    assert host.path(LOG).read_bytes() == whole[: len(whole) // 2]


@pytest.mark.parametrize(
    "damage",
    [
        lambda log: log.unlink(),
        lambda log: log.write_bytes(b""),
        lambda log: log.write_bytes(b"\0" * log.stat().st_size),
        lambda log: log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:1])),  # only whole records, but few
        lambda log: log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1])),  # all but one
        lambda log: log.write_bytes(log.read_bytes()[:-1]),
    ],
)
def test_every_reader_misses_what_is_lost(host: FakeHost, damage: Callable[[Path], object]) -> None:
    damage(host.path(LOG))
    left = host.tree()
    with pytest.raises(LedgerDamaged), Ledger.opened(host.machine):
        pass
    with pytest.raises(LedgerDamaged):
        Ledger(host.machine).load()
    with pytest.raises(LedgerDamaged):
        undo_host(host.machine, processes=host.processes)
    assert host.tree(f"{STATE}/ledger/lock") == {name: what for name, what in left.items() if name != f"{STATE}/ledger/lock"}


def test_the_log_of_another_host_is_not_taken_for_this_one(host: FakeHost, tmp_path: Path) -> None:
    other = FakeHost(tmp_path / "other")
    with Ledger.opened(other.machine) as ledger:
        open_ledger(ledger, measure=False)
        for number in range(40):
            ledger.hold({f"fact-{number}": "x"})
    host.path(LOG).write_bytes(other.path(LOG).read_bytes())
    with pytest.raises(LedgerDamaged, match="are not those that were written down"):
        records(host)


def test_a_record_that_a_power_cut_tore_behind_the_sign_is_passed_over(host: FakeHost) -> None:
    count, sign = records(host), host.path(SIGN).read_bytes()
    with host.path(LOG).open("ab") as stream:
        stream.write(b"1234abcd {torn")
    assert records(host) == count
    assert host.path(SIGN).read_bytes() == sign


def test_records_of_a_run_that_was_killed_before_its_sign_are_kept_and_signed_by_the_next(host: FakeHost) -> None:
    sign = host.path(SIGN).read_bytes()
    with Ledger.opened(host.machine) as ledger:
        ledger.hold({"a": "b"})
    host.path(SIGN).write_bytes(sign)  # as if it had been killed in between
    count = records(host)
    head = Head.of(host.path(SIGN).read_bytes())
    assert head is not None
    assert head.records == count


def test_a_session_that_fails_leaves_a_sign_of_what_it_noted(host: FakeHost) -> None:
    def fail() -> None:
        with Ledger.opened(host.machine) as ledger:
            ledger.hold({"a": "b"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    head = Head.of(host.path(SIGN).read_bytes())
    assert head is not None
    assert head.records == records(host)


@pytest.mark.parametrize("sign", [b"", b"What airseal changed on this host stands in /var/lib/airseal/ledger.\n", b"\xff" * 5000])
def test_a_sign_that_does_not_say_how_far_is_made_anew_but_a_log_that_is_gone_is_missed(host: FakeHost, sign: bytes) -> None:
    """An older airseal wrote such signs, and a power cut may have torn them."""
    host.path(SIGN).write_bytes(sign)
    log = host.path(LOG)
    log.rename(log.with_name("elsewhere"))
    with pytest.raises(LedgerDamaged, match="all of its records are lost"):
        records(host)
    assert not log.exists()
    log.with_name("elsewhere").rename(log)
    count = records(host)
    head = Head.of(host.path(SIGN).read_bytes())
    assert head is not None
    assert head.records == count


def test_every_cut_of_a_sign_says_nothing_or_the_truth(host: FakeHost) -> None:
    sign = host.path(SIGN).read_bytes()
    for cut in range(len(sign)):
        assert Head.of(sign[:cut]) is None
    assert Head.of(sign) is not None


def test_without_a_sign_the_log_is_what_it_is(host: FakeHost) -> None:
    assert lost_of(None, b"", 0) == ""
    host.path(SIGN).unlink()
    assert records(host)
    assert host.path(SIGN).exists()


def test_a_sign_that_cannot_be_written_is_said(host: FakeHost) -> None:
    class Full(Disk):
        def replace(self, name: str, data: bytes, image: Image) -> None:
            raise OSError(28, "No space left on device", name)

    host.disk = Full(host.root)
    with pytest.raises(LedgerError, match=f"{SIGN} cannot be written"), Ledger.opened(host.machine) as ledger:
        ledger.hold({"a": "b"})


def test_going_on_without_the_lost_undoes_what_is_known_and_says_the_rest(host: FakeHost) -> None:
    whole = host.path(LOG).read_bytes()
    lines = whole.splitlines(keepends=True)
    host.path(LOG).write_bytes(b"".join(lines[:7]) + lines[7][:20])  # three files are known whole
    with Ledger.opened(host.machine, forget_lost=True) as ledger:
        assert lost(ledger) == f"{len(lines) - 7} of its {len(lines)} records are lost"
    (copy,) = host.path(f"{STATE}/ledger").glob("log.lost-*")
    assert copy.read_bytes() == b"".join(lines[:7]) + lines[7][:20]
    assert records(host) == 8  # and every command goes on
    report = undo_host(host.machine, processes=host.processes)
    assert report.complete
    assert any("records of this host's ledger were lost" in note for note in report.notes)
    assert [host.path(name).read_text() == "ours" for name in FILES] == [False, False, False, True, True, True]


def test_where_the_records_of_units_are_lost_those_whose_files_say_that_they_are_ours_end_too(host: FakeHost) -> None:
    """Seen: kubelet and containerd were in the lost half, went on, and started again what the undo ended."""
    host.put("/etc/systemd/system/kubelet.service", "# Made by airseal, after kubelet.service")
    host.put("/etc/systemd/system/airseal-keep.timer", "# Made by airseal.")
    host.put("/etc/systemd/system/containerd.service", "# Made by airseal, after containerd.service")
    host.put("/etc/systemd/system/theirs.service", "# theirs")
    host.units.states = dict.fromkeys(("kubelet.service", "containerd.service", "airseal-keep.timer", "theirs.service"), "enabled active")
    lines = host.path(LOG).read_bytes().splitlines(keepends=True)
    host.path(LOG).write_bytes(b"".join(lines[:5]))
    report = undo_host(host.machine, abandon=["ledger"], processes=host.processes)
    assert [done for done in host.units.done if done.startswith("stop ")][:3] == ["stop airseal-keep.timer", "stop kubelet.service", "stop containerd.service"]
    assert not host.path("/etc/systemd/system/kubelet.service").exists()
    assert host.path("/etc/systemd/system/kubelet.service.made-by-airseal").exists()
    assert host.path("/etc/systemd/system/theirs.service").exists()
    assert was_changed(host.machine) == ""  # so an installation after this one begins as on any host
    assert undo_host(host.machine, processes=host.processes).complete
    assert {host.units.states[name] for name in ("kubelet.service", "containerd.service", "airseal-keep.timer")} == {"disabled inactive"}
    assert host.units.states["theirs.service"] == "enabled active"
    assert sum("which says that airseal made it, is" in note for note in report.notes) == 3


def test_a_unit_that_was_noted_again_after_the_loss_is_not_put_back_as_theirs(host: FakeHost) -> None:
    """An upgrade or a repair notes what is there, and what is there is ours: a reset would start the cluster again."""
    host.put("/etc/systemd/system/kubelet.service", "# Made by airseal, after kubelet.service")
    host.units.states = {"kubelet.service": "enabled active"}
    host.path(LOG).write_bytes(b"".join(host.path(LOG).read_bytes().splitlines(keepends=True)[:5]))
    with Ledger.opened(host.machine, forget_lost=True):
        pass
    with Ledger.opened(host.machine) as ledger:
        ledger.remember([Thing(Kind.UNIT, "kubelet.service"), Thing(Kind.UNIT, "containerd.service")])
    report = undo_host(host.machine, processes=host.processes)
    assert report.complete
    assert host.units.states["kubelet.service"] == "disabled inactive"


def test_a_unit_of_theirs_under_a_file_of_ours_comes_back_where_that_is_known(host: FakeHost) -> None:
    """Their containerd ran; records were lost before ours came: what was noted after that is true, for its file was not ours then."""
    host.units.states = {"containerd.service": "enabled active"}
    host.path(LOG).write_bytes(b"".join(host.path(LOG).read_bytes().splitlines(keepends=True)[:5]))
    with Ledger.opened(host.machine, forget_lost=True) as ledger:
        ledger.remember([Thing(Kind.UNIT, "containerd.service")])
        ledger.make(WriteFile("/etc/systemd/system/containerd.service", b"# Made by airseal"))
    assert undo_host(host.machine, processes=host.processes).complete
    assert host.units.states["containerd.service"] == "enabled active"
    assert not host.path("/etc/systemd/system/containerd.service").exists()


def test_a_unit_whose_record_alone_was_lost_is_said_to_be_off(host: FakeHost) -> None:
    host.units.states = {"containerd.service": "enabled active"}
    with Ledger.opened(host.machine) as ledger:
        ledger.make(WriteFile("/etc/systemd/system/containerd.service", b"# Made by airseal"))
        ledger.remember([Thing(Kind.UNIT, "containerd.service")])
        ledger.hold({"a": "b"})
    lines = host.path(LOG).read_bytes().splitlines(keepends=True)
    host.path(LOG).write_bytes(b"".join([*lines[:-2], b"00000000 {}\n", lines[-1]]))
    report = undo_host(host.machine, abandon=["ledger"], processes=host.processes)
    assert report.complete
    assert not host.path("/etc/systemd/system/containerd.service").exists()
    assert any(note.startswith("unit containerd.service: it is switched off") for note in report.notes)
    assert host.units.done[-1] == "daemon-reload"


@pytest.mark.parametrize("there", ["/opt/airseal/lost+found/x", "/opt/airseal/shop.run", "/opt/airseal/bin/airseal", "/etc/systemd/system/theirs.service"])
def test_a_fresh_host_is_not_taken_for_one_that_was_changed(tmp_path: Path, there: str) -> None:
    fresh = FakeHost(tmp_path / "fresh")
    fresh.put(there, "theirs")
    with Ledger.opened(fresh.machine) as ledger:
        assert open_ledger(ledger, measure=True)
        assert ledger.lost is None
        assert ledger.beginning is not None
        assert ledger.beginning.note


def test_what_was_noted_anew_counts_though_the_record_between_is_lost(host: FakeHost) -> None:
    """Undone, written by an administrator, changed again: without the record of the undoing, the first before is not what it was."""
    with Ledger.opened(host.machine) as ledger:
        entry = ledger.entry(Thing(Kind.FILE, FILES[0]))
        assert entry is not None
        put_back(ledger, entry)
        ledger.note(Step.UNDONE, entry.thing)
    host.path(FILES[0]).write_text("an administrator's")
    with Ledger.opened(host.machine) as ledger:
        ledger.make(WriteFile(FILES[0], b"ours"))
    lines = host.path(LOG).read_bytes().splitlines(keepends=True)
    undone = next(number for number, line in enumerate(lines) if b'"step":"undone"' in line)
    host.path(LOG).write_bytes(b"".join([*lines[:undone], b"00000000 {}\n", *lines[undone + 1 :]]))
    report = undo_host(host.machine, abandon=["ledger"], processes=host.processes)
    assert report.complete
    assert host.path(FILES[0]).read_text() == "an administrator's"


def test_a_host_whose_ledger_and_sign_are_both_gone_is_known_by_its_units(host: FakeHost) -> None:
    host.put("/etc/systemd/system/kubelet.service", "# Made by airseal, after kubelet.service")
    host.units.states = {"kubelet.service": "enabled active"}
    host.path(LOG).unlink()
    host.path(SIGN).unlink()
    with pytest.raises(LedgerDamaged, match="log is missing"):
        undo_host(host.machine, processes=host.processes)
    report = undo_host(host.machine, abandon=["ledger"], processes=host.processes)
    assert report.complete
    assert host.units.states["kubelet.service"] == "disabled inactive"
    assert any("records of this host's ledger were lost" in note for note in report.notes)


def test_a_ledger_that_begins_on_a_host_that_airseal_changed_says_so_and_measures_nothing(host: FakeHost) -> None:
    host.put("/etc/systemd/system/kubelet.service", "# Made by airseal, after kubelet.service")
    host.path(LOG).unlink()
    host.path(SIGN).unlink()
    with Ledger.opened(host.machine) as ledger:
        assert open_ledger(ledger, measure=True)
        assert lost(ledger).startswith("all of them")
        assert ledger.beginning is not None
        assert ledger.beginning.note == ""


def test_an_undo_whose_sign_cannot_be_written_still_reports_what_it_did(host: FakeHost) -> None:
    class Full(Disk):
        def replace(self, name: str, data: bytes, image: Image) -> None:
            if name == SIGN:
                raise OSError(28, "No space left on device", name)
            super().replace(name, data, image)

    host.path(FILES[0]).write_text("an administrator's")
    host.disk = Full(host.root)
    report = undo_host(host.machine, processes=host.processes)
    assert [left.name for left in report.left] == [FILES[0], "sign"]
    assert len(report.undone) > 3
    assert not report.complete


def test_a_line_that_was_altered_in_the_middle_has_the_same_way_out(host: FakeHost) -> None:
    lines = host.path(LOG).read_bytes().splitlines(keepends=True)
    host.path(LOG).write_bytes(b"".join([*lines[:6], b"00000000 {}\n", *lines[7:]]))
    with pytest.raises(LedgerDamaged, match="damaged at line 7"):
        records(host)
    with Ledger.opened(host.machine, forget_lost=True) as ledger:
        assert lost(ledger) == f"1 of its {len(lines)} records are lost"
        assert len(ledger.log.records) == len(lines)  # one of them says so instead
        ledger.remember([Thing(Kind.FILE, "/etc/new.conf")])
    assert records(host) == len(lines) + 1
    report = undo_host(host.machine, processes=host.processes)
    assert [left.name for left in report.left] == []


def test_a_line_that_is_none_between_whole_records_loses_nothing_and_is_said(host: FakeHost) -> None:
    lines = host.path(LOG).read_bytes().splitlines(keepends=True)
    host.path(LOG).write_bytes(b"".join([*lines[:5], b"garbage\n", *lines[5:]]))
    host.path(SIGN).unlink()
    with Ledger.opened(host.machine, forget_lost=True) as ledger:
        assert lost(ledger) == "line 6 of it is none"
        assert len(ledger.log.records) == len(lines) + 1
    assert undo_host(host.machine, processes=host.processes).complete
    assert [host.path(name).read_text() for name in FILES] == [f"theirs: {name}" for name in FILES]


def test_what_a_thing_was_is_never_concluded_from_a_record_behind_a_lost_one(host: FakeHost) -> None:
    """A thing is noted with what it was once, and later changes of it are not: those alone would say that there was no file."""
    with Ledger.opened(host.machine) as ledger:
        ledger.make(WriteFile(FILES[0], b"ours, later"))
    lines = host.path(LOG).read_bytes().splitlines(keepends=True)
    first = next(number for number, line in enumerate(lines) if FILES[0].encode() in line)
    host.path(LOG).write_bytes(b"".join([*lines[:first], b"00000000 {}\n", *lines[first + 1 :]]))
    report = undo_host(host.machine, abandon=["ledger"], processes=host.processes)
    assert report.complete
    assert host.path(FILES[0]).read_text() == "ours, later"
    assert [host.path(name).read_text() for name in FILES[1:]] == [f"theirs: {name}" for name in FILES[1:]]


def test_a_log_that_is_gone_is_given_up_with_the_cluster_by_name(host: FakeHost) -> None:
    host.path(LOG).unlink()
    report = undo_host(host.machine, abandon=["ledger"], processes=host.processes)
    assert report.complete
    assert not report.measured
    assert host.path(FILES[0]).read_text() == "ours"
    assert not host.path(STATE).exists()


def test_forgetting_where_nothing_is_lost_changes_nothing(host: FakeHost) -> None:
    before = host.tree()
    with Ledger.opened(host.machine, forget_lost=True):
        pass
    assert host.tree() == before


def test_forgetting_that_is_cut_off_is_begun_again(host: FakeHost) -> None:
    class Cut(Disk):
        def rename(self, old: str, new: str) -> None:
            if new == LOG:
                raise OSError(5, "Input/output error", old)
            super().rename(old, new)

    lines = host.path(LOG).read_bytes().splitlines(keepends=True)
    host.path(LOG).write_bytes(b"".join(lines[:3]) + b"x")
    host.disk = Cut(host.root)
    with pytest.raises(LedgerError, match="cannot be mended"), Ledger.opened(host.machine, forget_lost=True):
        pass
    host.disk = None
    with Ledger.opened(host.machine, forget_lost=True) as ledger:
        assert len(ledger.log.records) == 4


@pytest.mark.parametrize("sign", [True, False])
def test_forgetting_knows_what_it_forgot_before_the_log_is_whole(host: FakeHost, *, sign: bool) -> None:
    """With a sign that does not reach so far, or none, nothing but the log itself would tell that records were given up."""
    lines = host.path(LOG).read_bytes().splitlines(keepends=True)
    host.path(LOG).write_bytes(b"".join([*lines[:6], b"00000000 {}\n", *lines[7:]]))
    host.path(SIGN).write_bytes(b"") if sign else host.path(SIGN).unlink()
    log = Ledger(host.machine).log
    log.forget_lost(None, 0)  # and the power is cut: no sign was written
    with Ledger.opened(host.machine) as ledger:
        assert lost(ledger) == f"1 of its {len(lines)} records are lost"


def test_a_sign_that_is_no_file_is_named(host: FakeHost) -> None:
    host.path(SIGN).unlink()
    host.path(SIGN).mkdir()
    with pytest.raises(LedgerError, match=f"{SIGN} cannot be read"):
        records(host)


def test_the_words_for_people_show_and_forget(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    state = str(tmp_path / "state")
    for number in range(4):
        words.answer("hold", state, b'{"facts": {"a": "%d"}}' % number)
    log = Path(state) / "ledger" / "log"
    log.write_bytes(log.read_bytes()[:-30])
    with pytest.raises(LedgerDamaged):
        words.answer("hold", state, b'{"facts": {"a": "9"}}')
    assert words.run(Namespace(word="ledger", action="show", state=state)) == 0
    assert "lost: 1 of its 5 records are lost" in capsys.readouterr().out
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert words.run(Namespace(word="ledger", action="forget-lost", state=state)) == 0
    assert "1 of its 5 records are lost" in capsys.readouterr().out
    log.write_bytes(log.read_bytes()[:-30])
    asked = Namespace(word="undo", state=state, yes=True, json=True, abandon=[])
    assert words.run(asked) == LedgerDamaged.exit_code
    (left,) = Report.of_json(capsys.readouterr().out).left
    assert (left.name, "1 of its 5 records are lost" in left.why, "forget-lost" in left.remedy) == ("ledger", True, True)
    asked.json = False
    with pytest.raises(LedgerDamaged):
        words.run(asked)
    assert words.run(Namespace(word="ledger", action="forget-lost", state=state)) == 0
    words.answer("hold", state, b'{"facts": {"a": "9"}}')
    assert len(read_what_can_be(log.read_bytes(), None)) == 6
