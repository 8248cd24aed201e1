"""host.json has one spelling, and what is not that is refused by name."""

from __future__ import annotations

import json

import pytest

from installer_stub.keep.document import DocumentError, decode
from installer_stub.keep.keeper import load
from tests.unit.installer_stub.keep.documents import host_document, policy


@pytest.mark.parametrize(
    "document",
    [host_document(), host_document(services="fd01::/108", address="fd00::2"), host_document(api="", cannot=("overlay",)), host_document(certificates=policy(master=False))],
)
def test_what_is_written_is_read_back_the_same(document: object) -> None:
    assert decode(document.encode()) == document  # type: ignore[attr-defined]
    assert decode(document.encode()).encode() == document.encode()  # type: ignore[attr-defined]


def test_every_torn_one_is_refused() -> None:
    whole = host_document().encode()
    for length in range(len(whole)):
        with pytest.raises(DocumentError):
            decode(whole[:length])


@pytest.mark.parametrize(
    "change",
    [{"version": 2}, {"version": None}, {"address": "m1"}, {"services": "10.96.0.1/16"}, {"sysctls": 7}, {"extra": 1}, {"modules": [{"name": "x"}]}],
)
def test_one_of_another_kind_is_refused(change: dict[str, object]) -> None:
    value = {**json.loads(host_document().encode()), **change}
    with pytest.raises(DocumentError):
        decode((json.dumps(value, indent=1, sort_keys=True) + "\n").encode())


def test_other_spellings_are_refused() -> None:
    with pytest.raises(DocumentError, match="changed by hand"):
        decode(json.dumps(json.loads(host_document().encode())).encode())


def test_a_host_without_one_says_so(tmp_path: object) -> None:
    with pytest.raises(DocumentError, match="No such file"):
        load(f"{tmp_path}/host.json")
