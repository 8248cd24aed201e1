"""A container counts ticks without a mark, and ends; a build leaves marks in all that it has."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import docker.errors
import pytest

from bundler.cluster.lease import MARK, Lease, until_its_end
from bundler.cluster.privilege import boot_command
from bundler.engine import Engine


@pytest.mark.parametrize(("marked", "ends"), [((), 3), ((1,), 4), ((3,), 6), ((2, 4, 6), 9), ((1, 2, 3, 7), 6)])
def test_it_ends_three_ticks_after_the_last_mark_that_came_in_time(marked: tuple[int, ...], ends: int, tmp_path: Path) -> None:
    mark, seen = tmp_path / "mark", 0
    text = until_its_end(str(mark), tick="echo ready && read _", ticks=3)
    with subprocess.Popen(["/bin/sh", "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as shell:
        assert shell.stdin
        assert shell.stdout
        while shell.stdout.readline():
            seen += 1
            if seen in marked:
                mark.touch()
            shell.stdin.write("\n")
            shell.stdin.flush()
    assert seen == ends


def test_a_host_that_is_kept_does_not_count() -> None:
    (_, _, leased), (_, _, kept) = boot_command(closed=True, leased=True), boot_command(closed=True)
    assert MARK in leased
    assert MARK not in kept
    assert leased.endswith("exec /sbin/init")


def test_all_that_are_held_are_renewed_and_one_that_is_gone_is_no_reason_to_stop() -> None:
    marked: list[str] = []

    class Api:
        def exec_create(self, container: str, argv: list[str], **_: Any) -> dict[str, str]:
            if container == "b":
                raise docker.errors.NotFound("no such container")
            assert argv == ["touch", MARK]
            return {"Id": container}

        def exec_start(self, name: str, *, detach: bool) -> None:
            assert detach
            marked.append(name)

    lease = Lease(Engine(type("Client", (), {"api": Api()})()))
    for each in ("a", "b", "c", "d"):
        lease.hold(each)
    lease.drop("d")
    lease.renew()
    assert marked == ["a", "c"]
