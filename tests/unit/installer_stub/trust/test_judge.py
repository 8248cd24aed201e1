"""Who vouches, or which of the ways it is that nobody does."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from installer_stub.errors import (
    BundleError,
    NotForThisUse,
    NotSigned,
    NotTrusted,
    SignatureError,
    SignedByStrangers,
    SignerExpired,
    SignerNotYetValid,
)
from installer_stub.trust.allowed import Signer, parse_allowed
from installer_stub.trust.judge import judge
from installer_stub.trust.sshsig import Signature, decode
from tests.unit.installer_stub.trust.openssh import Pair, make

NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def signature(pair: Pair) -> Signature:
    return decode(pair.sign())


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Signature:
    return decode(make(tmp_path_factory.mktemp("stranger")).sign())


def signers(signature: Signature, *lines: str) -> tuple[Signer, ...]:
    return parse_allowed("".join(f"{line} {signature.key.text}\n" for line in lines), "signers")


def test_who_vouches_is_named(signature: Signature, stranger: Signature) -> None:
    found = judge([stranger, signature], signers(signature, "alice@example.com"), NOW)
    assert (found.principal, found.key, found.signer.place) == ("alice@example.com", signature.key, "signers:1")


def test_no_signature_at_all(signature: Signature) -> None:
    with pytest.raises(NotSigned, match="it is not signed"):
        judge([], signers(signature, "alice"), NOW)


def test_strangers_are_told_by_their_fingerprints(signature: Signature, stranger: Signature) -> None:
    with pytest.raises(SignedByStrangers) as caught:
        judge([stranger, stranger], signers(signature, "alice"), NOW)
    assert caught.value.fingerprints == (stranger.key.fingerprint,)
    assert stranger.key.fingerprint in caught.value.problem
    with pytest.raises(SignedByStrangers):
        judge([stranger], [], NOW)


def test_a_known_key_under_another_name(signature: Signature) -> None:
    assert judge([signature], signers(signature, "bob", "*@example.com"), NOW, principal="alice@example.com").signer.place == "signers:2"
    with pytest.raises(SignedByStrangers, match="not named as alice's"):
        judge([signature], signers(signature, "bob"), NOW, principal="alice")


def test_a_signature_for_another_use(pair: Pair) -> None:
    other = decode(pair.sign(namespace="file"))
    with pytest.raises(NotForThisUse, match="signed it for 'file', not for 'airseal'"):
        judge([other], signers(other, "alice"), NOW)
    assert judge([other], signers(other, "alice"), NOW, namespace="file").key == other.key


def test_a_key_for_another_use(signature: Signature) -> None:
    with pytest.raises(NotForThisUse, match=r"alice \(SHA256:\S+, signers:1\) signed it, and may sign 'file,git' only") as caught:
        judge([signature], signers(signature, 'alice namespaces="file,git"'), NOW)
    assert "signers:1" in caught.value.remedy


def test_an_end_and_a_beginning(signature: Signature) -> None:
    ends, begins = 'alice valid-before="20260601120000Z"', 'alice valid-after="20260601120000Z"'
    for text in (ends, begins):
        assert judge([signature], signers(signature, text), NOW + dt.timedelta(microseconds=999_999)).principal == "alice"
    with pytest.raises(SignerExpired, match=r"was valid until 2026-06-01 12:00:00Z"):
        judge([signature], signers(signature, ends), NOW + dt.timedelta(seconds=1))
    with pytest.raises(SignerNotYetValid, match=r"is valid from 2026-06-01 12:00:00Z on") as caught:
        judge([signature], signers(signature, begins), NOW - dt.timedelta(seconds=1))
    assert "2026-06-01 11:59:59Z" in caught.value.remedy


def test_now_may_be_of_any_zone(signature: Signature) -> None:
    there = NOW.astimezone(dt.timezone(dt.timedelta(hours=-9)))
    assert judge([signature], signers(signature, 'alice valid-before="20260601120000Z"'), there).principal == "alice"


def test_one_line_that_does_is_enough_and_else_the_nearest_miss_is_told(signature: Signature, stranger: Signature) -> None:
    use, past, future = 'alice namespaces="file"', 'alice valid-before="20250101Z"', 'alice valid-after="20270101Z"'
    assert judge([signature], signers(signature, use, past, future, "bob"), NOW).principal == "bob"
    for lines, kind in (((use, past, future), SignerExpired), ((use, future), SignerNotYetValid), ((use,), NotForThisUse)):
        with pytest.raises(kind):
            judge([stranger, signature], signers(signature, *lines), NOW)


def test_a_shell_sees_of_all_of_them_that_the_file_is_not_to_be_used(tmp_path: Path) -> None:
    kinds = (SignatureError, NotTrusted, NotSigned, SignedByStrangers, NotForThisUse, SignerExpired, SignerNotYetValid)
    assert {kind.exit_code for kind in kinds} == {BundleError.exit_code}
