"""An unchanged file is not read again; a changed one is, whatever somebody wrote into the record."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from installer_stub.bundle.reader import Bundle
from installer_stub.bundle.remembered import recall, remember
from installer_stub.errors import BundleError

LATER = 3600.0  # seconds from now: the file is old enough then


@pytest.fixture
def copy(run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Path(shutil.copy(run_file, tmp_path / "copy.run"))


def noted(path: Path) -> Path:
    """Verify and remember; return the record."""
    with Bundle.open(path) as bundle:
        remember(bundle, bundle.verify(), now=time.time() + LATER)
    (record,) = (Path(os.environ["XDG_CACHE_HOME"]) / "airseal" / "verified").iterdir()
    return record


def recalled(path: Path) -> str | None:
    with Bundle.open(path) as bundle:
        return recall(bundle)


def test_what_was_verified_and_did_not_change_is_known(copy: Path) -> None:
    assert recalled(copy) is None
    record = noted(copy)
    assert recalled(copy) == hashlib.sha256(copy.read_bytes()).hexdigest()
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert [stat.S_IMODE(path.stat().st_mode) for path in (record.parent, record.parent.parent)] == [0o700, 0o700]
    noted(copy)  # again, over the old one


def rewritten(path: Path) -> None:
    path.write_bytes(path.read_bytes())


def same_times(path: Path) -> None:
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(path: Path) -> None:
    before = path.stat()
    other = path.with_name("other")
    shutil.copy(path, other)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def touched(path: Path) -> None:
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize("change", [rewritten, same_times, replaced, touched])
def test_anything_that_differs_means_verify_again(copy: Path, change: Callable[[Path], None]) -> None:
    noted(copy)
    time.sleep(0.02)  # longer than the grain of the kernel's clock
    change(copy)
    assert recalled(copy) is None


def test_a_file_that_was_written_just_now_is_not_remembered(copy: Path) -> None:
    with Bundle.open(copy) as bundle:
        remember(bundle, bundle.verify())
        assert recall(bundle) is None


@pytest.mark.parametrize("mode", [0o666, 0o620, 0o602])
def test_a_record_that_others_can_write_is_none(copy: Path, mode: int) -> None:
    noted(copy).chmod(mode)
    assert recalled(copy) is None


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
def test_a_directory_that_others_can_write_has_no_records(copy: Path, mode: int) -> None:
    record = noted(copy)
    record.parent.chmod(mode)
    assert recalled(copy) is None
    record.unlink()
    with Bundle.open(copy) as bundle:
        remember(bundle, bundle.verify(), now=time.time() + LATER)
    assert list(record.parent.iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "pipe", "directory", "linked directory"])
def test_a_record_that_is_no_file_of_ours_is_none(copy: Path, kind: str, tmp_path: Path) -> None:
    record = noted(copy)
    if kind == "linked directory":
        record.parent.rename(tmp_path / "elsewhere")
        record.parent.symlink_to(tmp_path / "elsewhere")
    else:
        record.rename(tmp_path / "elsewhere")
        {"link": lambda: record.symlink_to(tmp_path / "elsewhere"), "pipe": lambda: os.mkfifo(record), "directory": record.mkdir}[kind]()
    assert recalled(copy) is None


@pytest.mark.parametrize("text", ["", "[", "[]", "7", "null", '{"sha256": 7}', "{}", "[" * 3000, "\0", '"' + "x" * 9000])
def test_a_torn_record_is_none(copy: Path, text: str) -> None:
    noted(copy).write_text(text)
    assert recalled(copy) is None


@pytest.mark.parametrize("field", ["digest", "size", "mtime", "ctime", "inode", "device", "sha256"])
def test_every_field_counts(copy: Path, field: str) -> None:
    record = noted(copy)
    value = json.loads(record.read_text())
    for wrong in ({key: each for key, each in value.items() if key != field}, {**value, field: None}, {**value, field: "x"}):
        record.write_text(json.dumps(wrong))
        assert recalled(copy) is None


def test_without_a_place_for_it_nothing_is_remembered_and_nothing_fails(copy: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with Bundle.open(copy) as bundle:
        remember(bundle, bundle.verify(), now=time.time() + LATER)
        assert recall(bundle) is None


@pytest.mark.parametrize("name", ["index.json", "airseal/images.lock.json"])
def test_a_document_that_reads_otherwise_the_second_time_is_found_without_a_verification(copy: Path, name: str) -> None:
    """With the right CRC-32 even: four bytes are enough to forge one."""
    import zlib

    with Bundle.open(copy) as bundle:
        place = bundle.place_of(name)
        with copy.open("r+b") as file:
            file.seek(place.data + 3)
            file.write(b"#")
            file.seek(place.data)
            crc = zlib.crc32(file.read(place.entry.size))
        bundle._entries[name] = (place, crc)
        with pytest.raises(BundleError, match=f"{name} is not sha256:"):
            bundle.read(name)
