"""Which installer an artifact gets: the one that belongs to this airseal and to the bundle's machine, or a word about what to do."""

from __future__ import annotations

import json
import os
import platform
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

from bundler.errors import BuildError, StubMissing
from bundler.pack import stubs
from bundler.pack.stub_sources import sources_digest
from bundler.pack.stubs import FORMAT, frozen_before, stub_for

HERE = platform.machine()
AMD64, ARM64 = "linux/amd64", "linux/arm64"


def put(home: Path, program: bytes = b"x", **facts: Any) -> Path:
    """Lay a stub down, as ``make stub`` does."""
    home.mkdir(parents=True)
    head = b"\x7fELF\x02\x01" + bytes(12) + struct.pack("<H", 183 if facts.get("machine") == "aarch64" else 62)
    (home / "bootloader").write_bytes(head + program)
    (home / "stub.pkg").write_bytes(b"package")
    whole = {"format": FORMAT, "machine": "x86_64", "portable": True, "sources": sources_digest(), "glibc": "2.17", "kernel": "3.10", **facts}
    (home / "frozen.json").write_text(json.dumps(whole))
    return home


def wheel(path: Path, home: Path, *, without: str = "", package: str = "airseal_stub_x86_64") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in sorted(home.iterdir()):
            if part.name != without:
                archive.write(part, f"{package}/{part.name}")
    return path


def test_the_bundles_platform_chooses(tmp_path: Path) -> None:
    put(tmp_path / "runtime" / "one", b"one")
    put(tmp_path / "runtime" / "two", b"two", machine="aarch64")
    assert stub_for([AMD64], tmp_path).needs.machine == "x86_64"
    found = stub_for([ARM64], tmp_path)
    assert (found.needs.machine, found.glibc, found.kernel) == ("aarch64", "2.17", "3.10")


@pytest.mark.parametrize("facts", [{"sources": "0" * 64}, {"format": "airseal.stub/0"}, {"machine": "aarch64"}])
def test_one_that_does_not_belong_is_never_taken(tmp_path: Path, facts: dict[str, str]) -> None:
    put(tmp_path / "runtime" / "one", **facts)
    with pytest.raises(StubMissing) as raised:
        stub_for([AMD64], tmp_path)
    assert raised.value.exit_code == 13
    assert raised.value.remedy == ("make stub" if HERE == "x86_64" else "make stub MACHINE=x86_64")


def test_a_torn_one_is_none(tmp_path: Path) -> None:
    home = put(tmp_path / "runtime" / "one")
    (home / "frozen.json").write_text("{")
    with pytest.raises(StubMissing, match="there is no installer for x86_64"):
        stub_for([AMD64], tmp_path)


def test_of_two_the_portable_one_and_of_those_the_newer(tmp_path: Path) -> None:
    old, new, host = (put(tmp_path / "runtime" / name, name.encode(), portable=name != "host") for name in ("old", "new", "host"))
    for age, home in ((300, old), (200, new), (100, host)):
        os.utime(home, (1.7e9 - age, 1.7e9 - age))
    assert stub_for([AMD64], tmp_path).package.parent == new
    found = stub_for([AMD64], tmp_path)
    assert frozen_before(tmp_path, found.digest) == found
    assert frozen_before(tmp_path, "0" * 64) is None


def test_without_a_checkout_the_remedy_is_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stubs, "is_checkout", lambda: False)
    for text, machine in ((AMD64, "x86_64"), (ARM64, "aarch64")):
        with pytest.raises(StubMissing) as raised:
            stub_for([text], tmp_path)
        words = raised.value.remedy
        assert f"airseal-stub-{machine}==" in words
        assert words.startswith("pip install" if machine == HERE else "pip download")


def test_a_platform_that_nobody_makes_a_stub_for_and_two_at_once(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no installer for linux/s390x"):
        stub_for(["linux/s390x"], tmp_path)
    with pytest.raises(BuildError, match="one file has one installer"):
        stub_for([AMD64, ARM64], tmp_path)


def test_an_installed_wheel_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = put(tmp_path / "site" / "airseal_stub_aarch64", machine="aarch64")
    (home / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert stub_for([ARM64], tmp_path / "cache").package.parent == home


def test_a_wheel_that_was_named(tmp_path: Path) -> None:
    named = wheel(tmp_path / "airseal_stub_x86_64-0.1.0-py3-none-manylinux2014_x86_64.whl", put(tmp_path / "one"))
    first = stub_for([AMD64], tmp_path / "cache", named)
    assert first == stub_for([AMD64], tmp_path / "cache", named)
    assert first.digest == stub_for([AMD64], tmp_path / "cache", tmp_path / "one").digest
    with pytest.raises(StubMissing, match="is an installer for x86_64; the bundle is for aarch64"):
        stub_for([ARM64], tmp_path / "cache", named)
    other = put(tmp_path / "two", sources="1" * 64)
    with pytest.raises(StubMissing, match="the installer of another airseal"):
        stub_for([AMD64], tmp_path / "cache", other)


def test_two_wheels_of_one_name_are_two_stubs(tmp_path: Path) -> None:
    name, found = "airseal_stub_x86_64-0.1.0-py3-none-manylinux2014_x86_64.whl", []
    for word in ("one", "two"):
        (tmp_path / word).mkdir()
        home = put(tmp_path / word / "stub", word.encode())
        found.append(stub_for([AMD64], tmp_path / "cache", wheel(tmp_path / word / name, home)).digest)
        assert found[-1] == stub_for([AMD64], tmp_path / "cache", home).digest
    assert found[0] != found[1]


def test_a_wheel_that_is_none(tmp_path: Path) -> None:
    home = put(tmp_path / "one")
    whole = wheel(tmp_path / "a.whl", home).read_bytes()
    cases = {
        "torn": whole[: len(whole) // 2],
        "no zip": b"hello",
        "nothing": b"",
        "another's": wheel(tmp_path / "b.whl", home, package="requests").read_bytes(),
        "without facts": wheel(tmp_path / "c.whl", home, without="frozen.json").read_bytes(),
        "without program": wheel(tmp_path / "d.whl", home, without="stub.pkg").read_bytes(),
        "flipped": whole.replace(b"package", b"pAckage"),
    }
    (stored := tmp_path / "e.whl").touch()
    with zipfile.ZipFile(stored, "w") as archive:
        for part in sorted(home.iterdir()):
            archive.write(part, f"airseal_stub_x86_64/{part.name}")
    cases["not deflated"] = whole[:60] + bytes(byte ^ 0x55 for byte in whole[60:90]) + whole[90:]
    cases["flipped"] = stored.read_bytes().replace(b"package", b"pAckage")
    for name, data in cases.items():
        (tmp_path / f"{name}.whl").write_bytes(data)
    for given in (*(tmp_path / f"{name}.whl" for name in cases), tmp_path / "nowhere.whl", tmp_path):
        with pytest.raises(StubMissing):
            stub_for([AMD64], tmp_path / "cache", given)
