"""Whether recorded images are signed as a policy wants it: from what was recorded alone, by the way a site's registry serves it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Final

from bundler.coverage.attached import kept_for
from bundler.errors import PolicyViolated
from bundler.policy import sigstore_bundle, simple_signing
from bundler.policy.read import OPTION, Policy, Rule
from bundler.policy.strict_json import UnfitError
from bundler.policy.verifier import Verifier
from installer_stub.bundle.coverage import Signatures, Vouched
from installer_stub.bundle.model import ImageLock, LockedImage
from installer_stub.bundle.reasons import is_attached
from registry_snapshot.errors import ManifestInvalid, ManifestUnknown, NameUnknown
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import MAX_MANIFEST_BYTES, Manifest
from registry_snapshot.oci.reference import Repository
from registry_snapshot.store.base import BlobReader
from registry_snapshot.store.bounded import read_blob
from registry_snapshot.store.closure import read_manifest
from registry_snapshot.store.image_set import ImageSet

MOST: Final = 200  # signatures of one image that are looked at
_SHOWN: Final = 3  # of those that prove nothing, in a line
_REMEDY: Final = (
    "have the images signed (cosign sign --key), and build with --update all, which asks for signatures again; "
    f"or let the policy of {OPTION} name the right key, or say unsigned: allowed with a reason"
)


def held_to(policy: Policy, lock: ImageLock, blobs: BlobReader, unread: Collection[str] = ()) -> Signatures:
    """Return which key has signed each image of ``lock``, signatures and the like themselves left out.

    ``unread`` are lines of the coverage that say what could not be asked. Raises PolicyViolated, which names every image that is not
    signed as the policy wants it, and why; StoreError.
    """
    content = ImageSet(blobs, lock.roots)
    vouched: list[Vouched] = []
    problems: list[str] = []
    for image in sorted(lock.images, key=lambda each: str(each.reference)):
        if is_attached(image.reasons):
            continue
        rule = policy.rule_for(image.reference.repository)
        try:
            vouched.append(_vouched(image, rule, content, blobs))
        except UnfitError as error:
            names = [kept_for(each.reference) for each in lock.images if (each.reference.repository, each.descriptor.digest) == (image.reference.repository, image.descriptor.digest)]
            unknown = [line for line in unread if rule is not None and line.startswith(tuple(names))]
            problems.append("; ".join([f"{image.reference} ({image.descriptor.digest}): {error}", *unknown]))
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise PolicyViolated(f"{len(problems)} of {len(problems) + len(vouched)} images are not signed as {policy.name} wants it:\n{lines}", _REMEDY)
    return Signatures(policy.digest, tuple(vouched))


def _vouched(image: LockedImage, rule: Rule | None, content: ImageSet, blobs: BlobReader) -> Vouched:
    """Return why an image satisfies the rule. Raises UnfitError."""
    if rule is None:
        raise UnfitError("no rule is about it")
    if not rule.keys:
        return Vouched(image.reference, unsigned=rule.unsigned)
    refused: list[str] = []
    for number, layer in enumerate(_signatures(image, content, blobs)):
        if number == MOST:
            refused.append(f"more than {MOST} were not looked at")
            break
        try:
            return Vouched(image.reference, key=_signer(layer, image, rule, blobs).fingerprint)
        except UnfitError as error:
            refused.append(str(error))
    names = ", ".join(key.name for key in rule.keys)
    if not refused:
        raise UnfitError(f"no signature of it was recorded; wanted is one by {names}")
    more = f"; and {len(set(refused)) - _SHOWN} more reasons" if len(set(refused)) > _SHOWN else ""
    raise UnfitError(f"none of its signatures ({len(refused)}) counts, wanted is one by {names}: {'; '.join([*dict.fromkeys(refused)][:_SHOWN])}{more}")


def _signatures(image: LockedImage, content: ImageSet, blobs: BlobReader) -> Iterator[Descriptor]:
    """Yield the layers with what may be signatures of an image, those under cosign's tag first."""
    repository, digest = image.reference.repository, image.descriptor.digest
    for manifest in _manifests(repository, image.descriptor, content):
        try:
            read = read_manifest(blobs, manifest)
        except ManifestInvalid:
            continue
        if isinstance(read, Manifest):
            tagged = read.subject is None or read.subject.digest == digest
            yield from (layer for layer in read.layers if tagged and (layer.media_type == simple_signing.MEDIA_TYPE or layer.media_type.startswith(sigstore_bundle.FAMILY)))


def _manifests(repository: Repository, image: Descriptor, content: ImageSet) -> Iterator[Descriptor]:
    with suppress(NameUnknown, ManifestUnknown):
        yield content.resolve(repository, f"{image.digest.algorithm}-{image.digest.encoded}.sig", client="", method="GET")
    yield from content.referrers(repository, image.digest, client="")


def _signer(layer: Descriptor, image: LockedImage, rule: Rule, blobs: BlobReader) -> Verifier:
    simple = layer.media_type == simple_signing.MEDIA_TYPE
    most = simple_signing.MOST_BYTES if simple else sigstore_bundle.MOST_BYTES
    if layer.size > most:
        raise UnfitError(f"it has {layer.size} bytes, more than {most}")
    digest = image.descriptor.digest
    raw, manifest = _whole(blobs, layer.digest, most), _whole(blobs, digest, MAX_MANIFEST_BYTES)
    if simple:
        return simple_signing.signer(layer, raw, digest, image.reference.repository, rule)
    return sigstore_bundle.signer(raw, digest, manifest, rule)


def _whole(blobs: BlobReader, digest: Digest, most: int) -> bytes:
    """Return a blob that is what its digest says: it may have lain in the cache for long. Raises UnfitError."""
    try:
        raw = read_blob(blobs, digest, most)
    except ManifestInvalid as error:
        raise UnfitError(error.problem) from None
    if Digest.of(raw, digest.algorithm) != digest:
        raise UnfitError(f"{digest} is damaged in the cache")
    return raw
