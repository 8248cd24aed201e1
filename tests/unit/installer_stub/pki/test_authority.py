"""The site registry's CA vouches for addresses, and for no name of the world; a certificate without its key is never replaced."""

from __future__ import annotations

import datetime as dt
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from installer_stub.errors import InstallerError
from installer_stub.pki import authority
from installer_stub.pki.authority import LIFE, Authority, make
from installer_stub.pki.leaf import Leaf

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
DAYS = dt.timedelta(days=90)
KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def made(tmp_path: Path) -> Authority:
    make(tmp_path / "ca", NOW)
    return Authority.load(tmp_path / "ca")


def issue(made: Authority, *names: str, addresses: tuple[str, ...] = (), now: dt.datetime = NOW) -> bytes:
    return made.issue(KEY.public_key(), addresses, names, DAYS, now)


def test_it_is_made_once_for_root_alone(tmp_path: Path) -> None:
    directory = tmp_path / "var" / "ca"
    make(directory, NOW)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / "ca.key").stat().st_mode) == 0o600
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    make(directory, NOW + DAYS)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before
    assert set(before) == {"ca.crt", "ca.key"}


def test_killed_after_its_key_it_is_made_with_that_key(tmp_path: Path) -> None:
    make(tmp_path, NOW)
    key = (tmp_path / "ca.key").read_bytes()
    (tmp_path / "ca.crt").unlink()
    make(tmp_path, NOW)
    assert (tmp_path / "ca.key").read_bytes() == key
    Authority.load(tmp_path)


@pytest.mark.parametrize("damage", ["no key", "another key", "torn key", "torn certificate"])
def test_a_certificate_that_may_be_trusted_is_not_replaced_by_another(tmp_path: Path, damage: str) -> None:
    make(tmp_path, NOW)
    match damage:
        case "no key":
            (tmp_path / "ca.key").unlink()
        case "another key":
            make(tmp_path / "other", NOW)
            (tmp_path / "other" / "ca.key").rename(tmp_path / "ca.key")
        case "torn key":
            (tmp_path / "ca.key").write_text("-----BEGIN")
        case _:
            (tmp_path / "ca.crt").write_text("-----BEGIN")
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(InstallerError, match=r"ca\.(key|crt)") as caught:
        make(tmp_path, NOW)
    assert "back" in caught.value.remedy
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_what_it_signs_is_for_servers_and_for_exactly_what_was_asked(made: Authority) -> None:
    leaf = Leaf.parse(issue(made, "api.airseal.internal", "localhost", addresses=("10.0.0.2", "fd00::2")))
    assert leaf.is_signed_by(made.certificate)
    assert (leaf.addresses, leaf.names) == (("10.0.0.2", "fd00::2"), ("api.airseal.internal", "localhost"))
    assert leaf.certificate.not_valid_after_utc == NOW + DAYS
    assert leaf.certificate.not_valid_before_utc < NOW
    extensions = leaf.certificate.extensions
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [x509.ExtendedKeyUsageOID.SERVER_AUTH]
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_cert_sign) == (True, False)


@pytest.mark.parametrize(
    ("names", "addresses", "believed"),
    [
        (("localhost", "api.airseal.internal"), ("10.0.0.2", "127.0.0.1", "fd00::2"), True),
        (("registry.k8s.io",), ("10.0.0.2",), False),
        (("m1",), ("10.0.0.2",), False),
    ],
)
def test_openssl_believes_it_for_addresses_and_our_own_names_alone(
    made: Authority, tmp_path: Path, names: tuple[str, ...], addresses: tuple[str, ...], *, believed: bool
) -> None:
    (tmp_path / "leaf.crt").write_bytes(issue(made, *names, addresses=addresses))
    verify = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", tmp_path / "ca" / "ca.crt"]
    for check in ([], *(["-verify_ip", address] for address in addresses)):
        done = subprocess.run([*verify, *check, tmp_path / "leaf.crt"], capture_output=True, text=True, check=False)
        assert (done.returncode == 0) is believed, done.stderr
        assert believed or "permitted subtree violation" in done.stderr


def test_nothing_outlives_it_and_a_clock_outside_of_its_life_is_named(made: Authority) -> None:
    late = Leaf.parse(issue(made, "localhost", now=NOW + LIFE - dt.timedelta(days=10)))
    assert late.certificate.not_valid_after_utc == made.certificate.not_valid_after_utc
    for clock in (NOW + LIFE + DAYS, NOW - DAYS):
        with pytest.raises(InstallerError, match="this host's clock says") as caught:
            issue(made, "localhost", now=clock)
        assert "clock" in caught.value.remedy


def test_another_ca_of_the_same_name_has_not_signed_it(made: Authority, tmp_path: Path) -> None:
    make(tmp_path / "other", NOW)
    other = Authority.load(tmp_path / "other")
    assert authority.is_ours(other.certificate)
    assert not Leaf.parse(issue(made, "localhost")).is_signed_by(other.certificate)
