"""A builder's key in a file: what it signs ssh-keygen takes, and whatever is wrong with it is said without its secrets."""

from __future__ import annotations

import hashlib
import subprocess
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from bundler.errors import BuildError, KeyExposed, KeyMissing, KeyUnusable, SigningError, WrongPassphrase
from bundler.signing.keys import MAX_BYTES, SigningKey, load_signer, sign_digest
from installer_stub.trust.public_key import PublicKey
from installer_stub.trust.sshsig import encode, verify
from tests.unit.installer_stub.trust.openssh import KINDS, MESSAGE, Pair, keygen, make, takes, trusts

CURVES = {"prime256v1": "ecdsa-sha2-nistp256", "secp384r1": "ecdsa-sha2-nistp384", "secp521r1": "ecdsa-sha2-nistp521"}
SECRET = "correct horse, bättery"
CHEAP = ("-a", "1")  # rounds of the key derivation


def nobody(prompt: str) -> str:
    raise AssertionError(f"asked: {prompt}")


def typed(*words: str) -> tuple[Callable[[str], str], list[str]]:
    prompts: list[str] = []
    left = list(words)

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        return left.pop(0)

    return ask, prompts


def openssl(*words: str | Path, stdin: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *words], input=stdin, capture_output=True, check=True).stdout


def kept(path: Path, content: bytes) -> Path:
    path.touch(0o600)
    path.write_bytes(content)
    return path


def signed(key: SigningKey, hash_algorithm: str = "sha512", namespace: str = "airseal") -> bytes:
    return encode(sign_digest(key, hashlib.new(hash_algorithm, MESSAGE).digest(), hash_algorithm, namespace))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Pair]:
    return {kind: make(tmp_path_factory.mktemp("keys"), kind) for kind in KINDS}


@pytest.mark.parametrize("hash_algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("kind", KINDS)
def test_ssh_keygen_takes_what_it_signs(pairs: Mapping[str, Pair], kind: str, hash_algorithm: str, tmp_path: Path) -> None:
    key = load_signer(pairs[kind].path, nobody)
    assert key.public.text == pairs[kind].line
    armored = signed(key, hash_algorithm)
    assert takes(tmp_path, armored)
    assert not takes(tmp_path, armored, MESSAGE + b"x")
    assert not takes(tmp_path, armored, namespace="file")
    assert trusts(tmp_path, armored, f"alice {pairs[kind].line}\n")
    assert takes(tmp_path, signed(key, hash_algorithm, "file"), namespace="file")


@pytest.mark.parametrize("kind", KINDS)
def test_many_signatures_of_numbers_of_every_length(pairs: Mapping[str, Pair], kind: str) -> None:
    key = load_signer(pairs[kind].path, nobody)
    for number in range(60):
        message = bytes([number])
        verify(sign_digest(key, hashlib.sha512(message).digest()), message)


def test_an_ed25519_signature_is_ssh_keygen_s_to_the_byte(pairs: Mapping[str, Pair]) -> None:
    pair = pairs["ssh-ed25519"]
    assert signed(load_signer(pair.path, nobody)) == pair.sign()


@pytest.mark.parametrize(("curve", "kind"), CURVES.items())
def test_keys_in_pem(curve: str, kind: str, tmp_path: Path) -> None:
    sec1 = openssl("ecparam", "-name", curve, "-genkey", "-noout")
    forms = {
        "sec1": sec1,
        "parameters": openssl("ecparam", "-name", curve) + sec1,
        "pkcs8": openssl("pkcs8", "-topk8", "-nocrypt", stdin=sec1),
    }
    found = {load_signer(kept(tmp_path / name, content), nobody).public for name, content in forms.items()}
    assert found == {PublicKey.from_pem(openssl("ec", "-pubout", stdin=sec1))}
    armored = signed(load_signer(tmp_path / "pkcs8", nobody))
    assert next(iter(found)).kind == kind
    assert takes(tmp_path, armored)


def test_an_ed25519_key_in_pem(tmp_path: Path) -> None:
    key = load_signer(kept(tmp_path / "key", openssl("genpkey", "-algorithm", "ed25519")), nobody)
    assert takes(tmp_path, signed(key))


def locked_keys(directory: Path) -> list[Path]:
    sec1 = openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout")
    return [
        make(directory, name="openssh", passphrase=SECRET, options=CHEAP).path,
        make(directory, "ecdsa-sha2-nistp384", name="gcm", passphrase=SECRET, options=(*CHEAP, "-Z", "aes256-gcm@openssh.com")).path,
        kept(directory / "sec1", openssl("ec", "-aes256", "-passout", f"pass:{SECRET}", stdin=sec1)),
        kept(directory / "pkcs8", openssl("pkcs8", "-topk8", "-iter", "10", "-passout", f"pass:{SECRET}", stdin=sec1)),
    ]


def test_passphrases_are_asked_for(tmp_path: Path) -> None:
    for path in locked_keys(tmp_path):
        ask, prompts = typed("", "wrong", SECRET)
        assert takes(tmp_path, signed(load_signer(path, ask)))
        assert prompts == [f"passphrase of {path}: ", *[f"that was not it; passphrase of {path}: "] * 2]
        ask, prompts = typed(SECRET)
        load_signer(path, ask)
        assert len(prompts) == 1


def test_three_wrong_ones_and_none_is_repeated(tmp_path: Path) -> None:
    for path in locked_keys(tmp_path):
        words = ("s3cret-a", "s3cret-\ud800b", "s3cret-c")
        ask, prompts = typed(*words)
        with pytest.raises(WrongPassphrase, match="none of 3 passphrases opens it") as caught:
            load_signer(path, ask)
        assert len(prompts) == 3
        assert "s3cret" not in "".join(traceback.format_exception(caught.value))
        assert "s3cret" not in f"{caught.value.__context__!r}{caught.value.__cause__!r}"


def test_who_stops_while_asked_has_stopped(tmp_path: Path) -> None:
    def stop(_prompt: str) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_signer(make(tmp_path, passphrase=SECRET, options=CHEAP).path, stop)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601])
def test_a_key_that_others_may_read_is_refused_as_ssh_does(pairs: Mapping[str, Pair], mode: int) -> None:
    path = pairs["ssh-ed25519"].path
    path.chmod(mode)
    try:
        assert keygen("-y", "-f", path, check=False).returncode != 0
        with pytest.raises(KeyExposed, match=f"mode {mode:04o}") as caught:
            load_signer(path, nobody)
        assert f"chmod 600 {path}" in caught.value.remedy
    finally:
        path.chmod(0o600)


def test_through_a_link_it_is_the_file_that_counts(pairs: Mapping[str, Pair], tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(pairs["ssh-ed25519"].path)
    assert load_signer(link, nobody).public.text == pairs["ssh-ed25519"].line


@pytest.mark.parametrize("words", ["genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:2048", "ecparam -name secp256k1 -genkey -noout", "genpkey -algorithm ed448", "genpkey -algorithm x25519"])
def test_other_kinds_are_refused_in_words(words: str, tmp_path: Path) -> None:
    with pytest.raises(KeyUnusable, match="is not taken") as caught:
        load_signer(kept(tmp_path / "key", openssl(*words.split())), nobody)
    assert "ssh-keygen -t ed25519" in caught.value.remedy


def test_rsa_in_openssh_s_form_and_its_public_key(tmp_path: Path) -> None:
    pair = make(tmp_path, "rsa", options=("-b", "1024"))
    for path in (pair.path, pair.pub):
        with pytest.raises(KeyUnusable, match=r"RSA|ssh-rsa"):
            load_signer(path, nobody)


def test_what_is_no_key(tmp_path: Path, pairs: Mapping[str, Pair]) -> None:
    content = pairs["ssh-ed25519"].path.read_bytes()
    empty, torn, noise, words = (tmp_path / name for name in ("empty", "torn", "noise", "words"))
    for path, bad in ((empty, b""), (torn, content[:200]), (noise, b"\xff\x00" * 50), (words, b"no key\n")):
        with pytest.raises(KeyUnusable, match=path.name):
            load_signer(kept(path, bad), nobody)
    altered = bytearray(content)
    altered[250] ^= 4
    with pytest.raises(SigningError):
        load_signer(kept(tmp_path / "altered", bytes(altered)), nobody)
    with pytest.raises(KeyUnusable, match=f"more than {MAX_BYTES}"):
        load_signer(kept(tmp_path / "long", content + b"\n" * MAX_BYTES), nobody)
    with pytest.raises(KeyUnusable, match="more than"):
        load_signer(Path("/dev/zero"), nobody)
    for missing in (tmp_path / "missing", tmp_path, Path("a\0b")):
        with pytest.raises(KeyMissing, match="cannot be read"):
            load_signer(missing, nobody)


def test_a_private_key_does_not_show_itself(pairs: Mapping[str, Pair]) -> None:
    key = load_signer(pairs["ssh-ed25519"].path, nobody)
    assert repr(key) == f"FileKey({key.public.fingerprint})"


def test_what_signs_wrongly_signs_nothing(pairs: Mapping[str, Pair]) -> None:
    class Liar:
        public = load_signer(pairs["ssh-ed25519"].path, nobody).public

        def sign(self, data: bytes) -> bytes:
            return load_signer(pairs["ssh-ed25519"].path, nobody).sign(data + b"x")

    with pytest.raises(SigningError, match="is not right"):
        sign_digest(Liar(), bytes(64))


def test_all_of_them_are_errors_of_a_build() -> None:
    assert issubclass(SigningError, BuildError)
    assert {kind.exit_code for kind in (KeyMissing, KeyExposed, KeyUnusable, WrongPassphrase)} == {11}
