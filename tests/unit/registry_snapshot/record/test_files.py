"""What a recording keeps on disk: a journal, frozen references, a lock file. Torn ends are cut, damage is named."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from registry_snapshot.errors import StoreError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.media_types import OCI_INDEX, OCI_MANIFEST
from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.frozen import FrozenReferences, FrozenReferrers
from registry_snapshot.record.journal import Fetched, Journal, Pull, read_history
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
    path.write_text('{"subject": "quay.io/team/app:1"}\n')
    with pytest.raises(StoreError, match=r"referrers\.jsonl:1 is damaged"):
        FrozenReferrers(path)


@pytest.mark.parametrize("line", [b"nonsense", b"[]", b'{"time": 1}', json.dumps({**PULL.to_json(), "digest": "x"}).encode()])
def test_damage_in_the_middle_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "pulls.jsonl"
    Journal(path).append(PULL)
    with path.open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(StoreError, match=r"pulls\.jsonl:2 is damaged"):
        Journal(path)


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


@pytest.mark.parametrize("line", ["[]", "{}", '{"reference": "busybox"}', '{"reference": "UPPER/x", "descriptor": {}}'])
def test_damaged_references_are_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "references.jsonl").write_text(line + "\n")
    with pytest.raises(StoreError, match=r"references\.jsonl:1 is damaged"):
        FrozenReferences(tmp_path / "references.jsonl")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, None), ("", None), ("7", 7.0), (" 0 ", 0.0), ("soon", None), ("-3", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)],
)
def test_retry_after(value: str | None, expected: float | None) -> None:
    assert retry_after(value) == expected
