"""What was right is not read again until anybody touches it, in whatever way."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from installer_stub.hostside import checked
from registry_snapshot.oci.digest import Digest

MANIFEST = Digest.of(b"manifest")


@dataclass
class _File:
    path: str


@pytest.fixture
def into(tmp_path: Path) -> Path:
    directory = tmp_path / "shop-1.0.0"
    (directory / "bin").mkdir(parents=True)
    for name in ("bin/kubeadm", "bin/kubelet"):
        (directory / name).write_text(name)
    files = [_File("bin/kubeadm"), _File("bin/kubelet")]
    checked.remember(directory, MANIFEST, checked.look(directory, files), directory=tmp_path / "run")  # type: ignore[arg-type]
    return directory


def recall(into: Path, manifest: Digest = MANIFEST) -> tuple[str, ...] | None:
    return checked.recall(into, manifest, directory=into.parent / "run")


def test_untouched_files_are_known(into: Path) -> None:
    assert recall(into) == ("bin/kubeadm", "bin/kubelet")


def rewrite_as_it_was(path: Path) -> None:
    """Other bytes, the same size and the old time: only the time of change tells."""
    before = path.stat()
    path.write_bytes(b"x" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_by_link(path: Path) -> None:
    kept = path.with_name("kept")
    path.rename(kept)
    path.symlink_to(kept)


@pytest.mark.parametrize("touch", [Path.unlink, rewrite_as_it_was, replace_by_link, lambda path: path.chmod(0o700)])
def test_whatever_touches_a_file_makes_it_unknown(into: Path, touch: Callable[[Path], None]) -> None:
    touch(into / "bin" / "kubelet")
    assert recall(into) is None


def test_another_manifest_another_directory_and_a_torn_note_are_unknown(into: Path) -> None:
    assert recall(into, Digest.of(b"another")) is None
    elsewhere = into.parent / "else" / into.name
    elsewhere.parent.mkdir()
    into.rename(elsewhere)
    assert checked.recall(elsewhere, MANIFEST, directory=into.parent / "run") is None
    (note,) = (into.parent / "run").iterdir()
    for torn in (b"", b"[]", b'{"manifest": 1}', note.read_bytes()[:-9]):
        note.write_bytes(torn)
        assert recall(into) is None


def test_where_nothing_can_be_noted_nothing_is_known(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    checked.remember(tmp_path / "into", MANIFEST, {"a": "b"}, directory=tmp_path / "file" / "below")
    assert checked.recall(tmp_path / "into", MANIFEST, directory=tmp_path / "file" / "below") is None
