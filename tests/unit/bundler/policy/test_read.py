"""A policy is read as it was meant, or refused with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from bundler.errors import UsageError
from bundler.policy.patterns import matches, pattern_problem
from bundler.policy.read import load, parse
from bundler.policy.verifier import MOST_BYTES, Verifier
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Repository
from tests.unit.bundler.policy.signing import KEY, pem

GOOD = b"""\
rules:
  - images: [registry.example.com/shop/**]
    keys: [keys/shop.pub, keys/shop.pub]
    signed-as: [build.example.com/*]
  - images: [registry.k8s.io/**, docker.io/library/*]
    unsigned: allowed
    reason: signed without keys
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/shop.pub").write_bytes(pem(KEY))
    return tmp_path


def test_a_policy_is_what_it_says(directory: Path) -> None:
    (path := directory / "policy.yaml").write_bytes(GOOD)
    policy = load(path)
    assert policy.digest == Digest.of(GOOD)
    first, second = policy.rules
    assert [key.name for key in first.keys] == ["keys/shop.pub"] * 2
    assert (first.unsigned, second.unsigned, second.keys) == ("", "signed without keys", ())
    assert policy.rule_for(Repository.of("registry.example.com", "shop/a/b")) is first
    assert policy.rule_for(Repository.of("index.docker.io", "busybox")) is second
    assert policy.rule_for(Repository.of("quay.io", "a/b")) is None


def test_a_key_is_part_of_what_is_judged_by(directory: Path) -> None:
    before = parse(GOOD, directory / "p.yaml").to_key()
    (directory / "keys/shop.pub").write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))
    after = parse(GOOD, directory / "p.yaml").to_key()
    assert before["policy"] == after["policy"]
    assert before != after


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        (b"    signed-as:", b"    signedAs:", "p.yaml:4: rules[0].signedAs: there is no such field; there are images, keys, signed-as"),
        (b"rules:", b"version: 1\nrules:", "p.yaml:1: version: there is no such field"),
        (b"rules:\n", b"rules: []\nx:\n", "p.yaml:1: rules: at least 1"),
        (b"    unsigned: allowed\n", b"", "p.yaml:5: rules[1]: needs keys, or unsigned"),
        (b"    reason: signed without keys\n", b"", "p.yaml:5: rules[1]: unsigned: allowed and reason belong together"),
        (b"unsigned: allowed", b"unsigned: 'yes'", "p.yaml:6: rules[1].unsigned: allowed is wanted, not 'yes'"),
        (b"unsigned: allowed", b"unsigned: true", "p.yaml:6: rules[1].unsigned: a text is wanted"),
        (b"unsigned: allowed", b"keys: [keys/shop.pub]\n    unsigned: allowed", "p.yaml:5: rules[1]: needs keys, or unsigned: allowed with a reason; not both"),
        (b"unsigned: allowed", b"keyless: {issuer: x}\n    unsigned: allowed", "p.yaml:6: rules[1].keyless: signatures without a key (Fulcio"),
        (b"    keys: [keys/shop.pub, keys/shop.pub]\n", b"    unsigned: allowed\n    reason: x\n", "p.yaml:2: rules[0]: signed-as is about signatures"),
        (b"    keys: [keys/shop.pub, keys/shop.pub]\n", b"    keys: []\n", "p.yaml:3: rules[0].keys: at least 1"),
        (b"    keys:", b"    keys: [a]\n    keys:", "p.yaml:4: rules[0].keys: written twice, first in line 3"),
        (b"registry.example.com/shop/**", b"busybox", "p.yaml:2: rules[0].images[0]: 'busybox' names no repository"),
        (b"registry.example.com/shop/**", b"library/busybox", "begins with no registry"),
        (b"registry.example.com/shop/**", b"quay.io/a/b:1", "has a tag"),
        (b"registry.example.com/shop/**", b"index.docker.io/library/redis", "Docker Hub is docker.io here"),
        (b"registry.example.com/shop/**", b"docker.io/redis", "docker.io/library/redis"),
        (b"registry.example.com/shop/**", b"docker.io/*", "two parts"),
        (b"registry.example.com/shop/**", b"'!quay.io/a'", "is no pattern"),
        (b"registry.example.com/shop/**", b"quay.io/***", "is no pattern"),
        (b"[build.example.com/*]", b"[build]", "p.yaml:4: rules[0].signed-as[0]: 'build' names no repository"),
        (b"rules:\n", b"rules: &a\n", ""),
        (b"rules:\n", b"rules: [\n", "p.yaml:"),
        (b"images: [registry.k8s", b"images: *a\n    x: [registry.k8s", "anchors and aliases"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(old: bytes, new: bytes, where: str, directory: Path) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    if not where:
        assert parse(text, directory / "p.yaml").rules, "an anchor that nobody uses means nothing"
        return
    with pytest.raises(UsageError) as error:
        parse(text, directory / "p.yaml")
    assert where in error.value.problem
    assert error.value.exit_code == 2


def test_all_problems_are_told_at_once(directory: Path) -> None:
    with pytest.raises(UsageError, match="3 problems") as error:
        parse(GOOD.replace(b"signed-as", b"signedas").replace(b"reason", b"raison"), directory / "p.yaml")
    assert ":4:" in error.value.problem
    assert ":7:" in error.value.problem


@pytest.mark.parametrize(("raw", "words"), [(b"", "is empty"), (b"- 1", "a mapping is wanted"), (b"x" * (1 << 19), "larger than"), (b"\xff\xfe\x00", "YAML")])
def test_what_is_no_policy(raw: bytes, words: str, directory: Path) -> None:
    (path := directory / "p.yaml").write_bytes(raw)
    with pytest.raises(UsageError, match=words):
        load(path)


def test_a_file_that_is_not_there(directory: Path) -> None:
    with pytest.raises(UsageError, match=r"--require-signatures .*none\.yaml: No such file"):
        load(directory / "none.yaml")
    (directory / "keys/shop.pub").unlink()
    with pytest.raises(UsageError, match=r"the key keys/shop\.pub cannot be read: No such file"):
        parse(GOOD, directory / "p.yaml")


def private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not one public key"),
        (pem(KEY) * 2, "not one public key"),
        (private(KEY), "is a private key"),
        (b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n", "is a private key"),
        (b"-----BEGIN CERTIFICATE-----\n", "is a certificate"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no public key in PEM"),
        (pem(ec.generate_private_key(ec.SECP521R1())), "of a kind that is not taken"),
        (pem(ec.generate_private_key(ec.SECP256K1())), "of a kind that is not taken"),
        (pem(rsa.generate_private_key(65537, 1024)), "of a kind that is not taken"),  # noqa: S505 - refused
        (b"x" * (MOST_BYTES + 1), f"more than {MOST_BYTES}"),
    ],
)
def test_what_is_no_key_of_ours(content: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words) as error:
        Verifier.parse(content, "a.pub")
    assert "a.pub" in error.value.problem


@pytest.mark.parametrize(
    ("pattern", "name", "is_meant"),
    [
        ("quay.io/a/b", "quay.io/a/b", True),
        ("quay.io/a/b", "quay.io/a/bc", False),
        ("quay.io/a/b", "quayxio/a/b", False),
        ("quay.io/*", "quay.io/a", True),
        ("quay.io/*", "quay.io/a/b", False),
        ("quay.io/**", "quay.io/a/b", True),
        ("quay.io/**", "evilquay.io/a/b", False),
        ("quay.io/a*", "quay.io/abc", True),
        ("quay.io/a*c", "quay.io/ac", True),
        ("quay.io/a/**/z", "quay.io/a/b/c/z", True),
        ("*.example.com/**", "a.example.com/x", True),
        ("*.example.com/**", "a.b.example.com/x", True),
        ("*.example.com/**", "evil.io/a.example.com/x", False),
        ("**", "quay.io/a/b", True),
        ("docker.io/**", "docker.io/library/redis", True),
        ("localhost:5000/*", "localhost:5000/a", True),
    ],
)
def test_patterns(pattern: str, name: str, is_meant: bool) -> None:  # noqa: FBT001
    assert pattern_problem(pattern) == ""
    assert matches(name, pattern) is is_meant


def test_a_pattern_of_nothing_but_stars_costs_no_more_than_its_length() -> None:
    assert not matches("a" * 255, "*a" * 100 + "b")
