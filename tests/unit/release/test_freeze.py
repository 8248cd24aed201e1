"""Freezing: what lies in the cache is taken as long as it is what was frozen, and what is written is on the disk before it has its name."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bundler.errors import BuildError, StubDamaged
from bundler.pack.stubs import FACTS, stub_in
from registry_snapshot.store import disk, durable
from release import freeze
from release.portable_python import Interpreter
from release.wheels import stub_wheel
from tests.unit.bundler.pack.test_stubs import DAMAGE, put


@pytest.fixture
def frozen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Freeze in no time, and return a list that hears of it."""
    made: list[Path] = []

    def build(home: Path, work: Path, *_: object) -> None:
        shutil.rmtree(home, ignore_errors=True)
        made.append(put(home))

    monkeypatch.setattr(freeze, "_build", build)
    monkeypatch.setattr(freeze, "_versions", lambda *_: "3.13")
    return made


@pytest.mark.parametrize("name", DAMAGE)
def test_what_is_no_longer_what_was_frozen_is_frozen_anew(tmp_path: Path, frozen: list[Path], name: str) -> None:
    first = freeze.freeze(tmp_path / "cache", freeze.of_this_python())
    assert freeze.freeze(tmp_path / "cache", freeze.of_this_python()) == first
    assert len(frozen) == 1
    DAMAGE[name](frozen[0])
    with pytest.raises(StubDamaged):
        stub_wheel(frozen[0], tmp_path)
    assert freeze.freeze(tmp_path / "cache", freeze.of_this_python()) == first
    assert len(frozen) == 2


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Freeze without PyInstaller; return what was told to the disk, in its order."""
    said: list[str] = []

    def pyinstaller(work: Path, interpreter: Interpreter, environment: Mapping[str, str]) -> None:
        (work / "dist").mkdir()
        (work / "dist" / "airseal-stub").write_bytes(b"program")
        (work / "dist" / "airseal-stub.pkg").write_bytes(b"package")

    def facts(*_: object) -> dict[str, Any]:
        return {"machine": "x86_64", "glibc": "2.17"}

    def fsync(descriptor: int, real: Any = os.fsync) -> None:
        said.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real(descriptor)

    def rename(self: Path, target: Path, real: Any = Path.rename) -> Path:
        said.append(f"{self.name.split('.')[1] if self.name.startswith('.') else self.name} → {target.name}")
        return Path(real(self, target))

    monkeypatch.setattr(freeze, "_run_pyinstaller", pyinstaller)
    monkeypatch.setattr(freeze, "_facts", facts)
    monkeypatch.setattr(freeze, "_try_it", lambda *_: None)
    monkeypatch.setattr(freeze, "_key", lambda _: "key")
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", rename)
    return said


def test_every_part_is_on_the_disk_before_the_directory_has_its_name(tmp_path: Path, synced: list[str]) -> None:
    assert disk.sync_directory is durable.sync_directory
    home = tmp_path / "runtime" / "key"
    (tmp_path / "runtime" / "work").mkdir(parents=True)
    freeze._build(home, tmp_path / "runtime" / "work", freeze.of_this_python(), "", {})
    kinds = ["temporary" if said.startswith(".") else said for said in synced]
    parts = [each for part, name in (("bootloader", "bootloader"), ("stub", "stub.pkg"), ("frozen", FACTS)) for each in ("temporary", f"{part} → {name}", "whole")]
    assert kinds == [*parts, "whole → key", "runtime"]
    found = stub_in(home)
    assert json.loads((home / FACTS).read_bytes())["sha256"] == found.digest
    assert found.size == len(b"programpackage")


def test_a_full_disk_is_an_error_with_a_remedy(tmp_path: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk, "_write", full)
    (tmp_path / "runtime" / "work").mkdir(parents=True)
    with pytest.raises(BuildError, match="could not be frozen"):
        freeze._build(tmp_path / "runtime" / "key", tmp_path / "runtime" / "work", freeze.of_this_python(), "", {})
    assert not (tmp_path / "runtime" / "key").exists()
