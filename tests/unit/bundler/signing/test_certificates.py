"""A key that an authority vouches for: openssl verifies what it signed, and certificates that would not hold are refused before anything is sealed."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from bundler.errors import CertificateUnfit, KeyExposed, KeyUnusable, WrongPassphrase
from bundler.signing.certificates import CertifiedKey, load_certified, path_of
from bundler.signing.signing import Signing
from bundler.steps import sums
from tests.unit.bundler.signing.test_keys import nobody
from tests.unit.installer_stub.bundle.sealed import ingredients

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@dataclass
class Issued:
    key: Any
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def issue(name: str, by: Issued | None, key: Any = None, *, begins: datetime = NOW - DAY, ends: datetime = NOW + DAY, signs: bool = True) -> Issued:
    own = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(signs, False, not signs, False, False, by is None or "CA" in name, False, False, False)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(by is None or "CA" in name, None), critical=True)
        .add_extension(usage, critical=True)
        .sign(by.key if by else own, hashes.SHA256())
    )
    return Issued(own, made)


def write(path: Path, leaf: Issued, *chain: Issued, passphrase: bytes = b"") -> Path:
    how = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    key = leaf.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)
    path.write_bytes(key + leaf.pem + b"".join(each.pem for each in chain))
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def authority() -> tuple[Issued, Issued]:
    root = issue("Root", None)
    return root, issue("CA of builders", root)


def verified(tmp_path: Path, run: Path, root: Issued) -> bool:
    (tmp_path / "ca.pem").write_bytes(root.pem)
    words = ("-verify", "-binary", "-purpose", "any", "-inform", "DER", "-in", path_of(sums.path_of(run)), "-content", sums.path_of(run), "-CAfile", tmp_path / "ca.pem", "-out", "/dev/null")
    return subprocess.run(["openssl", "cms", *words], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_openssl_verifies_the_sums_and_the_sums_the_file(kind: str, authority: tuple[Issued, Issued], tmp_path: Path) -> None:
    root, between = authority
    leaf = issue("release", between, rsa.generate_private_key(65537, 2048) if kind == "rsa" else None)
    signing = Signing.load([], nobody, write(tmp_path / "release.pem", leaf, between))
    run = tmp_path / "shop.run"
    beside = sums.Beside(signing)
    ingredients(tmp_path / "made").sealed(run, sign=signing, ready=beside.ready)
    beside.write()
    assert verified(tmp_path, run, root)
    assert subprocess.run(["sha256sum", "-c", sums.path_of(run).name], cwd=tmp_path, check=False, capture_output=True).returncode == 0
    assert not verified(tmp_path, run, issue("Root", None)), "another authority of that name"
    with sums.path_of(run).open("ab") as file:
        file.write(b"x")
    assert not verified(tmp_path, run, root)


def test_what_nobody_signs_has_no_signature_of_before(authority: tuple[Issued, Issued], tmp_path: Path) -> None:
    signing = Signing.load([], nobody, write(tmp_path / "release.pem", issue("release", authority[0])))
    sealed = ingredients(tmp_path / "made").sealed(tmp_path / "shop.run")
    for who in (signing, Signing()):
        beside = sums.Beside(who)
        beside.ready(sealed)
        beside.write()
        assert path_of(sums.path_of(sealed.path)).exists() == (who is signing)


def test_a_passphrase_is_asked_for(authority: tuple[Issued, Issued], tmp_path: Path) -> None:
    path = write(tmp_path / "release.pem", issue("release", authority[0]), passphrase=b"open")
    assert load_certified(path, lambda _: "open").subject == "CN=release"
    with pytest.raises(WrongPassphrase):
        load_certified(path, lambda _: "shut")


def refused(path: Path) -> str:
    with pytest.raises(CertificateUnfit) as raised:
        load_certified(path, nobody)
    assert raised.value.exit_code == 11
    assert raised.value.remedy
    return raised.value.problem


def test_certificates_that_would_not_hold(authority: tuple[Issued, Issued], tmp_path: Path) -> None:
    root, between = authority
    leaf, path = issue("release", between), tmp_path / "release.pem"
    assert "valid from" in refused(write(path, issue("old", between, ends=NOW - timedelta(minutes=1), begins=NOW - 2 * DAY), between))
    assert "valid from" in refused(write(path, issue("early", between, begins=NOW + DAY / 2), between))
    assert "was not issued by" in refused(write(path, leaf, root))
    assert "was not issued by" in refused(write(path, leaf, issue("CA of builders", root)))
    assert "is of another key" in refused(write(path, Issued(ec.generate_private_key(ec.SECP256R1()), leaf.certificate), between))
    assert "not for signatures" in refused(write(path, issue("sealer", between, signs=False), between))
    assert "neither ECDSA nor RSA" in refused(write(path, issue("small", between, rsa.generate_private_key(65537, 1024)), between))  # noqa: S505 - refused
    assert "neither ECDSA nor RSA" in refused(write(path, issue("edwards", between, ed25519.Ed25519PrivateKey.generate()), between))
    assert "9 certificates" in refused(write(path, leaf, *[between] * 8))
    whole = write(path, leaf, between).read_bytes()
    path.write_bytes(whole[: whole.index(b"-----BEGIN CERT")])
    assert "0 certificates" in refused(path)
    path.write_bytes(whole.replace(leaf.pem[40:80], leaf.pem[80:120], 1))
    assert "cannot be read" in refused(path)


def test_a_key_that_others_may_read_and_what_is_no_key(authority: tuple[Issued, Issued], tmp_path: Path) -> None:
    path = write(tmp_path / "release.pem", issue("release", authority[0]))
    path.chmod(0o644)
    with pytest.raises(KeyExposed):
        load_certified(path, nobody)
    path.write_bytes(b"hello")
    path.chmod(0o600)
    with pytest.raises(KeyUnusable):
        load_certified(path, nobody)


def test_its_repr_says_who_and_nothing_of_the_key(authority: tuple[Issued, Issued], tmp_path: Path) -> None:
    found = load_certified(write(tmp_path / "release.pem", issue("release", authority[0])), nobody)
    assert repr(found) == "CertifiedKey(CN=release)"
    assert isinstance(found, CertifiedKey)
