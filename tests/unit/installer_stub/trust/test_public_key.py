"""A public key is what ssh-keygen says it is, and has one spelling."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installer_stub.errors import SignatureError
from installer_stub.trust.public_key import CURVES, PublicKey
from installer_stub.trust.wire import string
from tests.unit.installer_stub.trust.openssh import KINDS, Pair, keygen, make


def public(pair: Pair) -> PublicKey:
    return PublicKey.parse(*pair.line.split())


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_what_openssh_says_of_it(pairs: Mapping[str, Pair], kind: str) -> None:
    key = public(pairs[kind])
    assert (key.kind, key.text) == (kind, pairs[kind].line)
    assert key.fingerprint == keygen("-l", "-f", pairs[kind].pub).stdout.decode().split()[1]


@pytest.mark.parametrize("kind", CURVES)  # ssh-keygen writes no PEM of Ed25519: openssl does, below
def test_in_pem_it_is_the_same_one(pairs: Mapping[str, Pair], kind: str) -> None:
    assert PublicKey.from_pem(keygen("-e", "-m", "PKCS8", "-f", pairs[kind].pub).stdout) == public(pairs[kind])


def test_openssl_s_ed25519_is_ours(tmp_path: Path) -> None:
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", tmp_path / "key"], check=True)
    pem, der = (subprocess.run(["openssl", "pkey", "-in", tmp_path / "key", "-pubout", "-outform", form], capture_output=True, check=True).stdout for form in ("PEM", "DER"))
    assert PublicKey.from_pem(pem).blob.endswith(der[-32:])


@pytest.mark.parametrize("command", ["genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:2048", "ecparam -name secp256k1 -genkey -noout", "genpkey -algorithm ed448"])
def test_other_kinds_in_pem_are_refused_in_words(command: str) -> None:
    private = subprocess.run(["openssl", *command.split()], capture_output=True, check=True).stdout
    pem = subprocess.run(["openssl", "pkey", "-pubout"], input=private, capture_output=True, check=True).stdout
    with pytest.raises(SignatureError, match="is not taken") as caught:
        PublicKey.from_pem(pem)
    assert "ssh-keygen -t ed25519" in caught.value.remedy


@pytest.mark.parametrize("kind", ["ssh-rsa", "ssh-dss", "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com", "ssh-ed25519-cert-v01@openssh.com", "ssh-ed448"])
def test_other_kinds_are_refused_in_words(kind: str) -> None:
    blob = string(kind.encode()) + string(bytes(32))
    for attempt in (lambda: PublicKey(blob), lambda: PublicKey.parse(kind, base64.b64encode(blob).decode())):
        with pytest.raises(SignatureError, match=f"kind '{kind}' is not taken") as caught:
            attempt()
        assert "ssh-keygen -t ed25519" in caught.value.remedy


def test_a_real_rsa_key_is_refused_too(tmp_path: Path) -> None:
    with pytest.raises(SignatureError, match="ssh-rsa"):
        public(make(tmp_path, "rsa", options=("-b", "1024")))


@pytest.mark.parametrize("kind", KINDS)
def test_every_truncation_and_what_is_longer_is_refused(pairs: Mapping[str, Pair], kind: str) -> None:
    blob = public(pairs[kind]).blob
    for altered in [*(blob[:end] for end in range(len(blob))), blob + b"\0"]:
        with pytest.raises(SignatureError):
            PublicKey(altered)


def test_a_point_is_on_its_curve_and_written_in_full(pairs: Mapping[str, Pair]) -> None:
    blob = public(pairs["ecdsa-sha2-nistp256"]).blob
    head, point = blob[:-69], blob[-65:]
    assert PublicKey(head + string(point)).blob == blob
    compressed = bytes([2 + point[-1] % 2]) + point[1:33]
    for wrong in (point[:-1] + bytes([point[-1] ^ 1]), compressed, b"\0", b"", b"\x04" + bytes(64)):
        with pytest.raises(SignatureError, match="no public key"):
            PublicKey(head + string(wrong))
    with pytest.raises(SignatureError, match="its curve is another one"):
        PublicKey(blob.replace(b"nistp256", b"nistp384").replace(b"nistp384", b"nistp256", 1))


@pytest.mark.parametrize("altered", ["{}=", "{}A", " {}", "{}\n", "{:.20}", "é{}"])
def test_base64_has_one_spelling(pair: Pair, altered: str) -> None:
    kind, encoded = pair.line.split()
    with pytest.raises(SignatureError):
        PublicKey.parse(kind, altered.format(encoded))


def test_what_it_is_called_is_what_it_is(pairs: Mapping[str, Pair]) -> None:
    with pytest.raises(SignatureError, match="is called ssh-ed25519"):
        PublicKey.parse("ssh-ed25519", pairs["ecdsa-sha2-nistp256"].line.split()[1])


@given(st.binary(max_size=200) | st.builds(lambda kind, rest: string(kind.encode()) + rest, st.sampled_from(sorted(KINDS)), st.binary(max_size=100)))
def test_a_key_or_a_named_error(blob: bytes) -> None:
    with suppress(SignatureError):
        assert PublicKey(blob).blob == blob
