"""Bytes are put onto the disk by name: a host whose dead NFS mount holds every bare sync is not waited for."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from installer_stub.host.command import Command
from installer_stub.host.flush import FLUSH
from tests.fakes.uploading import UploadingConnection

ROOT = Path(__file__).resolve().parents[4]
NEW = "--file-system  sync the file systems that contain the files"


def with_sync(directory: Path, help_text: str) -> UploadingConnection:
    """A host whose sync says ``help_text``, and notes what else it is called with."""
    directory.mkdir()
    program = directory / "sync"
    program.write_text(f'#!/bin/sh\nif [ "$1" = --help ]; then echo "{help_text}"; else echo "sync $*" >> {directory}/called; fi\n')
    program.chmod(0o755)
    return UploadingConnection({"PATH": f"{directory}:/usr/sbin:/usr/bin:/sbin:/bin"})


def called(directory: Path) -> list[str]:
    path = directory / "called"
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize(("help_text", "bare"), [(NEW, False), ("Usage: sync [OPTION]", True), ("", True)], ids=["8.24", "8.22", "unknown"])
def test_what_arrives_is_synced_by_name_or_by_dd_and_never_with_all_others(tmp_path: Path, help_text: str, *, bare: bool) -> None:
    host = with_sync(tmp_path / "bin", help_text)
    host.put(io.BytesIO(b"content"), str(tmp_path / "there" / "file"), size=7, mode=0o640)
    assert (tmp_path / "there" / "file").read_bytes() == b"content"
    assert (tmp_path / "there" / "file").stat().st_mode & 0o777 == 0o640
    seen = called(tmp_path / "bin")
    assert bool(seen) is not bare
    assert all(str(tmp_path / "there") in line for line in seen)


@pytest.mark.parametrize("help_text", [NEW, ""])
def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path, help_text: str) -> None:
    host = with_sync(tmp_path / "bin", help_text)
    if help_text:
        (tmp_path / "bin" / "sync").write_text(f'#!/bin/sh\n[ "$1" = --help ] && echo "{NEW}" || exit 1\n')
    name = str(tmp_path / "missing")
    assert not host.run(Command.shell(f'{FLUSH}flush "$1"', name), check=False).ok
    assert not Path(name).exists()


def test_dd_changes_nothing(tmp_path: Path) -> None:
    host = with_sync(tmp_path / "bin", "")
    file = tmp_path / "a file"
    file.write_bytes(b"x" * 5000)
    before = file.stat()
    host.run(Command.shell(f'{FLUSH}flush "$1" "$2"', str(file), str(tmp_path)))
    assert file.read_bytes() == b"x" * 5000
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert called(tmp_path / "bin") == []


def test_no_script_of_ours_syncs_a_file_as_old_coreutils_would_not() -> None:
    """``sync FILE`` is ``sync`` there; ``sync -f`` fails at once and may be given up."""
    named = re.compile(r'(?:^|[;&|{(]|\bthen|\bdo)\s*sync\s+(?:--\s+)?["$/{]', re.MULTILINE)
    found = [
        f"{path.relative_to(ROOT)}: {match.group().strip()!r}"
        for path in sorted((ROOT / "installer_stub").rglob("*.py"))
        if path.name != "flush.py" and (match := named.search(path.read_text()))
    ]
    assert found == []


def test_no_script_of_ours_syncs_everything() -> None:
    # "|| sync" where -f is not known is waited for with a deadline (phases.accept).
    bare = re.compile(r"\bos\.sync\(|(?:^|[;&|{(]|\bthen|\bdo|\|\|)\s*sync\s*(?:$|[;&|)}]|\\n|\"\"\"|2>)", re.MULTILINE)
    found = [
        f"{path.relative_to(ROOT)}: {match.group().strip()!r}"
        for package in ("installer_stub", "bundler", "registry_snapshot")
        for path in sorted((ROOT / package).rglob("*.py"))
        if (match := bare.search(path.read_text()))
    ]
    assert found == []
