"""A host that undoes itself says so before anything goes, and as long as anything of the cluster is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from installer_stub.changes.disk import Disk
from installer_stub.changes.image import Image
from installer_stub.ledger.undo import undo_host
from installer_stub.membership.evidence import EARLIER_MARK
from installer_stub.membership.record import PATH, Record, Stage, parse, render
from tests.fakes.machine import FakeHost
from tests.unit.installer_stub.ledger.test_undo import CONF, STATE, host, install, names, undo

__all__ = ["host"]
KEY = "sha256:" + "a" * 64
MEMBER = render(Record(Stage.MEMBER, KEY)).decode()


def member(host: FakeHost, record: str | None = MEMBER) -> None:
    install(host)
    if record is not None:
        host.put(PATH, record)


def stage(host: FakeHost) -> Stage | None:
    path = host.path(PATH)
    found = parse(path.read_bytes()) if path.exists() else None
    return found.stage if found is not None else None


class CutDisk(Disk):
    """Loses its power before the step with the number ``at``."""

    def __init__(self, root: Path, at: int) -> None:
        super().__init__(root)
        self.left = at

    def _step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt

    def create(self, name: str, data: bytes, mode: int = 0o600) -> None:
        self._step()
        super().create(name, data, mode)

    def append(self, name: str, data: bytes) -> None:
        self._step()
        super().append(name, data)

    def rename(self, old: str, new: str) -> None:
        self._step()
        super().rename(old, new)

    def unlink(self, name: str) -> None:
        self._step()
        super().unlink(name)

    def rmdir(self, name: str) -> None:
        self._step()
        super().rmdir(name)

    def empty(self, name: str) -> None:
        self._step()
        super().empty(name)


def everything_but_ours(host: FakeHost) -> dict[str, object]:
    return dict(host.tree(STATE, "/opt/airseal", "/etc/airseal", "/run/airseal"))


@pytest.mark.parametrize("at", range(0, 96, 5))
def test_cut_anywhere_the_host_says_that_it_is_leaving_and_the_same_command_finishes(host: FakeHost, at: int) -> None:
    before = host.tree()
    blank = everything_but_ours(host)
    member(host)
    installed = everything_but_ours(host)
    host.disk = CutDisk(host.root, at)
    try:
        undo(host)
    except KeyboardInterrupt:
        pass
    else:
        assert at > 40  # it has more steps than that, or this test proves nothing
    host.disk = None
    now = everything_but_ours(host)
    if now not in (installed, blank):
        assert stage(host) is Stage.LEAVING
    if now == blank and host.path(f"{STATE}/ledger/log").exists():
        assert stage(host) is Stage.LEAVING  # rules, settings and units are still to come
    assert undo(host).complete
    assert host.tree() == before


def test_nothing_is_stopped_before_it_is_written(host: FakeHost) -> None:
    member(host)
    seen: list[Stage | None] = []

    class Watched(type(host.units)):  # type: ignore[misc]
        def do(self, verb: str, *names: str) -> None:
            seen.append(stage(host))
            super().do(verb, *names)

    host.units = Watched(host.units.states)
    undo(host)
    assert seen
    assert set(seen) == {Stage.LEAVING}


@pytest.mark.parametrize("record", [None, "", "{", MEMBER, render(Record(Stage.BEGUN, KEY)).decode(), render(Record(Stage.LEAVING, KEY)).decode()])
def test_whatever_the_record_says_it_says_leaving(host: FakeHost, record: str | None) -> None:
    member(host, record)
    host.put(EARLIER_MARK, "x")
    host.units.stubborn.add("kubelet.service")
    report = undo(host)
    assert not report.complete
    assert stage(host) is Stage.LEAVING
    host.units.stubborn.clear()
    assert undo(host).complete
    assert not host.path(STATE).exists()


def test_what_is_left_and_nothing_of_the_cluster_does_not_forbid_to_begin_anew(host: FakeHost) -> None:
    member(host)
    host.put(EARLIER_MARK, "x")
    host.put(CONF, "an administrator's")
    assert names(undo(host)) == [CONF]
    assert not host.path(PATH).exists()
    assert not host.path(EARLIER_MARK).exists()


def test_where_it_cannot_be_written_nothing_is_taken_off(host: FakeHost) -> None:
    member(host)
    installed, done = host.tree(), len(host.units.done)

    class Full(Disk):
        def replace(self, name: str, data: bytes, image: Image) -> None:
            if name == PATH:
                raise OSError(28, "No space left on device", name)
            super().replace(name, data, image)

    host.disk = Full(host.root)
    report = undo(host)
    assert names(report) == ["membership"]
    assert "nothing was taken off" in report.left[0].why
    assert host.tree() == installed
    assert len(host.units.done) == done
    host.disk = None
    assert undo_host(host.machine, processes=host.processes).complete
