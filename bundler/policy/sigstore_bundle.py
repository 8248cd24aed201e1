"""Sigstore's bundles, by a key: a DSSE envelope over an in-toto statement about an image, or a signature of its manifest.

A statement names a digest and no repository, so that the same content in another repository is signed, too. A bundle's log entries
and timestamps are not looked at. Source: sigstore/protobuf-specs, sigstore_bundle.proto; secure-systems-lab/dsse protocol.md; in-toto
attestation spec/v1/statement.md.
"""

from __future__ import annotations

from typing import Final

from bundler.policy.read import Rule
from bundler.policy.simple_signing import key_of
from bundler.policy.strict_json import UnfitError, decoded, member, parse, text
from bundler.policy.verifier import Verifier
from registry_snapshot.oci.digest import Digest
from registry_snapshot.record.attached import SIGNED

MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
FAMILY: Final = "application/vnd.dev.sigstore.bundle"
MOST_BYTES: Final = 1 << 20  # of a bundle that is a signature: 1 KB is usual, ten with a log entry
_STATEMENTS: Final = frozenset({"https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"})
_PAYLOAD: Final = "application/vnd.in-toto+json"
_WHAT: Final = "its bundle"


def signer(raw: bytes, image: Digest, manifest: bytes, rule: Rule) -> Verifier:
    """Return the key of ``rule`` that has signed the image with the digest ``image`` and the bytes ``manifest``. Raises UnfitError."""
    bundle = parse(raw, _WHAT)
    if (kind := text(bundle, "mediaType", _WHAT)) != MEDIA_TYPE:
        raise UnfitError(f"{_WHAT} is of the version {kind[:80]!r}, read is {MEDIA_TYPE}")
    material = member(bundle, "verificationMaterial", _WHAT)
    keyless = "certificate" in material or "x509CertificateChain" in material
    if "messageSignature" in bundle and "dsseEnvelope" not in bundle:
        return _of_message(member(bundle, "messageSignature", _WHAT), image, manifest, rule, keyless=keyless)
    if "messageSignature" in bundle:
        raise UnfitError(f"{_WHAT} is two things at once")
    return _of_statement(member(bundle, "dsseEnvelope", _WHAT), image, rule, keyless=keyless)


def _of_message(signed: dict[str, object], image: Digest, manifest: bytes, rule: Rule, *, keyless: bool) -> Verifier:
    key = key_of(rule.keys, decoded(text(signed, "signature", _WHAT), "its signature"), manifest, keyless=keyless)
    digest = member(signed, "messageDigest", _WHAT)
    if (text(digest, "algorithm", _WHAT), decoded(text(digest, "digest", _WHAT), "its digest").hex()) != ("SHA2_256", image.encoded):
        raise UnfitError("it says of another digest that it signs it")
    return key


def _of_statement(envelope: dict[str, object], image: Digest, rule: Rule, *, keyless: bool) -> Verifier:
    kind, payload = text(envelope, "payloadType", _WHAT), decoded(text(envelope, "payload", _WHAT), "its payload")
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list) or len(signatures) != 1 or not isinstance(signatures[0], dict):
        raise UnfitError(f"{_WHAT} has not one signature")
    signature = decoded(text(signatures[0], "sig", _WHAT), "its signature")
    key = key_of(rule.keys, signature, pre_authenticated(kind, payload), keyless=keyless)
    if kind != _PAYLOAD:
        raise UnfitError(f"what is signed is of the type {kind[:60]!r}, which is no statement about an image")
    statement = parse(payload, "its statement")
    if text(statement, "_type", "its statement") not in _STATEMENTS:
        raise UnfitError("its statement is of another kind than in-toto's")
    if (predicate := text(statement, "predicateType", "its statement")) != SIGNED:
        raise UnfitError(f"it is no signature, but says something else of the image: {predicate[:100]}")
    subjects = statement.get("subject")
    digests = [each.get("digest") for each in subjects if isinstance(each, dict)] if isinstance(subjects, list) else []
    if not any(isinstance(each, dict) and each.get(image.algorithm) == image.encoded for each in digests):
        raise UnfitError("it is of another image")
    return key


def pre_authenticated(kind: str, payload: bytes) -> bytes:
    """Return what DSSE signs: type and payload, each after its length in bytes."""
    name = kind.encode(errors="surrogatepass")
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(payload), payload)
