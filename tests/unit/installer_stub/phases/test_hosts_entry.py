"""The API's name in /etc/hosts, over a connection: with the shell of a real machine, on a file of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from installer_stub.keep import document, script
from installer_stub.phases import hosts_entry, journal, prepare_hosts
from tests.fakes.local_host import LocalConnection
from tests.fakes.plans import M1, M2, make_plan, masters

THEIRS = "127.0.0.1 localhost\r\n10.0.0.9 公司 # café".encode() + b"\x85\x0b\xff"  # and no last newline


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "hosts"
    path.write_bytes(THEIRS)
    path.chmod(0o640)
    state = str(tmp_path / "state")
    monkeypatch.setattr(hosts_entry, "HOSTS", str(path))
    monkeypatch.setattr(hosts_entry, "SAFE", f"{state}/hosts.in-place")
    monkeypatch.setattr(document, "PATH", f"{state}/host.json")
    monkeypatch.setattr(script, "PATH", f"{state}/keep.sh")
    monkeypatch.setattr(hosts_entry, "Journal", lambda connection: journal.Journal(connection, state))
    return path


def test_it_is_put_and_taken_away_and_not_a_byte_of_others_changes(file: Path) -> None:
    host = LocalConnection()
    assert hosts_entry.point(host, "10.0.0.2")
    assert hosts_entry.points_to(host, "10.0.0.2")
    assert file.read_bytes().endswith(THEIRS)
    assert not hosts_entry.point(host, "10.0.0.2")
    assert hosts_entry.point(host, "10.0.0.3")
    assert hosts_entry.points_to(host, "10.0.0.3")
    assert hosts_entry.point(host, None)
    assert file.read_bytes() == THEIRS
    assert file.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in file.parent.iterdir()) == ["hosts", "state"]


def test_a_power_cut_in_the_middle_loses_nothing(file: Path) -> None:
    host = LocalConnection()
    hosts_entry.point(host, "10.0.0.2")
    whole = file.read_bytes()
    Path(hosts_entry.SAFE).write_bytes(whole)
    file.write_bytes(whole[:10])
    assert hosts_entry.point(host, "10.0.0.2")
    assert file.read_bytes() == whole
    assert not Path(hosts_entry.SAFE).exists()


def test_where_nothing_can_be_renamed_it_is_written_in_place(file: Path, tmp_path: Path) -> None:
    # As docker's mounted file does, this mv refuses.
    fake = tmp_path / "state" / "bin"
    fake.mkdir(parents=True)
    (fake / "mv").write_text("#!/bin/sh\nexit 1\n")
    (fake / "mv").chmod(0o755)
    inode = file.stat().st_ino
    host = LocalConnection({"PATH": f"{fake}:/usr/bin:/bin"})
    hosts_entry.Journal(LocalConnection()).remember((journal.Kind.BLOCK, str(file)))
    assert hosts_entry.point(host, "10.0.0.2")
    assert file.stat().st_ino == inode
    assert hosts_entry.point(host, None)
    assert file.read_bytes() == THEIRS


def test_the_hosts_own_document_says_the_same_from_then_on(file: Path) -> None:
    plan = make_plan(*masters(M1, M2))
    host = LocalConnection()
    before = prepare_hosts.host_document(plan, plan.masters[1], M1)
    Path(document.PATH).parent.mkdir()
    Path(document.PATH).write_bytes(before.encode())
    hosts_entry.point(host, M2)
    after = document.decode(Path(document.PATH).read_bytes())
    assert after == before.with_api(M2)
    assert Path(script.PATH).read_text() == script.script(after)
    assert f"{M2} api.airseal.internal" in file.read_text(errors="replace")
