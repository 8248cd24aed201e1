"""What the product is told about our internet, and the certificates that make it believe so."""

from __future__ import annotations

import ipaddress
import json
import stat
from pathlib import Path

import yaml
from cryptography import x509

from tests.testbed.cache import Cache
from tests.testbed.sites import SUBNET, UPSTREAMS, Settings, mirrors


def test_every_address_is_on_our_network_and_used_once() -> None:
    addresses = [ipaddress.ip_address(upstream.address) for upstream in UPSTREAMS]
    assert len(set(addresses)) == len(addresses)
    assert all(address in ipaddress.ip_network(SUBNET) for address in addresses)


def test_settings_are_the_same_the_second_time(tmp_path: Path) -> None:
    settings = Settings(Cache(tmp_path))
    settings.write()
    first = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    settings.write()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == first


def test_the_product_gets_mirrors_and_a_login_for_the_name_and_for_its_mirror(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    Settings(cache).write()
    assert yaml.safe_load(cache.mirrors.read_text()) == mirrors("ca.crt")
    auths = json.loads((cache.docker_config / "config.json").read_text())["auths"]
    assert list(auths) == ["registry.corp.example:8443", "10.77.0.14:8443"]


def test_secrets_are_for_their_owner_only(tmp_path: Path) -> None:
    Settings(Cache(tmp_path)).write()
    secret = [
        path
        for path in tmp_path.rglob("*")
        if path.suffix == ".key" or "password" in path.name or path.name == "config.json"
    ]
    assert len(secret) >= 8
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in secret)


def test_a_server_certificate_names_its_address_and_its_issuer(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    settings = Settings(cache)
    settings.write()
    authority = x509.load_pem_x509_certificate(cache.ca.read_bytes())
    for upstream in UPSTREAMS:
        leaf = x509.load_pem_x509_certificate((settings.directory(upstream) / "tls" / "tls.crt").read_bytes())
        leaf.verify_directly_issued_by(authority)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address(upstream.address)]
        assert names.get_values_for_type(x509.DNSName) == [upstream.host]
