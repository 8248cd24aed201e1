"""What BuildKit lays into an index beside its images: provenance and bills of materials, as children for no platform.

No closure for hosts' platforms has them, so a site's registry would list them in the index and not know them.

Source: moby/buildkit, docs/attestations/attestation-storage.md, "Attestation Manifest Descriptor".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from registry_snapshot.errors import DigestInvalid
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import Index
from registry_snapshot.store.base import BlobReader
from registry_snapshot.store.closure import holds_others, read_manifest

_TYPE: Final = "vnd.docker.reference.type"
_ATTESTATION: Final = "attestation-manifest"
_OF: Final = "vnd.docker.reference.digest"


def attestations(blobs: BlobReader, parts: Sequence[Descriptor]) -> Iterator[tuple[Digest, Descriptor]]:
    """Yield the attestations that the indexes among ``parts``, indexes and manifests, list for others of them; each behind the digest that it is of.

    Raises BlobUnknown, ManifestInvalid, StoreError.
    """
    used = {part.digest for part in parts}
    for part in parts:
        parsed = read_manifest(blobs, part)
        for child in parsed.manifests if isinstance(parsed, Index) else ():
            subject = _subject(child)
            if subject in used and child.digest not in used:
                yield subject, Descriptor(child.media_type, child.digest, child.size)


def _subject(child: Descriptor) -> Digest | None:
    if child.annotations.get(_TYPE) != _ATTESTATION or not holds_others(child):
        return None
    try:
        return Digest.parse(child.annotations.get(_OF, ""))
    except DigestInvalid:
        return None
