"""The stub on a host, with the host's own shell: laid out, looked at, altered, put there again, and what stands in the way."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from installer_stub.agent import program
from installer_stub.errors import CommandFailed
from installer_stub.phases import put_stub as phase
from installer_stub.phases.base import Artifact
from tests.fakes.frozen_stub import ROWS, frozen
from tests.fakes.local_host import LocalConnection
from tests.fakes.plans import IDENTITY, STUB, RecordingReporter, make_context, make_plan

ARTIFACT = make_context(make_plan()).artifact


@dataclass
class Site:
    """A host's /opt/airseal/bin in a directory."""

    root: Path
    connection: LocalConnection

    @property
    def stub(self) -> Path:
        return self.root / "bin" / "airseal"

    @property
    def home(self) -> Path:
        return self.stub.parent / self.stub.readlink().parent

    @property
    def names(self) -> list[str]:
        return sorted(path.name for path in self.stub.parent.iterdir())

    def put(self, artifact: Artifact = ARTIFACT) -> None:
        phase.put_stub(self.connection, artifact, RecordingReporter())

    def has(self, artifact: Artifact = ARTIFACT) -> bool:
        return phase.has_stub(self.connection, artifact)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(phase, "STUB", str(tmp_path / "bin" / "airseal"))
    monkeypatch.setattr(phase, "LEASE", tmp_path / "lease.json")
    monkeypatch.setattr(program, "NOTE", tmp_path / "run" / "stub")
    return Site(tmp_path, LocalConnection())


def other() -> Artifact:
    stub = frozen([*ROWS, ("more", b"x", b"of a later version")])
    return Artifact(len(stub), lambda: io.BytesIO(stub), hashlib.sha256(stub).hexdigest())


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_it_is_laid_out_for_everybody_to_read_and_for_root_to_change(site: Site, umask: int) -> None:
    before = os.umask(umask)
    try:
        assert not site.has()
        site.put()
    finally:
        os.umask(before)
    assert site.has()
    assert site.names == sorted([site.home.name, "airseal"])
    assert site.stub.read_bytes() == frozen([row for row in ROWS if row[1] not in {b"b", b"x"}])
    assert (site.home / "_internal/python3.13/lib-dynload/_ssl.so").read_bytes() == b"\x7fELF ssl"
    assert (site.home / "_internal/nacl/py.typed").read_bytes() == b""
    modes = {stat.S_IMODE(path.stat().st_mode) for path in [site.home, *site.home.rglob("*")] if path.is_dir()}
    assert modes == {0o755}
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in site.home.rglob("*") if path.is_file() and path.stat().st_mode & 0o777 != 0o644} == {"airseal": 0o755}
    asked = len(site.connection.commands)
    site.put()
    assert len(site.connection.commands) == asked + 1  # it looked, and that was all


def flip(home: Path) -> None:
    file = home / "_internal/base_library.zip"
    file.write_bytes(b"PK zap")


def flip_program(home: Path) -> None:
    data = (home / "airseal").read_bytes()
    (home / "airseal").write_bytes(data[:-20] + b"\1" + data[-19:])


def lose(home: Path) -> None:
    (home / "_internal/nacl/py.typed").unlink()


def add(home: Path) -> None:
    (home / "_internal/sitecustomize.so").write_bytes(b"evil")


def forbid(home: Path) -> None:
    (home / "airseal").chmod(0o644)


def cut(home: Path) -> None:
    (home / "_internal/python3.13/lib-dynload/_ssl.so").write_bytes(b"")


@pytest.mark.parametrize("damage", [flip, flip_program, lose, add, forbid, cut])
@pytest.mark.parametrize("known", [False, True])
def test_a_directory_that_is_not_what_was_put_there_is_found_and_replaced(site: Site, damage: Callable[[Path], None], *, known: bool) -> None:
    site.put()
    before = site.home
    if known:
        assert program.noted(before, stub=site.stub, note=program.NOTE) == IDENTITY
        assert site.has()
    damage(before)
    assert not site.has()
    site.put()
    assert site.has()
    assert site.home != before
    assert before.is_dir()  # something may run from it; the next lease sweeps it


def test_an_older_airseals_one_file_is_replaced_and_so_is_a_link_that_leads_nowhere(site: Site) -> None:
    site.stub.parent.mkdir()
    site.stub.write_bytes(STUB)
    assert not site.has()
    site.put()
    assert site.has()
    site.stub.unlink()
    site.stub.symlink_to("0123456789abcdef-0123456789ab/airseal")
    assert not site.has()
    site.put()
    assert site.has()


def test_another_version_follows_and_this_one_stays_for_what_runs_from_it(site: Site) -> None:
    site.put()
    first = site.home
    site.put(other())
    assert site.has(other())
    assert not site.has()
    assert first.is_dir()


def test_a_disk_that_answers_otherwise_gives_no_program(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.put()
    first = site.home
    fakes = site.root / "fakes"
    fakes.mkdir()
    (fakes / "head").write_text('#!/bin/sh\nexec /usr/bin/head "$@" | tr Y Z\n')
    (fakes / "head").chmod(0o755)
    monkeypatch.setattr(site, "connection", LocalConnection({"PATH": f"{fakes}:/usr/bin:/bin"}))
    with pytest.raises(CommandFailed, match="not the installer"):
        site.put(other())
    assert site.home == first
    assert site.names == sorted([first.name, "airseal"])
    assert site.has()


@pytest.mark.parametrize("tool", ["mkdir", "tail", "head", "chmod", "find", "sync", "ln", "mv"])
def test_where_a_step_fails_the_one_before_stays_and_nothing_else(site: Site, tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    site.put()
    first = site.home
    fakes = site.root / "fakes"
    fakes.mkdir()
    (fakes / tool).write_text("#!/bin/sh\ncase $1 in --help) echo --file-system; exit 0 ;; esac\nexit 1\n")
    (fakes / tool).chmod(0o755)
    later = other()
    _ = later.layout
    monkeypatch.setattr(site, "connection", LocalConnection({"PATH": f"{fakes}:/usr/sbin:/usr/bin:/sbin:/bin"}))
    monkeypatch.setattr(phase, "has_stub", lambda *_: False)
    with pytest.raises(CommandFailed):
        site.put(later)
    assert site.home == first
    assert site.names == sorted([first.name, "airseal"])


@pytest.mark.parametrize(("holder", "replaced"), [(None, True), ("dead", True), ("alive", False)])
def test_two_bring_the_stub_and_the_one_at_work_keeps_its_own(site: Site, holder: str | None, *, replaced: bool) -> None:
    site.put()
    first, lease = site.home, site.root / "lease.json"
    with subprocess.Popen(["sleep", "60"]) as process:
        if holder is not None:
            lease.write_text(json.dumps({"run": "theirs", "pid": process.pid, "since": 1.5}) + "\n")
        if holder == "dead":
            process.kill()
            process.wait()
        if replaced:
            site.put(other())
        else:
            with pytest.raises(CommandFailed, match="another run is at work there"):
                site.put(other())
        process.kill()
    assert site.has(other()) is replaced
    assert (site.home == first) is not replaced
    assert len(site.names) == 2 + replaced


def test_a_hang_up_in_the_middle_leaves_the_one_before(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.put()
    first = site.home
    fakes = site.root / "fakes"
    fakes.mkdir()
    (fakes / "sync").write_text("#!/bin/sh\ncase $1 in --help) echo --file-system; exit 0 ;; esac\nkill -HUP $PPID; sleep 0.1\n")
    (fakes / "sync").chmod(0o755)
    monkeypatch.setattr(site, "connection", LocalConnection({"PATH": f"{fakes}:/usr/bin:/bin"}))
    with pytest.raises(CommandFailed):
        site.put(other())
    assert site.home == first
    assert site.names == sorted([first.name, "airseal"])
