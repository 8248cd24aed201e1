"""cosign's signatures: a payload in the form of "simple signing", and a signature of its bytes in an annotation of its layer.

Source: cosign's specs/SIGNATURE_SPEC.md; containers/image docs/containers-signature.5.md, which asks that unknown critical members are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bundler.policy.read import Rule
from bundler.policy.strict_json import UnfitError, decoded, member, parse, text
from bundler.policy.verifier import Verifier
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference, Repository
from registry_snapshot.record.attached import SIGNED

MEDIA_TYPE: Final = "application/vnd.dev.cosign.simplesigning.v1+json"
MOST_BYTES: Final = 64 * 1024  # of a payload: 250 are usual, more where somebody annotates
_SIGNATURE: Final = "dev.cosignproject.cosign/signature"
_CERTIFICATE: Final = "dev.sigstore.cosign/certificate"
_TYPES: Final = frozenset({"cosign container image signature", SIGNED})
_WHAT: Final = "its payload"


def signer(layer: Descriptor, payload: bytes, image: Digest, repository: Repository, rule: Rule) -> Verifier:
    """Return the key of ``rule`` that has signed the image ``image`` of ``repository``, by a layer and its bytes. Raises UnfitError."""
    signature = decoded(layer.annotations.get(_SIGNATURE, ""), "its signature")
    key = key_of(rule.keys, signature, payload, keyless=_CERTIFICATE in layer.annotations)
    value = parse(payload, _WHAT)
    critical = member(value, "critical", _WHAT)
    identity, named = member(critical, "identity", _WHAT), member(critical, "image", _WHAT)
    if strange := sorted({*critical} - {"identity", "image", "type"} | {*identity} - {"docker-reference"} | {*named} - {"docker-manifest-digest"}):
        raise UnfitError(f"{_WHAT} has critical members that are not known here: {', '.join(strange)[:100]}")
    if (kind := text(critical, "type", _WHAT)) not in _TYPES:
        raise UnfitError(f"{_WHAT} is of the type {kind[:60]!r}, which is no signature of an image")
    if (digest := text(named, "docker-manifest-digest", _WHAT)) != str(image):
        raise UnfitError(f"it is of another image, {digest[:100]}")
    reference = text(identity, "docker-reference", _WHAT)
    try:
        signed = Reference.parse(reference).repository
    except RegistryError:
        raise UnfitError(f"it names {reference[:100]!r}, which is no repository") from None
    if not rule.names(signed, repository):
        raise UnfitError(f"it is of {signed}, not of {repository}; where an image was copied, the rule says so: signed-as: [{signed}]")
    return key


def key_of(keys: Sequence[Verifier], signature: bytes, message: bytes, *, keyless: bool) -> Verifier:
    """Return the key that made a signature. Raises UnfitError."""
    for key in keys:
        if key.made(signature, message):
            return key
    if keyless:
        raise UnfitError("it was made without a key (a certificate of Fulcio's is with it), which needs services on the internet to verify")
    raise UnfitError("no key of the rule has made it")
