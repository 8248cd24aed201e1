"""What an agent says of its program, and when the host is believed without reading it again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from installer_stub.agent.program import LOOK, noted
from installer_stub.bundle.layout import identity
from installer_stub.host.command import Command
from tests.fakes.local_agent import local_agent
from tests.fakes.local_host import LocalConnection

FILES = {"airseal": b"ours", "_internal/libssl.so.3": b"library", "_internal/a/b.so": b""}
OURS = identity({path: hashlib.sha256(content).hexdigest() for path, content in FILES.items()})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "bin" / "one"
    for path, content in FILES.items():
        (made / path).parent.mkdir(parents=True, exist_ok=True)
        (made / path).write_bytes(content)
    (made / "airseal").chmod(0o755)
    (tmp_path / "bin" / "airseal").symlink_to("one/airseal")
    return made


def look(stub: Path, note: Path, *, reads: bool) -> str:
    """What LOOK answers; ``reads``: whether it had to read the files."""
    fakes = stub.parent.parent / "fakes"
    fakes.mkdir(exist_ok=True)
    (fakes / "sha256sum").write_text('#!/bin/sh\n[ $# -eq 0 ] || echo read >> "${0%/*}/read"; exec /usr/bin/sha256sum "$@"\n')
    (fakes / "sha256sum").chmod(0o755)
    (fakes / "read").unlink(missing_ok=True)
    said = LocalConnection({"PATH": f"{fakes}:/usr/bin:/bin"}).run(Command.shell(LOOK, str(stub), str(note), OURS), check=False)
    assert (fakes / "read").exists() is reads
    return said.stdout.split()[0] if said.ok else ""


def rewrite(file: Path) -> None:
    file.write_bytes(b"evil")


def replace(file: Path) -> None:
    new = file.with_name("new")
    new.write_bytes(b"evil")
    new.replace(file)


@pytest.mark.parametrize("change", [rewrite, replace])
@pytest.mark.parametrize("file", FILES)
def test_a_noted_program_is_read_again_once_any_file_of_it_changes(home: Path, file: str, change: Callable[[Path], None]) -> None:
    stub, note = home.parent / "airseal", home.parent.parent / "run" / "stub"
    assert look(stub, note, reads=True) == OURS
    assert noted(home, stub=home.parent / "another", note=note) == OURS
    assert not note.exists()
    assert noted(home, stub=stub, note=note) == OURS
    assert look(stub, note, reads=False) == OURS
    change(home / file)
    (home / "airseal").chmod(0o755)
    evil = FILES | {file: b"evil"}
    assert look(stub, note, reads=True) == identity({path: hashlib.sha256(content).hexdigest() for path, content in evil.items()})
    stub.unlink()
    assert look(stub, note, reads=False) == ""


def test_an_agent_says_what_it_is() -> None:
    agent = local_agent()
    python = Path(agent.run(Command("readlink /proc/$PPID/exe")).stdout.strip())
    assert agent.program == hashlib.sha256(python.read_bytes()).hexdigest()
    agent.close()
