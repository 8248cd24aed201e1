"""Signatures as cosign makes them, and as a forger would: every part can be another."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from bundler.image_lock import lock_of
from bundler.policy import sigstore_bundle
from bundler.policy.read import Policy, parse
from bundler.policy.sigstore_bundle import pre_authenticated
from bundler.policy.simple_signing import MEDIA_TYPE
from installer_stub.bundle.model import ImageLock
from installer_stub.bundle.reasons import Attached, Listed
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.attached import SIGNED
from registry_snapshot.record.snapshot import RecordedImage, Snapshot
from registry_snapshot.store.closure import closure
from registry_snapshot.store.disk import DiskBlobStore
from tests.unit.registry_snapshot.artifacts import make_artifact, put_as
from tests.unit.registry_snapshot.images import AMD64

Private = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
NAME = "registry.example.com/shop/api"
KEY = ec.generate_private_key(ec.SECP256R1())


def pem(key: Private) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def sign(key: Private, message: bytes, kind: hashes.HashAlgorithm | None = None) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), kind or hashes.SHA256())
    return key.sign(message, ec.ECDSA(kind or hashes.SHA256()))


def claim(digest: object, name: str = NAME, **critical: object) -> dict[str, Any]:
    return {
        "critical": {"identity": {"docker-reference": name}, "image": {"docker-manifest-digest": str(digest)}, "type": "cosign container image signature", **critical},
        "optional": None,
    }


def layer(blobs: DiskBlobStore, payload: bytes, signature: bytes | str, **more: str) -> Descriptor:
    """Keep a payload, and return it as cosign lists it."""
    text = signature if isinstance(signature, str) else base64.b64encode(signature).decode()
    kept = put_as(blobs, MEDIA_TYPE, payload)
    return Descriptor(MEDIA_TYPE, kept.digest, kept.size, annotations={"dev.cosignproject.cosign/signature": text, **more})


def signed(blobs: DiskBlobStore, value: object, key: Private = KEY, **more: str) -> Descriptor:
    payload = value if isinstance(value, bytes) else json.dumps(value).encode()
    return layer(blobs, payload, sign(key, payload), **more)


def statement(digest: Digest, predicate: str = SIGNED) -> dict[str, Any]:
    return {"_type": "https://in-toto.io/Statement/v1", "subject": [{"name": "", "digest": {"sha256": digest.encoded}}], "predicateType": predicate, "predicate": {}}


def bundle(value: object, key: Private = KEY, *, kind: str = "application/vnd.in-toto+json", **more: object) -> dict[str, Any]:
    payload = value if isinstance(value, bytes) else json.dumps(value).encode()
    envelope = {"payload": encoded(payload), "payloadType": kind, "signatures": [{"sig": encoded(sign(key, pre_authenticated(kind, payload))), "keyid": ""}]}
    return {"mediaType": sigstore_bundle.MEDIA_TYPE, "verificationMaterial": {"publicKey": {"hint": "x"}, "tlogEntries": []}, "dsseEnvelope": envelope, **more}


def of_message(manifest: bytes, key: Private = KEY, digest: bytes | None = None) -> dict[str, Any]:
    found = digest if digest is not None else bytes.fromhex(Digest.of(manifest).encoded)
    message = {"messageDigest": {"algorithm": "SHA2_256", "digest": encoded(found)}, "signature": encoded(sign(key, manifest))}
    return {"mediaType": sigstore_bundle.MEDIA_TYPE, "verificationMaterial": {"publicKey": {"hint": "x"}}, "messageSignature": message}


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass
class Shelf:
    """Images and what is kept for them, as a recording has them."""

    blobs: DiskBlobStore
    directory: Path
    images: dict[str, Descriptor] = field(default_factory=dict)
    attached: dict[str, Descriptor] = field(default_factory=dict)

    def tagged(self, image: Descriptor, *layers: Descriptor, name: str = NAME) -> None:
        """Keep layers under cosign's tag."""
        self.attached[f"{name}:sha256-{image.digest.encoded}.sig"] = make_artifact(self.blobs, layers)

    def refers(self, image: Descriptor, value: object, *, name: str = NAME, subject: Descriptor | None = None) -> None:
        """Keep a bundle as a referrer."""
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        content = put_as(self.blobs, sigstore_bundle.MEDIA_TYPE, raw)
        made = make_artifact(self.blobs, [content], artifact_type=sigstore_bundle.MEDIA_TYPE, subject=subject or image)
        self.attached[f"{name}@{made.digest}"] = made

    def lock(self) -> ImageLock:
        named = {**self.images, **self.attached}
        images = []
        for name, root in named.items():
            parts = closure(self.blobs, root, (AMD64,))
            images.append(RecordedImage(Reference.parse(name), root, total_bytes=sum(part.size for part in parts)))
        reasons = {Reference.parse(name): [Listed("images.txt:1")] for name in self.images}
        attached = {Reference.parse(name): [Attached("signature", "x")] for name in self.attached}
        return lock_of(Snapshot(tuple(images)), self.blobs, (AMD64,), {**attached, **reasons})

    def policy(self, *rules: Mapping[str, object], **keys: Private) -> Policy:
        """Return a policy; ``keys`` become files beside it, ``a`` as a.pub."""
        for name, key in {"k": KEY, **keys}.items():
            (self.directory / f"{name}.pub").write_bytes(pem(key))
        return parse(json.dumps({"rules": list(rules)}).encode(), self.directory / "policy.yaml")
