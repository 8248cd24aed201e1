"""Signatures are OpenSSH's, in both directions, and have one spelling; what is altered by a bit is none."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from installer_stub.errors import SignatureError
from installer_stub.trust.sshsig import (
    MAX_BYTES,
    NAMESPACE,
    PublicKey,
    Signature,
    decode,
    encode,
    verify,
    verify_digest,
)
from installer_stub.trust.wire import mpint, string
from tests.unit.installer_stub.trust.openssh import KINDS, MESSAGE, Pair, keygen, make, takes

SAMPLE = b"""-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgJKxoLBJBivUPNTUJUSslQTt2hD
jozKvHarKeN8uYFqgAAAADZm9vAAAAAAAAAFMAAAALc3NoLWVkMjU1MTkAAABAKNC4IEbt
Tq0Fb56xhtuE1/lK9H9RZJfON4o6hE9R4ZGFX98gy0+fFJ/1d2/RxnZky0Y7GojwrZkrHT
FgCqVWAQ==
-----END SSH SIGNATURE-----
"""  # of PROTOCOL.sshsig itself: it has no hash algorithm


def armor(blob: bytes) -> bytes:
    body = base64.b64encode(blob)
    return b"\n".join([b"-----BEGIN SSH SIGNATURE-----", *(body[at : at + 70] for at in range(0, len(body), 70)), b"-----END SSH SIGNATURE-----", b""])


def blob_of(armored: bytes) -> bytes:
    return base64.b64decode(b"".join(armored.split(b"\n")[1:-2]))


@pytest.mark.parametrize("hash_algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_openssh_signs_is_taken_and_written_again(pairs: Mapping[str, Pair], kind: str, hash_algorithm: str) -> None:
    armored = pairs[kind].sign(hash_algorithm=hash_algorithm)
    signature = decode(armored)
    assert encode(signature) == armored
    assert (signature.key.text, signature.namespace, signature.hash_algorithm) == (pairs[kind].line, NAMESPACE, hash_algorithm)
    verify(signature, MESSAGE)
    verify_digest(signature, hashlib.new(hash_algorithm, MESSAGE).digest())


@pytest.mark.parametrize("kind", KINDS)
def test_another_message_another_use_another_key(pairs: Mapping[str, Pair], kind: str, tmp_path: Path) -> None:
    signature = decode(pairs[kind].sign())
    for other in (MESSAGE + b"\n", MESSAGE[:-1], b""):
        with pytest.raises(SignatureError, match="altered"):
            verify(signature, other)
    with pytest.raises(SignatureError, match="for 'airseal', not for 'file'"):
        verify(signature, MESSAGE, "file")
    with pytest.raises(SignatureError, match="altered"):
        verify(replace(signature, namespace="file"), MESSAGE, "file")
    with pytest.raises(SignatureError, match="altered"):
        verify(replace(signature, hash_algorithm="sha256"), MESSAGE)
    stranger = PublicKey.parse(*make(tmp_path, kind).line.split())
    with pytest.raises(SignatureError, match="altered"):
        verify(replace(signature, key=stranger), MESSAGE)


@pytest.mark.parametrize("kind", KINDS)
def test_no_bit_can_be_turned(pairs: Mapping[str, Pair], kind: str) -> None:
    armored = pairs[kind].sign()
    for bit in range(8 * len(armored)):
        altered = bytearray(armored)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SignatureError):
            verify(decode(bytes(altered)), MESSAGE)


@pytest.mark.parametrize("kind", KINDS)
def test_no_byte_can_be_missing_or_more(pairs: Mapping[str, Pair], kind: str) -> None:
    armored = pairs[kind].sign()
    for altered in [*(armored[:end] for end in range(len(armored))), armored + b"\n", b"\n" + armored, armored + armored, b" " + armored]:
        with pytest.raises(SignatureError):
            decode(altered)
    blob = blob_of(armored)
    assert armor(blob) == armored
    for short in [*(blob[:end] for end in range(len(blob))), blob + b"\0"]:
        with pytest.raises(SignatureError):
            decode(armor(short))


def test_other_spellings_that_openssh_reads_are_refused(pair: Pair, tmp_path: Path) -> None:
    armored = pair.sign()
    lines = armored.split(b"\n")
    one_line = b"\n".join([lines[0], b"".join(lines[1:-2]), *lines[-2:]])
    for same in (one_line, armored + b"more", armored.removesuffix(b"\n")):
        assert takes(tmp_path, same)
        with pytest.raises(SignatureError):
            decode(same)
    with pytest.raises(SignatureError):
        decode(armored.replace(b"\n", b"\r\n"))


def test_the_protocol_s_own_example_is_refused() -> None:
    with pytest.raises(SignatureError, match="malformed"):
        decode(SAMPLE)


def test_fields_that_are_none(pair: Pair) -> None:
    signature = decode(pair.sign())
    for namespace in ("", "a\0b", "\ud800"):
        with pytest.raises(SignatureError, match="for what"):
            replace(signature, namespace=namespace)
    for algorithm in ("sha1", "", "SHA512"):
        with pytest.raises(SignatureError, match="hash is not taken"):
            replace(signature, hash_algorithm=algorithm)
    blob = blob_of(encode(signature))
    reserved = blob.replace(string(b"") + string(b"sha512"), string(b"x") + string(b"sha512"))
    with pytest.raises(SignatureError, match="for later versions"):
        decode(armor(reserved))
    with pytest.raises(SignatureError, match="version 2"):
        decode(armor(blob[:9] + b"\2" + blob[10:]))
    with pytest.raises(SignatureError, match="version 0"):
        decode(armor(blob[:9] + b"\0" + blob[10:]))


@pytest.mark.parametrize(
    "numbers",
    [
        string(b"\0\1") + mpint(1),  # longer than it has to be
        string(b"\x80") + mpint(1),  # negative
        string(b"") + mpint(1),  # zero
        string(b"\0") + mpint(1),
        mpint(1),
        mpint(1) + mpint(1) + b"\0",
    ],
)
def test_numbers_of_ecdsa_have_one_spelling(pairs: Mapping[str, Pair], numbers: bytes) -> None:
    signature = decode(pairs["ecdsa-sha2-nistp256"].sign())
    kind = string(signature.key.kind.encode())
    assert replace(signature, blob=kind + string(mpint(1) + mpint(1)))
    with pytest.raises(SignatureError, match="no signature of ecdsa"):
        replace(signature, blob=kind + string(numbers))


@pytest.mark.parametrize("numbers", [(1, 1), (1 << 255, 1 << 255), (1 << 300, 1), (1, (1 << 4000) + 1)])
def test_numbers_that_are_no_signature_do_not_fit(pairs: Mapping[str, Pair], numbers: tuple[int, int]) -> None:
    signature = decode(pairs["ecdsa-sha2-nistp256"].sign())
    wrong = replace(signature, blob=string(signature.key.kind.encode()) + string(mpint(numbers[0]) + mpint(numbers[1])))
    with pytest.raises(SignatureError, match="altered"):
        verify(wrong, MESSAGE)


def test_other_kinds_of_keys_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(SignatureError, match="'ssh-rsa' is not taken") as caught:
        decode(make(tmp_path, "rsa", options=("-b", "1024")).sign())
    assert "ssh-keygen -t ed25519" in caught.value.remedy


def test_a_certificate_is_refused_in_words(pair: Pair, tmp_path: Path) -> None:
    own = make(tmp_path)
    keygen("-q", "-s", pair.path, "-I", "x", "-n", "alice", own.pub)
    armored = keygen("-q", "-Y", "sign", "-f", tmp_path / "key-cert.pub", "-n", "airseal", stdin=MESSAGE).stdout
    with pytest.raises(SignatureError, match=r"ssh-ed25519-cert-v01@openssh\.com' is not taken"):
        decode(armored)


def test_it_is_bounded() -> None:
    with pytest.raises(SignatureError, match="has more"):
        decode(b"-----BEGIN SSH SIGNATURE-----\n" + b"A" * MAX_BYTES)


@given(st.text(min_size=1, max_size=200).filter(lambda text: "\0" not in text))
@settings(max_examples=50)
def test_it_reads_what_it_writes(namespace: str) -> None:
    key = PublicKey(string(b"ssh-ed25519") + string(bytes(32)))
    signature = Signature(key, namespace, "sha256", string(b"ssh-ed25519") + string(bytes(64)))
    assert decode(encode(signature)) == signature


FIELD = st.binary(max_size=80) | st.sampled_from([b"airseal", b"sha512", b"sha256", b"", string(b"ssh-ed25519") + string(bytes(32)), string(b"ssh-ed25519") + string(bytes(64))])


@given(st.binary(max_size=500) | st.lists(FIELD, max_size=6).map(lambda fields: armor(b"SSHSIG\0\0\0\1" + b"".join(map(string, fields)))) | st.binary(max_size=300).map(armor))
@example(SAMPLE)
@example(b"")
@example(b"-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n")
@example(b"-----BEGIN SSH SIGNATURE-----\n\n-----END SSH SIGNATURE-----\n")
def test_a_signature_or_a_named_error(armored: bytes) -> None:
    with suppress(SignatureError):
        assert encode(decode(armored)) == armored
