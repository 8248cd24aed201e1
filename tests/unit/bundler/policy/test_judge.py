"""An image counts as signed where a key of its rule says so of this very image, and in no other way that a forger thinks of."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from bundler.coverage.attached import kept_for
from bundler.errors import PolicyViolated
from bundler.policy import judge, sigstore_bundle, simple_signing
from bundler.policy.judge import held_to
from bundler.policy.verifier import Verifier
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.reference import Reference
from registry_snapshot.store.disk import DiskBlobStore
from tests.unit.bundler.policy.signing import (
    KEY,
    NAME,
    Private,
    Shelf,
    bundle,
    claim,
    encoded,
    layer,
    of_message,
    pem,
    sign,
    signed,
    statement,
)
from tests.unit.registry_snapshot.artifacts import make_artifact, put_as
from tests.unit.registry_snapshot.images import AMD64, make_image, make_index

RULE = {"images": ["registry.example.com/**"], "keys": ["k.pub"]}
OTHER = ec.generate_private_key(ec.SECP256R1())
KEYS: dict[str, Private] = {
    "p256": KEY,
    "p384": ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
    "rsa": rsa.generate_private_key(65537, 2048),
}


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(DiskBlobStore(tmp_path / "blobs"), tmp_path)


@pytest.fixture
def image(shelf: Shelf) -> Descriptor:
    index = make_index(shelf.blobs, {AMD64: make_image(shelf.blobs, "a", AMD64)})
    shelf.images[f"{NAME}:1"] = index
    return index


def refused(shelf: Shelf, *rules: dict[str, object], unread: tuple[str, ...] = (), **keys: Private) -> str:
    with pytest.raises(PolicyViolated) as error:
        held_to(shelf.policy(*(rules or (RULE,)), **keys), shelf.lock(), shelf.blobs, unread)
    assert error.value.exit_code == 12
    return error.value.problem


def accepted(shelf: Shelf, *rules: dict[str, object], **keys: Private) -> dict[str, str]:
    policy = shelf.policy(*(rules or (RULE,)), **keys)
    found = held_to(policy, shelf.lock(), shelf.blobs)
    assert found.policy == policy.digest
    return {str(each.reference): each.key or each.unsigned for each in found.images}


def fingerprint(key: Private) -> str:
    return Verifier.parse(pem(key), "x").fingerprint


@pytest.mark.parametrize("name", KEYS)
def test_every_kind_of_key_in_both_forms(name: str, shelf: Shelf, image: Descriptor) -> None:
    key, rule = KEYS[name], {**RULE, "keys": [f"{name}.pub"]}
    shelf.tagged(image, signed(shelf.blobs, claim(image.digest), key))
    assert accepted(shelf, rule, **{name: key}) == {f"{NAME}:1": fingerprint(key)}
    shelf.attached.clear()
    shelf.refers(image, bundle(statement(image.digest), key))
    assert accepted(shelf, rule, **{name: key}) == {f"{NAME}:1": fingerprint(key)}
    shelf.attached.clear()
    shelf.refers(image, of_message(shelf.blobs.read(image.digest), key))
    assert accepted(shelf, rule, **{name: key}) == {f"{NAME}:1": fingerprint(key)}


def test_p384_signs_with_the_hash_of_its_size_too_and_rsa_with_no_other(shelf: Shelf, image: Descriptor) -> None:
    payload = json.dumps(claim(image.digest)).encode()
    shelf.tagged(image, layer(shelf.blobs, payload, sign(KEYS["p384"], payload, hashes.SHA384())))
    assert accepted(shelf, {**RULE, "keys": ["p384.pub"]}, p384=KEYS["p384"])
    shelf.tagged(image, layer(shelf.blobs, payload, sign(KEYS["rsa"], payload, hashes.SHA1())))  # noqa: S303 - refused
    assert "no key of the rule" in refused(shelf, {**RULE, "keys": ["rsa.pub"]}, rsa=KEYS["rsa"])


def simple(change: Callable[[dict[str, Any]], object]) -> Callable[[Shelf, Descriptor], None]:
    """Sign a changed payload with the right key."""

    def make(shelf: Shelf, image: Descriptor) -> None:
        value = claim(image.digest)
        change(value)
        shelf.tagged(image, signed(shelf.blobs, value))

    return make


def raw(change: Callable[[bytes], bytes]) -> Callable[[Shelf, Descriptor], None]:
    """Sign changed bytes with the right key."""
    return lambda shelf, image: shelf.tagged(image, signed(shelf.blobs, change(json.dumps(claim(image.digest)).encode())))


def altered(shelf: Shelf, image: Descriptor) -> None:
    payload = json.dumps(claim(image.digest)).encode()
    shelf.tagged(image, layer(shelf.blobs, payload.replace(b'"optional": null', b'"optional": {}  '), sign(KEY, payload)))


def with_signature(text: str) -> Callable[[Shelf, Descriptor], None]:
    return lambda shelf, image: shelf.tagged(image, layer(shelf.blobs, json.dumps(claim(image.digest)).encode(), text))


OTHER_DIGEST = f"sha256:{'0' * 64}"
SIMPLE: dict[str, tuple[Callable[[Shelf, Descriptor], None], str]] = {
    "another key": (lambda shelf, image: shelf.tagged(image, signed(shelf.blobs, claim(image.digest), OTHER)), "no key of the rule has made it"),
    "without a key": (
        lambda shelf, image: shelf.tagged(image, signed(shelf.blobs, claim(image.digest), OTHER, **{"dev.sigstore.cosign/certificate": "PEM"})),
        "made without a key",
    ),
    "altered": (altered, "no key of the rule"),
    "no signature": (with_signature(""), "no key of the rule"),
    "no base64": (with_signature("é!"), "is no base64"),
    "half a signature": (with_signature(encoded(b"0E\x02!")), "no key of the rule"),
    "another digest": (simple(lambda value: value["critical"]["image"].update({"docker-manifest-digest": OTHER_DIGEST})), "of another image"),
    "a digest in capitals": (simple(lambda value: value["critical"]["image"].update({"docker-manifest-digest": value["critical"]["image"]["docker-manifest-digest"].upper()})), "of another image"),
    "another repository": (simple(lambda value: value["critical"]["identity"].update({"docker-reference": "registry.example.com/shop/web"})), "signed-as: [registry.example.com/shop/web]"),
    "the same path elsewhere": (simple(lambda value: value["critical"]["identity"].update({"docker-reference": "shop/api"})), "docker.io/shop/api"),
    "no repository": (simple(lambda value: value["critical"]["identity"].update({"docker-reference": ""})), "no repository"),
    "another type": (simple(lambda value: value["critical"].update(type="atomic container signature")), "no signature of an image"),
    "no type": (simple(lambda value: value["critical"].pop("type")), "has no type"),
    "a critical member more": (simple(lambda value: value["critical"].update(expires="yesterday")), "expires"),
    "a member of the image more": (simple(lambda value: value["critical"]["image"].update(x="y")), "critical members"),
    "no critical": (simple(lambda value: value.pop("critical")), "has no critical"),
    "a list": (raw(lambda data: b"[%s]" % data), "no JSON object"),
    "no JSON": (raw(lambda data: data[:-1]), "no JSON"),
    "not UTF-8": (raw(lambda data: data.replace(b"cosign", b"\xffosign")), "no JSON"),
    "deep": (raw(lambda data: b"[" * 50_000), "no JSON"),
    "a member twice": (raw(lambda data: data.replace(b'"optional"', b'"critical": {}, "optional"')), "stands twice"),
    "a digest twice": (
        raw(lambda data: data.replace(b'"docker-manifest-digest"', b'"docker-manifest-digest": "%s", "docker-manifest-digest"' % OTHER_DIGEST.encode())),
        "stands twice",
    ),
    "huge": (raw(lambda data: data + b" " * simple_signing.MOST_BYTES), "more than 65536"),
}


@pytest.mark.parametrize("name", SIMPLE)
def test_forged_payloads(name: str, shelf: Shelf, image: Descriptor) -> None:
    forge, words = SIMPLE[name]
    forge(shelf, image)
    problem = refused(shelf)
    assert words in problem
    assert f"{NAME}:1 ({image.digest})" in problem
    assert "k.pub" in problem


def made(change: Callable[[dict[str, Any]], object]) -> Callable[[Shelf, Descriptor], None]:
    """Change a right bundle."""

    def make(shelf: Shelf, image: Descriptor) -> None:
        value = bundle(statement(image.digest))
        change(value)
        shelf.refers(image, value)

    return make


def stated(change: Callable[[dict[str, Any]], object], **more: Any) -> Callable[[Shelf, Descriptor], None]:
    """Sign a changed statement with the right key."""

    def make(shelf: Shelf, image: Descriptor) -> None:
        value = statement(image.digest)
        change(value)
        shelf.refers(image, bundle(value, **more))

    return make


def of_a_message(shelf: Shelf, image: Descriptor, **more: Any) -> None:
    shelf.refers(image, of_message(shelf.blobs.read(image.digest), **more))


def both(shelf: Shelf, image: Descriptor) -> None:
    shelf.refers(image, {**bundle(statement(image.digest), OTHER), "messageSignature": of_message(shelf.blobs.read(image.digest))["messageSignature"]})


BUNDLES: dict[str, tuple[Callable[[Shelf, Descriptor], None], str]] = {
    "another key": (stated(lambda value: None, key=OTHER), "no key of the rule"),
    "without a key": (made(lambda value: value.update(bundle({}, OTHER), verificationMaterial={"certificate": {"rawBytes": "x"}})), "made without a key"),
    "another image": (stated(lambda value: value["subject"][0]["digest"].update(sha256="0" * 64)), "of another image"),
    "of another algorithm": (stated(lambda value: value["subject"][0].update(digest={"sha512": value["subject"][0]["digest"]["sha256"]})), "of another image"),
    "no subject": (stated(lambda value: value.pop("subject")), "of another image"),
    "subjects that are none": (stated(lambda value: value.update(subject=[1, {"digest": "x"}, {}])), "of another image"),
    "an attestation": (stated(lambda value: value.update(predicateType="https://slsa.dev/provenance/v1")), "https://slsa.dev/provenance/v1"),
    "another statement": (stated(lambda value: value.update(_type="https://example.org")), "another kind"),
    "another payload type": (stated(lambda value: None, kind="application/json"), "no statement"),
    "a payload type that was not signed": (made(lambda value: value["dsseEnvelope"].update(payloadType="application/json")), "no key of the rule"),
    "an altered payload": (made(lambda value: value["dsseEnvelope"].update(payload=encoded(b"{}"))), "no key of the rule"),
    "two signatures": (made(lambda value: value["dsseEnvelope"].update(signatures=value["dsseEnvelope"]["signatures"] * 2)), "not one signature"),
    "no signatures": (made(lambda value: value["dsseEnvelope"].update(signatures=[])), "not one signature"),
    "no base64": (made(lambda value: value["dsseEnvelope"]["signatures"][0].update(sig="%")), "no base64"),
    "another version": (made(lambda value: value.update(mediaType="application/vnd.dev.sigstore.bundle.v0.9+json")), "v0.9"),
    "no envelope": (made(lambda value: value.pop("dsseEnvelope")), "has no dsseEnvelope"),
    "two things": (both, "two things"),
    "a signed member twice": (lambda shelf, image: shelf.refers(image, bundle(json.dumps(statement(image.digest)).encode().replace(b'"predicate"', b'"_type": "x", "predicate"'))), "stands twice"),
    "truncated": (lambda shelf, image: shelf.refers(image, json.dumps(bundle(statement(image.digest))).encode()[:-5]), "no JSON"),
    "huge": (lambda shelf, image: shelf.refers(image, json.dumps(bundle(statement(image.digest))).encode() + b" " * sigstore_bundle.MOST_BYTES), "more than 1048576"),
    "of a message, another key": (lambda shelf, image: of_a_message(shelf, image, key=OTHER), "no key of the rule"),
    "of a message, another digest": (lambda shelf, image: of_a_message(shelf, image, digest=b"0" * 32), "another digest"),
    "of another message": (lambda shelf, image: shelf.refers(image, of_message(b"{}")), "no key of the rule"),
}


@pytest.mark.parametrize("name", BUNDLES)
def test_forged_bundles(name: str, shelf: Shelf, image: Descriptor) -> None:
    forge, words = BUNDLES[name]
    forge(shelf, image)
    assert words in refused(shelf)


def test_one_that_counts_is_enough(shelf: Shelf, image: Descriptor) -> None:
    shelf.tagged(image, signed(shelf.blobs, b"no JSON"), signed(shelf.blobs, claim(image.digest), OTHER), signed(shelf.blobs, claim(image.digest)))
    assert accepted(shelf) == {f"{NAME}:1": fingerprint(KEY)}
    assert accepted(shelf, {**RULE, "keys": ["other.pub", "k.pub"]}, other=OTHER) == {f"{NAME}:1": fingerprint(OTHER)}


def test_a_signature_of_another_image_under_this_ones_tag_or_as_its_referrer_is_none(shelf: Shelf, image: Descriptor) -> None:
    other = make_image(shelf.blobs, "other").descriptor
    shelf.tagged(image, signed(shelf.blobs, claim(other.digest)))
    shelf.refers(image, bundle(statement(other.digest)))
    assert refused(shelf).count("of another image") == 2
    shelf.attached.clear()
    shelf.refers(image, bundle(statement(image.digest)), subject=other)
    assert "no signature of it was recorded" in refused(shelf), "its own registry would not list it"


def test_a_signature_in_another_repository_is_none(shelf: Shelf, image: Descriptor) -> None:
    shelf.tagged(image, signed(shelf.blobs, claim(image.digest)), name="registry.example.com/shop/web")
    assert "no signature of it was recorded" in refused(shelf)


def test_a_signature_of_the_manifest_is_none_of_the_index(shelf: Shelf, image: Descriptor) -> None:
    child = Descriptor.from_json(json.loads(shelf.blobs.read(image.digest))["manifests"][0])
    shelf.tagged(child, signed(shelf.blobs, claim(child.digest)))
    assert "no signature of it" in refused(shelf)
    shelf.images[f"{NAME}@{child.digest}"] = child
    assert refused(shelf).startswith("1 of 2 images")


def test_copies_count_where_the_rule_says_whose_they_are(shelf: Shelf, image: Descriptor) -> None:
    shelf.tagged(image, signed(shelf.blobs, claim(image.digest, "index.docker.io/library/redis:7")))
    rule = {**RULE, "signed-as": ["docker.io/library/redis"]}
    assert accepted(shelf, rule) == {f"{NAME}:1": fingerprint(KEY)}
    assert "signed-as: [docker.io/library/redis]" in refused(shelf, {**RULE, "signed-as": ["docker.io/library/*/x"]})


def test_docker_hub_has_one_name(shelf: Shelf, image: Descriptor) -> None:
    shelf.images = {"docker.io/library/redis:7": image}
    shelf.tagged(image, signed(shelf.blobs, claim(image.digest, "index.docker.io/library/redis")), name="docker.io/library/redis")
    assert accepted(shelf, {"images": ["docker.io/library/*"], "keys": ["k.pub"]})


def test_the_first_rule_that_matches_decides(shelf: Shelf, image: Descriptor) -> None:
    unsigned: dict[str, object] = {"images": ["**"], "unsigned": "allowed", "reason": "we trust them"}
    assert accepted(shelf, unsigned, RULE) == {f"{NAME}:1": "we trust them"}
    assert "no signature of it was recorded" in refused(shelf, RULE, unsigned)


def test_all_images_are_told_at_once_and_those_that_no_rule_is_about(shelf: Shelf, image: Descriptor) -> None:
    other = make_image(shelf.blobs, "other").descriptor
    shelf.images |= {"quay.io/a/b:1": other, "registry.example.com/ok:1": other}
    shelf.tagged(other, signed(shelf.blobs, claim(other.digest, "registry.example.com/ok")), name="registry.example.com/ok")
    problem = refused(shelf)
    assert problem.startswith("2 of 3 images are not signed as")
    assert f"quay.io/a/b:1 ({other.digest}): no rule is about it" in problem
    assert "registry.example.com/ok" not in problem, "and of what is attached nobody wants a signature"


def test_what_is_attached_and_run_too_has_to_be_signed(shelf: Shelf, image: Descriptor) -> None:
    shelf.tagged(image, signed(shelf.blobs, claim(image.digest)))
    (name,) = shelf.attached
    shelf.images[name] = shelf.attached[name]
    assert refused(shelf).startswith("1 of 2 images")


def test_what_could_not_be_asked_is_said_with_the_image_under_whichever_name(shelf: Shelf, image: Descriptor) -> None:
    shelf.images[f"{NAME}:2"] = image
    line = f"{kept_for(Reference.parse(f'{NAME}:1'))}HTTP 503"
    problem = refused(shelf, unread=(line, "what is kept for quay.io/x:1: HTTP 401"))
    assert problem.count("HTTP 503") == 2
    assert "HTTP 401" not in problem
    shelf.tagged(image, signed(shelf.blobs, claim(image.digest)))
    assert held_to(shelf.policy(RULE), shelf.lock(), shelf.blobs, (line,)), "what is there is enough"


def test_no_more_signatures_are_looked_at_than_the_bound(shelf: Shelf, image: Descriptor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "MOST", 2)
    shelf.tagged(image, *(signed(shelf.blobs, claim(image.digest, f"registry.example.com/x{number}")) for number in range(2)), signed(shelf.blobs, claim(image.digest)))
    assert "more than 2 were not looked at" in refused(shelf)


def test_what_rotted_in_the_cache_proves_nothing(shelf: Shelf, image: Descriptor) -> None:
    kept = signed(shelf.blobs, claim(image.digest))
    shelf.tagged(image, kept)
    policy, lock = shelf.policy(RULE), shelf.lock()
    assert held_to(policy, lock, shelf.blobs).images[0].key
    path = shelf.blobs.root / "blobs" / "sha256" / kept.digest.encoded
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b"cosign", b"Cosign"))
    with pytest.raises(PolicyViolated, match="damaged in the cache"):
        held_to(policy, lock, shelf.blobs)


def test_other_layers_and_other_artifacts_are_passed_over(shelf: Shelf, image: Descriptor) -> None:
    content = put_as(shelf.blobs, "application/spdx+json", b"{}")
    sbom = make_artifact(shelf.blobs, [content], artifact_type="application/spdx+json", subject=image)
    shelf.attached[f"{NAME}@{sbom.digest}"] = sbom
    assert "no signature of it was recorded" in refused(shelf)
