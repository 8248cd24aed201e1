"""What an agent says of its program, and when the host is believed without reading it again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from installer_stub.agent.program import LOOK, about
from installer_stub.host.command import Command
from tests.fakes.local_agent import local_agent
from tests.fakes.local_host import LocalConnection

OURS = hashlib.sha256(b"ours").hexdigest()


def look(stub: Path, note: Path, *, hashes: bool) -> str:
    """What LOOK answers; ``hashes``: whether it had to read the program."""
    fakes = stub.parent / "fakes"
    fakes.mkdir(exist_ok=True)
    (fakes / "sha256sum").write_text('#!/bin/sh\necho read >> "${0%/*}/read"; exec /usr/bin/sha256sum "$@"\n')
    (fakes / "sha256sum").chmod(0o755)
    (fakes / "read").unlink(missing_ok=True)
    said = LocalConnection({"PATH": f"{fakes}:/usr/bin:/bin"}).run(Command.shell(LOOK, str(stub), str(note), OURS), check=False)
    assert (fakes / "read").exists() is hashes
    return said.stdout.split()[0] if said.ok else ""


def rewrite(stub: Path) -> None:
    stub.write_bytes(b"evil")


def replace(stub: Path) -> None:
    new = stub.with_name("new")
    new.write_bytes(b"evil")
    new.replace(stub)


@pytest.mark.parametrize("change", [rewrite, replace])
def test_a_noted_program_is_read_again_once_it_changes(tmp_path: Path, change: Callable[[Path], None]) -> None:
    stub, note = tmp_path / "airseal", tmp_path / "run" / "stub"
    stub.write_bytes(b"ours")
    assert look(stub, note, hashes=True) == OURS
    about(program=stub, stub=tmp_path / "another", note=note)
    assert not note.exists()
    assert about(program=stub, stub=stub, note=note) == {"program": OURS, "inode": f"{stub.stat().st_dev}:{stub.stat().st_ino}"}
    assert look(stub, note, hashes=False) == OURS
    change(stub)
    assert look(stub, note, hashes=True) == hashlib.sha256(b"evil").hexdigest()
    stub.unlink()
    assert look(stub, note, hashes=False) == ""


def test_an_agent_says_what_it_is() -> None:
    agent = local_agent()
    python = Path(agent.run(Command("readlink /proc/$PPID/exe")).stdout.strip())
    assert agent.program == hashlib.sha256(python.read_bytes()).hexdigest()
    assert agent.inode == f"{python.stat().st_dev}:{python.stat().st_ino}"
    agent.close()
