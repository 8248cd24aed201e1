"""Which installer an artifact gets: the one that belongs to this airseal and to the bundle's machine, or a word about what to do."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from bundler.errors import BuildError, StubDamaged, StubMissing
from bundler.pack import stubs
from bundler.pack.stub_sources import sources_digest
from bundler.pack.stubs import FORMAT, frozen_before, is_whole, stub_for

HERE = platform.machine()
AMD64, ARM64 = "linux/amd64", "linux/arm64"


def put(home: Path, program: bytes = b"x", **facts: Any) -> Path:
    """Lay a stub down, as ``make stub`` does."""
    home.mkdir(parents=True)
    head = b"\x7fELF\x02\x01" + bytes(12) + struct.pack("<H", 183 if facts.get("machine") == "aarch64" else 62)
    (home / "bootloader").write_bytes(head + program)
    (home / "stub.pkg").write_bytes(b"package")
    whole = {"format": FORMAT, "machine": "x86_64", "portable": True, "sources": sources_digest(), "glibc": "2.17", "kernel": "3.10"}
    whole |= {"sha256": hashlib.sha256(head + program + b"package").hexdigest(), "size": len(head + program + b"package"), **facts}
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


def without(home: Path, *names: str) -> None:
    facts = json.loads((home / "frozen.json").read_text())
    (home / "frozen.json").write_text(json.dumps({name: value for name, value in facts.items() if name not in names}))


DAMAGE: Final[dict[str, Callable[[Path], object]]] = {
    "torn": lambda home: os.truncate(home / "stub.pkg", 3),
    "empty, as a power cut leaves what nobody synced": lambda home: os.truncate(home / "bootloader", 0),
    "zeros of its size": lambda home: (home / "stub.pkg").write_bytes(bytes(7)),
    "one bit": lambda home: (home / "stub.pkg").write_bytes(b"packagg"),
    "half of it gone": lambda home: (home / "stub.pkg").unlink(),
    "more than it was": lambda home: (home / "stub.pkg").write_bytes(b"packages"),
    "facts of another program": lambda home: (home / "frozen.json").write_bytes((put(home.parent.parent / "other", b"y") / "frozen.json").read_bytes()),
    "facts without its hash": lambda home: without(home, "sha256"),
    "facts without its size": lambda home: without(home, "size"),
    "facts with a hash that is none": lambda home: (home / "frozen.json").write_text((home / "frozen.json").read_text().replace('"size": ', '"size": null, "was": ')),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_program_that_is_not_that_of_its_facts_is_not_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    made, given = put(tmp_path / "cache" / "runtime" / "one"), put(tmp_path / "given")
    installed = put(tmp_path / "site" / "airseal_stub_x86_64")
    assert is_whole(made)
    for home in (made, given, installed):
        DAMAGE[name](home)
        assert not is_whole(home)
    with pytest.raises(StubDamaged) as raised:
        stub_for([AMD64], tmp_path / "cache")
    assert raised.value.exit_code == 13
    assert str(made) in raised.value.problem
    assert raised.value.remedy == ("make stub" if HERE == "x86_64" else "make stub MACHINE=x86_64")
    for named in (given, wheel(tmp_path / "named.whl", given) if (given / "stub.pkg").exists() else given):
        with pytest.raises(StubDamaged, match="the installer in") as raised:
            stub_for([AMD64], tmp_path / "cache", named)
        assert raised.value.remedy == f"fetch {named} again"
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(StubDamaged) as raised:
        stub_for([AMD64], tmp_path / "empty")
    assert raised.value.remedy.startswith("pip install --force-reinstall --no-deps airseal-stub-x86_64==")


def test_facts_of_an_earlier_airseal_fit_no_more_but_its_program_is_found_by_its_hash(tmp_path: Path) -> None:
    home = put(tmp_path / "runtime" / "one", format="airseal.stub/1")
    digest = json.loads((home / "frozen.json").read_text())["sha256"]
    without(home, "sha256", "size")
    with pytest.raises(StubMissing, match="there is no installer for x86_64 that belongs to this airseal"):
        stub_for([AMD64], tmp_path)
    found = frozen_before(tmp_path, digest)
    assert found is not None
    assert found.package.parent == home


def test_what_was_unpacked_of_a_wheel_and_then_altered_is_unpacked_anew(tmp_path: Path) -> None:
    named = wheel(tmp_path / "a.whl", put(tmp_path / "one"))
    first = stub_for([AMD64], tmp_path / "cache", named)
    first.package.write_bytes(b"altered")
    assert stub_for([AMD64], tmp_path / "cache", named) == first
    assert first.package.read_bytes() == b"package"


def test_what_is_altered_between_the_look_and_the_seal_is_not_read(tmp_path: Path) -> None:
    put(tmp_path / "runtime" / "one")
    found = stub_for([AMD64], tmp_path)
    assert b"".join(found.read()) == found.open().read()
    found.package.write_bytes(b"pAckage")
    for reading in (found.read, found.open):
        with pytest.raises(StubDamaged, match="was altered since"):
            reading()
