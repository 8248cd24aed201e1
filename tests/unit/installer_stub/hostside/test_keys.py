"""A master's key stays with it; what the CA signs is a server certificate for exactly the names that were asked for."""

from __future__ import annotations

import io
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from installer_stub.cli import main
from installer_stub.errors import InstallerError, UsageError
from installer_stub.hostside.keys import new_key, sign
from tests.unit.installer_stub.hostside.authority import make_authority


def test_request_and_certificate_through_the_command_line(
    authority: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "pki" / "registry.key"
    ask = ["host", "new-key", "--key", str(key), "--name", "m1", "--ip", "10.0.0.2", "--ip", "fd00::2", "--dns", "m1"]
    assert main([*ask, "--csr", str(tmp_path / "m1.csr")]) == 0
    request = capfd.readouterr().out
    assert (tmp_path / "m1.csr").read_text() == request
    assert stat.S_IMODE(key.stat().st_mode) == 0o600

    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(request.encode())))
    assert main(["host", "sign", "--ca-cert", str(authority / "ca.crt"), "--ca-key", str(authority / "ca.key"), "--csr", "-", "--days", "90"]) == 0
    certificate = x509.load_pem_x509_certificate(capfd.readouterr().out.encode())
    issuer = x509.load_pem_x509_certificate((authority / "ca.crt").read_bytes())
    certificate.verify_directly_issued_by(issuer)
    extensions = certificate.extensions
    named = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == named.digest
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name) for name in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.2", "fd00::2"]
    assert names.get_values_for_type(x509.DNSName) == ["m1"]
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert certificate.not_valid_before_utc >= issuer.not_valid_before_utc

    before = key.read_bytes()
    assert main(ask) == 0
    assert key.read_bytes() == before, "a second run keeps the key"


def test_a_certificate_never_outlives_its_authority(authority: Path, tmp_path: Path) -> None:
    request = new_key(tmp_path / "k", "m1", ["10.0.0.2"], [])
    certificate = x509.load_pem_x509_certificate(sign(request.encode(), authority / "ca.crt", authority / "ca.key", 99_999).encode())
    issuer = x509.load_pem_x509_certificate((authority / "ca.crt").read_bytes())
    assert certificate.not_valid_after_utc == issuer.not_valid_after_utc


def test_what_cannot_be_signed_is_refused(authority: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    make_authority(other)
    request = new_key(tmp_path / "k", "m1", ["10.0.0.2"], []).encode()
    with pytest.raises(InstallerError, match="no certificate request"):
        sign(b"hello", authority / "ca.crt", authority / "ca.key", 1)
    with pytest.raises(InstallerError, match="is not the key of"):
        sign(request, authority / "ca.crt", other / "ca.key", 1)
    with pytest.raises(InstallerError, match="No such file"):
        sign(request, authority / "ca.crt", authority / "missing.key", 1)
    with pytest.raises(UsageError, match="at least one"):
        new_key(tmp_path / "k", "m1", [], [])
    with pytest.raises(UsageError, match="--ip"):
        new_key(tmp_path / "k", "m1", ["m1"], [])
    (tmp_path / "torn").write_text("-----BEGIN")
    with pytest.raises(InstallerError, match="no private key"):
        new_key(tmp_path / "torn", "m1", ["10.0.0.2"], [])
