"""A receipt has one form; what says more, or otherwise, is refused."""

from __future__ import annotations

import json

import pytest

from installer_stub.bundle.names import RECEIPT
from installer_stub.bundle.receipt import Forced, Receipt, decode, encode
from installer_stub.errors import BundleError

DONE = Receipt(False, "1+1", "ab" * 32, 1_790_000_000, 300, "0.1.0", "v1.36.3", "20.10", (Forced("CronJobs run", 2), Forced("tests", 0)), ("n1 slow",))


@pytest.mark.parametrize("receipt", [DONE, Receipt(skipped=True, allowed=("the internet",)), Receipt()])
def test_it_reads_what_it_writes(receipt: Receipt) -> None:
    assert decode(encode(receipt)) == receipt


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b"nothing", encode(DONE)[:-3], encode(DONE) + b"\n", encode(DONE).replace(b'"notes"', b'"more": 1, "notes"')])
def test_other_bytes_are_refused_by_name(raw: bytes) -> None:
    with pytest.raises(BundleError, match=RECEIPT):
        decode(raw)


def test_other_spellings_of_the_same_are_refused() -> None:
    with pytest.raises(BundleError, match="has to"):
        decode(json.dumps(json.loads(encode(DONE))).encode())


def test_one_line_says_what_was_proved_or_that_nothing_was() -> None:
    assert DONE.line() == "rehearsed on 1+1 without a network in 300 s: 2 CronJobs run"
    assert Receipt(skipped=True).line().startswith("NOT rehearsed")
