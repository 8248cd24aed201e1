"""What a recording keeps on disk: a journal, frozen references, a lock file. Torn ends are cut, damage is named."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from registry_snapshot.errors import StoreError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.media_types import OCI_INDEX, OCI_MANIFEST
from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.frozen import FrozenReferences, FrozenReferrers, read_frozen
from registry_snapshot.record.journal import Fetched, Journal, Pull, read_history
from registry_snapshot.record.line_file import LineFile
from registry_snapshot.record.retry import retry_after

DIGEST = Digest.of(b"x")
PULL = Pull(1.5, "10.0.0.2", Reference.parse("quay.io/team/app:1"), DIGEST, "HEAD", "quay.io", 7, 2)
FETCHED = Fetched(2.5, PULL.reference.repository, DIGEST, "quay.io (mirror m.example.com)", 9, 1)
FIRST, SECOND = Descriptor(OCI_INDEX, DIGEST, 1), Descriptor(OCI_MANIFEST, Digest.of(b"y"), 2)


@pytest.mark.parametrize("torn", [b"", b"{", b'{"time":1', b'{"time": 1.5, "client": "x"}'])
def test_the_journal_comes_back_without_a_torn_end(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "pulls.jsonl"
    journal = Journal(path)
    journal.append(PULL)
    assert path.read_bytes().endswith(b"\n")  # it is in the file before close
    with path.open("ab") as file:
        file.write(torn)
    again = Journal(path)
    assert list(again) == [PULL]
    again.append(PULL)
    assert list(Journal(path)) == [PULL, PULL]


def test_pulls_and_fetches_stand_in_one_file_and_can_be_read_beside_the_recorder(tmp_path: Path) -> None:
    path = tmp_path / "pulls.jsonl"
    assert read_history(path).pulls == ()
    journal = Journal(path)
    for line in (PULL, FETCHED, PULL):
        journal.append(line)
    with path.open("ab") as file:
        file.write(b'{"time":3')  # the recorder is in the middle of a line
    history = read_history(path)
    assert (history.pulls, history.fetches) == ((PULL, PULL), (FETCHED,))
    assert path.read_bytes().endswith(b'{"time":3')


def test_many_at_once_are_all_written(tmp_path: Path) -> None:
    path = tmp_path / "pulls.jsonl"
    journal = Journal(path)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(journal.append, [PULL] * 200))
    assert len(Journal(path)) == 200


def test_nothing_is_added_after_the_end(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "pulls.jsonl")
    journal.close()
    with pytest.raises(StoreError, match="the recording has ended"):
        journal.append(PULL)


def test_what_referred_to_a_digest_at_first_stays(tmp_path: Path) -> None:
    path = tmp_path / "referrers.jsonl"
    subject = Reference.parse(f"quay.io/team/app@{DIGEST}")
    signature = replace(SECOND, artifact_type="application/x.signature", annotations={"a": "b"})
    frozen = FrozenReferrers(path)
    assert frozen.get(subject) is None
    assert frozen.freeze(subject, (signature,)) == (signature,)
    assert frozen.freeze(subject, ()) == (signature,)
    assert FrozenReferrers(path).get(subject) == (signature,)
    path.unlink()
    seal(path, {"subject": "quay.io/team/app:1"})
    with pytest.raises(StoreError, match=r"referrers\.jsonl:1 is damaged"):
        FrozenReferrers(path)


def seal(path: Path, value: dict[str, object]) -> None:
    """Add a line that is whole, whatever it says."""
    file = LineFile(path)
    file.load()
    file.append(value)
    file.close()


@pytest.mark.parametrize("line", [{"time": 1}, {**PULL.to_json(), "digest": "x"}])
def test_a_whole_line_that_says_nothing_known_is_named(tmp_path: Path, line: dict[str, object]) -> None:
    path = tmp_path / "pulls.jsonl"
    Journal(path).append(PULL)
    seal(path, line)
    with pytest.raises(StoreError, match=r"pulls\.jsonl:2 is damaged"):
        Journal(path)


@pytest.mark.parametrize("damage", [b"\0", b"X", b"\n", b"2"])
def test_damage_of_what_was_on_the_disk_is_named_and_a_torn_end_is_cut(tmp_path: Path, damage: bytes) -> None:
    """Each line says how far the file was on the disk when it was written: before that nothing may be torn."""
    path = tmp_path / "pulls.jsonl"
    journal = Journal(path)
    for _ in range(3):
        journal.append(PULL)
    raw = path.read_bytes()
    second, third = (raw.index(b"\n") + 1, raw.rindex(b"\n", 0, -1) + 1)
    path.write_bytes(raw[: second + 9] + damage + raw[second + 10 :])
    with pytest.raises(StoreError, match=r"pulls\.jsonl:2 is damaged"):
        Journal(path)
    with pytest.raises(StoreError, match=r"pulls\.jsonl:2 is damaged"):
        read_history(path)
    path.write_bytes(raw[: third + 9] + damage + raw[third + 10 :])  # nobody knows that the last line was synced
    assert len(read_history(path).pulls) == 2
    assert len(Journal(path)) == 2
    assert path.read_bytes() == raw[:third]


def test_a_sync_that_fails_ends_the_file_and_two_processes_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else this process says that nothing was frozen, and one that opens the file anew that it was."""
    path, reference, other = tmp_path / "references.jsonl", PULL.reference, Reference.parse("quay.io/team/app:2")
    frozen = FrozenReferences(path)
    frozen.freeze(other, FIRST)
    failing = [True]
    real = os.fdatasync

    def fdatasync(descriptor: int) -> None:
        if failing and failing.pop():
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    with pytest.raises(StoreError, match="Input/output error"):
        frozen.freeze(reference, FIRST)
    with pytest.raises(StoreError, match="has failed") as caught:
        frozen.freeze(reference, SECOND)  # a second sync that succeeds would prove nothing
    assert "record again" in caught.value.remedy
    assert frozen.freeze(other, SECOND) == (FIRST, False)  # what was kept is still known
    assert read_frozen(path) == dict(FrozenReferences(path).all()) == {other: FIRST}


def test_a_client_in_a_loop_does_not_fill_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "pulls.jsonl"
    journal = Journal(path)
    for _ in range(1200):
        number = journal.begin(PULL)
    journal.sync(number)
    journal.append(replace(PULL, method="GET"))
    assert len(journal) == len(Journal(path)) == 1001


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="none"):
        Journal(tmp_path / "none" / "pulls.jsonl")


def test_the_first_meaning_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "references.jsonl"
    frozen = FrozenReferences(path)
    reference = Reference.parse("quay.io/team/app:1")
    assert frozen.get(reference) is None
    assert frozen.freeze(reference, FIRST) == (FIRST, True)
    assert frozen.freeze(reference, SECOND) == (FIRST, False)
    assert frozen.freeze(Reference.parse("team/app:1"), SECOND) == (SECOND, True)
    again = FrozenReferences(path)
    assert again.all() == ((reference, FIRST), (Reference.parse("team/app:1"), SECOND))
    assert again.tags(reference.repository) == ("1",)


@pytest.mark.parametrize("line", [{"x": 1}, {"reference": "busybox"}, {"reference": "UPPER/x", "descriptor": {}}])
def test_damaged_references_are_named(tmp_path: Path, line: dict[str, object]) -> None:
    seal(tmp_path / "references.jsonl", line)
    with pytest.raises(StoreError, match=r"references\.jsonl:1 is damaged"):
        FrozenReferences(tmp_path / "references.jsonl")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, None), ("", None), ("7", 7.0), (" 0 ", 0.0), ("soon", None), ("-3", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)],
)
def test_retry_after(value: str | None, expected: float | None) -> None:
    assert retry_after(value) == expected
