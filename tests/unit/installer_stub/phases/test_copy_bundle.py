"""The artifact on masters: the bytes that were verified, whole, and for root alone. Run by the shell that hosts run."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from installer_stub.errors import BundleError
from installer_stub.phases.base import Artifact, Context
from installer_stub.phases.copy_bundle import CopyBundle
from installer_stub.phases.journal import Journal
from installer_stub.plan import model as plan_module
from installer_stub.scrub.damage import Damage, path_of, stamp_of
from tests.fakes.plans import (
    M1,
    RecordingReporter,
    make_context,
    make_plan,
    masters,
)
from tests.fakes.uploading import UploadingConnection

GOOD = bytes(range(256)) * 2000  # four pieces of a transfer
Opening = Callable[[], BinaryIO]


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.run"
    path.write_bytes(GOOD)
    return path


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the master keeps the artifact."""
    monkeypatch.setattr(plan_module, "STATE", str(tmp_path / "state"))
    monkeypatch.setattr(plan_module, "BUNDLES", str(tmp_path / "state" / "bundles"))
    return tmp_path / "state" / "bundles" / "shop-1.4.0.run"


def verified(content: bytes, opening: Opening) -> Artifact:
    return Artifact(1, opening, "0", opening, len(content), hashlib.sha256(content).hexdigest())


@pytest.fixture
def context(run_file: Path, there: Path) -> Context:
    del there
    return make_context(make_plan(*masters(M1)), {M1: UploadingConnection()}, artifact=verified(GOOD, lambda: run_file.open("rb")))


def host(context: Context) -> UploadingConnection:
    connection = context.connections[M1]
    assert isinstance(connection, UploadingConnection)
    return connection


def sent(context: Context) -> int:
    assert isinstance(context.reporter, RecordingReporter)
    return context.reporter.bytes.get(f"bundle to {M1}", 0)


def journal(context: Context) -> Journal:
    return Journal(host(context), plan_module.STATE)


def forget(context: Context, there: Path) -> str:
    """Take the fact back; return what it was."""
    said = journal(context).facts()[f"bundle:{there}"]
    journal(context).hold({f"bundle:{there}": ""})
    return said


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.mark.parametrize("umask", [0, 0o022])
def test_it_arrives_for_root_alone(context: Context, there: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        assert CopyBundle().is_needed(context)
        CopyBundle().run(context)
    finally:
        os.umask(before)
    assert there.read_bytes() == GOOD
    assert {path.name: mode(path) for path in there.parent.iterdir()} == {"shop-1.4.0.run": 0o600}
    assert mode(there.parent) == 0o700
    assert sent(context) == len(GOOD)
    assert not CopyBundle().is_needed(context)


@pytest.mark.parametrize("open_again", ["the directory", "the file", "another bundle"])
def test_what_an_earlier_version_left_open_to_all_is_closed_and_not_sent_again(context: Context, there: Path, open_again: str) -> None:
    CopyBundle().run(context)
    other = there.with_name("other-1.run")
    other.write_bytes(b"also sold")
    other.chmod(0o755)
    {"the directory": there.parent, "the file": there, "another bundle": there}[open_again].chmod(0o755)
    assert CopyBundle().is_needed(context)
    CopyBundle().run(context)
    assert (mode(there.parent), mode(there), mode(other)) == (0o700, 0o600, 0o600)
    assert sent(context) == len(GOOD)
    assert not CopyBundle().is_needed(context)


def test_what_the_master_found_damaged_is_sent_again(context: Context, there: Path) -> None:
    """Its size, times and inode are what they were: only who read it knows."""
    CopyBundle().run(context)
    said = journal(context).facts()[f"bundle:{there}"]
    with there.open("r+b") as file:
        file.write(b"?")
    times = there.stat()
    journal(context).hold({f"bundle:{there}": f"{said.split()[0]} {stat_of(there)}"})
    assert not CopyBundle().is_needed(context)
    path_of(there).write_bytes(Damage(stamp_of(times), 9, ("airseal/stub.pkg",)).encode())
    assert CopyBundle().is_needed(context)
    CopyBundle().run(context)
    assert there.read_bytes() == GOOD
    assert [path.name for path in there.parent.iterdir()] == [there.name]
    assert sent(context) == 2 * len(GOOD)
    assert not CopyBundle().is_needed(context)
    assert isinstance(context.reporter, RecordingReporter)
    assert any("is copied again: 1 of its 9 parts" in line for line in context.reporter.steps)


@pytest.mark.parametrize("record", ["of another file", "torn"])
def test_a_record_of_damage_that_is_of_another_file_says_nothing_and_a_torn_one_something(context: Context, there: Path, record: str) -> None:
    CopyBundle().run(context)
    path_of(there).write_bytes(b"{" if record == "torn" else Damage("7 7.000000000 7", 9, ("airseal/stub.pkg",)).encode())
    assert CopyBundle().is_needed(context) is (record == "torn")
    CopyBundle().run(context)
    assert there.read_bytes() == GOOD
    assert sent(context) == len(GOOD)
    assert not CopyBundle().is_needed(context)


def stat_of(path: Path) -> str:
    return subprocess.run(["stat", "-c", "%s %.9Y %.9Z %i", path], capture_output=True, text=True, check=True).stdout.strip()


def test_a_link_beside_it_is_not_followed(context: Context, there: Path, tmp_path: Path) -> None:
    there.parent.mkdir(parents=True)
    victim = tmp_path / "victim"
    victim.write_text("")
    victim.chmod(0o644)
    (there.parent / "link").symlink_to(victim)
    CopyBundle().run(context)
    assert mode(victim) == 0o644


def altered(content: bytes) -> Opening:
    """A stick that gives other bytes than when it was verified."""
    import io

    return lambda: io.BytesIO(content)


@pytest.mark.parametrize(
    "content",
    [GOOD[:-1] + b"?", b"?" + GOOD[1:], GOOD[::-1], GOOD[:200_000] + b"?" + GOOD[200_001:], bytes(len(GOOD))],
    ids=["last byte", "first byte", "all", "one in the middle", "zeros"],
)
def test_what_is_not_what_was_verified_never_gets_its_name(context: Context, there: Path, content: bytes) -> None:
    context.artifact = Artifact(1, altered(content), "0", altered(content), len(GOOD), context.artifact.run_sha256)
    with pytest.raises(BundleError, match="is not what was verified") as caught:
        CopyBundle().run(context)
    assert "verify" in caught.value.remedy
    assert not there.exists()
    assert journal(context).facts() == {}
    assert CopyBundle().is_needed(context)


def test_after_a_stick_that_lied_the_right_bytes_are_sent(context: Context, there: Path) -> None:
    right = context.artifact
    context.artifact = Artifact(1, altered(GOOD[::-1]), "0", altered(GOOD[::-1]), len(GOOD), right.run_sha256)
    with pytest.raises(BundleError):
        CopyBundle().run(context)
    context.artifact = right
    CopyBundle().run(context)
    assert there.read_bytes() == GOOD


def test_a_stick_that_was_pulled_out_is_a_named_error(context: Context, there: Path) -> None:
    import io

    class Pulled(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 200_000:
                raise OSError(5, "Input/output error")
            return super().read(size)

    context.artifact = Artifact(1, lambda: Pulled(GOOD), "0", lambda: Pulled(GOOD), len(GOOD), context.artifact.run_sha256)
    with pytest.raises(BundleError, match=r"shop:1\.4\.0 cannot be read at byte \d+: Input/output error") as caught:
        CopyBundle().run(context)
    assert "stick" in caught.value.remedy
    assert not there.exists()


def test_a_copy_that_was_cut_goes_on(context: Context, there: Path) -> None:
    there.parent.mkdir(parents=True)
    there.with_name(f"{there.name}.part").write_bytes(GOOD[:300_000])
    CopyBundle().run(context)
    assert there.read_bytes() == GOOD
    assert [path.name for path in there.parent.iterdir() if path.suffix == ".part"] == []


@pytest.mark.parametrize("part", [GOOD[::-1], GOOD[:1000] + b"?", b"?", GOOD + b"more"])
def test_a_part_of_something_else_is_sent_anew_and_still_compared(context: Context, there: Path, part: bytes) -> None:
    there.parent.mkdir(parents=True)
    there.with_name(f"{there.name}.part").write_bytes(part)
    CopyBundle().run(context)
    assert there.read_bytes() == GOOD


def test_an_artifact_that_is_there_but_not_noted_is_not_sent_again(context: Context, there: Path) -> None:
    CopyBundle().run(context)
    forget(context, there)  # killed before that was written down
    assert CopyBundle().is_needed(context)
    CopyBundle().run(context)
    assert sent(context) == len(GOOD)
    assert not CopyBundle().is_needed(context)


@pytest.mark.parametrize("older", ["its own", "another's", "torn"])
def test_what_an_older_airseal_noted_beside_it_is_taken_over_once(context: Context, there: Path, older: str) -> None:
    CopyBundle().run(context)
    content, _, stamp = forget(context, there).partition(" ")
    note = there.with_name(f"{there.name}.whole")
    whole = json.dumps({"content": content, "stamp": stamp})
    note.write_text({"its own": whole, "another's": whole.replace(stamp, "1 2 3 4"), "torn": whole[:20]}[older])
    host(context).commands.clear()
    CopyBundle().run(context)
    assert sent(context) == len(GOOD)  # not again
    assert bool([each for each in host(context).commands if "sha256sum" in each.text]) is (older != "its own")
    assert not note.exists()
    assert not CopyBundle().is_needed(context)


@pytest.mark.parametrize("change", ["altered", "longer", "replaced", "gone", "another word"])
def test_whatever_happened_to_it_there_is_seen_and_mended(context: Context, there: Path, change: str) -> None:
    CopyBundle().run(context)
    stamp = there.stat()
    if change == "altered":  # same size, same time
        there.write_bytes(GOOD[::-1])
        os.utime(there, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    elif change == "longer":
        there.write_bytes(GOOD + b"more")
    elif change == "replaced":
        new = there.with_name("new")
        new.write_bytes(GOOD[::-1])
        new.chmod(0o600)
        os.utime(new, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        new.replace(there)
    elif change == "gone":
        there.unlink()
    else:
        journal(context).hold({f"bundle:{there}": "sha256:0"})
    assert CopyBundle().is_needed(context)
    CopyBundle().run(context)
    assert there.read_bytes() == GOOD
    assert not CopyBundle().is_needed(context)


def test_another_artifact_of_the_same_name_is_sent(context: Context, there: Path) -> None:
    CopyBundle().run(context)
    context.artifact = verified(b"REBUILT", altered(b"REBUILT"))
    assert CopyBundle().is_needed(context)
    CopyBundle().run(context)
    assert there.read_bytes() == b"REBUILT"


def test_one_that_is_there_is_not_read_again_to_see_that(context: Context) -> None:
    CopyBundle().run(context)
    host(context).commands.clear()
    assert not CopyBundle().is_needed(context)
    assert not [command for command in host(context).commands if "sha256sum" in command.text]


@pytest.mark.parametrize("artifact", [Artifact(1, altered(b""), "0"), Artifact(1, altered(b""), "0", altered(b"x"), 1, "")])
def test_without_a_verified_artifact_there_is_nothing_to_copy(context: Context, artifact: Artifact) -> None:
    context.artifact = artifact
    with pytest.raises(BundleError):
        CopyBundle().run(context)
