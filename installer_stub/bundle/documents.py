"""The bundle's own documents as JSON: ``airseal/bundle.json`` and ``airseal/images.lock.json``.

``bundle.json`` names every other part of the file with its digest and size, so that its own SHA-256 stands for the whole
artifact; only signatures, which are of it, it cannot name. Values in, bytes out and back; no dict leaves this file. Both formats are
described in docs/bundle-format.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from installer_stub.bundle.canonical import LARGEST, SEALED_AGAIN, UPDATE, count, parse, refusing, write
from installer_stub.bundle.model import COMMAND_SECONDS, BundleInfo, ClusterCommand, ImageLock, LockedImage
from installer_stub.bundle.names import (
    BOOTLOADER,
    BUNDLE,
    INDEX,
    KNOWN,
    LOCK,
    MOST_SIGNATURES,
    REQUIRED,
    STUB,
    blob_name,
    file_order,
    is_fingerprint,
)
from installer_stub.bundle.reasons import in_order, reason_from_json, reason_of_text, reason_to_json
from installer_stub.bundle.zip_format import Entry, alignment_of
from installer_stub.errors import BundleError
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.media_types import OCI_MANIFEST
from registry_snapshot.oci.reference import Reference, is_tag

FORMAT: Final = "airseal.bundle/2"
_OPEN_FORMAT: Final = "airseal.bundle/1"  # before it was closed and canonical; still at sites, so it is read
LOCK_FORMAT: Final = "airseal.images.lock/2"
_LOCK_IN_WORDS: Final = "airseal.images.lock/1"  # before reasons were typed; still at sites, so it is read

_DOCUMENT = re.compile(r"airseal/[a-z0-9][a-z0-9.-]{0,99}")  # in format 1, which was not closed
# What a build takes for a name: it and the version become parts of paths on hosts and of a reference.
_NAME = re.compile(r"(?=.{1,100}\Z)[a-z0-9]+([._-]+[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Part:
    """The digest and size in bytes of one part of the file."""

    digest: Digest
    size: int


@dataclass(frozen=True, slots=True)
class Needs:
    """What a machine must have for the installer to start there.

    ``machine`` in the words of uname -m; ``glibc`` as "2.17" and ``kernel`` as "3.10", the oldest ones; empty if nobody measured.
    """

    machine: str
    glibc: str = ""
    kernel: str = ""

    def __str__(self) -> str:
        """Say it to a person."""
        known = [f"{name} {version} or newer" for name, version in (("glibc", self.glibc), ("Linux", self.kernel)) if version]
        return ", ".join([self.machine, *known] if known else [self.machine, "nobody measured of which glibc"])


@dataclass(frozen=True, slots=True)
class BundleDocument:
    """``airseal/bundle.json``: what the bundle is, and what the file is made of.

    ``parts`` has the bootloader, the stub, and every entry but the document itself, its signatures and the blobs; ``blobs`` has those.
    ``needs`` is None in format 1, which did not say. ``publishers`` are the fingerprints, sorted, of the keys whose signatures the file
    has: so a signature more, or one less, is an alteration like any other, and who signed first vouches for who signs beside them.
    """

    info: BundleInfo
    parts: Mapping[str, Part]
    blobs: Mapping[Digest, int]
    needs: Needs | None = None
    publishers: tuple[str, ...] = ()

    @property
    def is_closed(self) -> bool:
        """Whether it is of format 2: canonical, and with no document that the format does not know."""
        return self.needs is not None

    def entries(self) -> dict[str, Part]:
        """Return every entry of the archive by name, except the document itself and its signatures."""
        parts = {name: part for name, part in self.parts.items() if name not in {BOOTLOADER, STUB}}
        return parts | {blob_name(digest): Part(digest, size) for digest, size in self.blobs.items()}

    def layout(self, own_size: int, signatures: Mapping[str, int]) -> tuple[Entry, ...]:
        """Return what the archive must hold, in the order of the file; sizes in bytes of the document itself and its signatures."""
        sizes = {name: part.size for name, part in self.entries().items()} | {BUNDLE: own_size} | dict(signatures)
        return tuple(Entry(name, sizes[name], 0o644, alignment_of(name)) for name in sorted(sizes, key=file_order))


def content_digest(document: BundleDocument) -> Digest:
    """Return the digest of what the bundle brings to a site: application, images and files, not the program that brings it.

    The same content sealed again, with a mended stub, signed, or in a newer format, has the same one: a site takes it for the same bundle.
    """
    bundle = info_to_json(document.info)
    del bundle["airseal"]
    parts = {name: _part_value(part) for name, part in document.parts.items() if name in {INDEX, LOCK}}
    content = {"bundle": bundle, "parts": parts, "blobs": {str(digest): size for digest, size in document.blobs.items()}}
    return Digest.of(json.dumps(content, sort_keys=True, separators=(",", ":")).encode())


def encode_bundle(document: BundleDocument) -> bytes:
    """Return ``airseal/bundle.json`` in format 2: the same bytes for the same values. ``document.needs`` must be known."""
    needs = document.needs or Needs("")
    return write(
        {
            "format": FORMAT,
            "bundle": info_to_json(document.info),
            "needs": {"machine": needs.machine, "glibc": needs.glibc, **({"kernel": needs.kernel} if needs.kernel else {})},
            "publishers": sorted(document.publishers),
            "parts": {name: _part_value(part) for name, part in sorted(document.parts.items())},
            "blobs": {str(digest): document.blobs[digest] for digest in sorted(document.blobs)},
        },
    )


def info_to_json(info: BundleInfo) -> dict[str, object]:
    """Return what a bundle says about itself, as it stands in ``airseal/bundle.json``."""
    return {
        "name": info.name,
        "version": info.version,
        "kubernetes": info.kubernetes,
        "platforms": list(info.platforms),
        "cluster": info.cluster.to_json(),
        "commands": [_command_value(command) for command in info.commands],
        "environment": dict(info.environment),  # in the Kubefile's order
        "labels": dict(sorted(info.labels.items())),
        "imagesSize": info.images_size,
        "imagesUnpackedSize": info.images_unpacked_size,
        "filesSize": info.files_size,
        "airseal": info.airseal,
    }


def decode_bundle(raw: bytes) -> BundleDocument:
    """Return what ``airseal/bundle.json`` says, in this format or the one before; of this, only bytes that ``encode_bundle`` would write.

    Raises BundleError.
    """
    value = parse(raw, BUNDLE, FORMAT, _OPEN_FORMAT)
    closed = value["format"] == FORMAT
    with refusing(BUNDLE, UPDATE):
        parts = {str(name): Part(Digest.parse(part["digest"]), count(part["size"])) for name, part in value["parts"].items()}
        blobs = {Digest.parse(digest): count(size) for digest, size in value["blobs"].items()}
        info = info_from_json(value["bundle"])
        needs = Needs(str(value["needs"]["machine"]), str(value["needs"]["glibc"]), str(value["needs"].get("kernel", ""))) if closed else None
        publishers = _texts(value["publishers"]) if closed else ()
        document = BundleDocument(info, MappingProxyType(parts), MappingProxyType(blobs), needs, publishers)
        written = encode_bundle(document)
    missing = REQUIRED - set(parts)
    strange = [name for name in parts if name not in KNOWN and (closed or name == BUNDLE or not _DOCUMENT.fullmatch(name))]
    if missing or strange:
        raise BundleError(f"{BUNDLE} lists other parts than a bundle has: {sorted([*missing, *strange])}"[:300], UPDATE)
    if len(publishers) > MOST_SIGNATURES or len(set(publishers)) < len(publishers) or not all(map(is_fingerprint, publishers)):
        raise BundleError(f"{BUNDLE} names publishers that are none: {', '.join(publishers)}"[:300], UPDATE)
    if closed and written != raw:
        raise BundleError(f"{BUNDLE} says more, or in another way, than it has to", SEALED_AGAIN)
    _check(document)
    return document


def _check(document: BundleDocument) -> None:
    """Raise BundleError where the document cannot be true, whatever the rest of the file is."""
    info, blobs = document.info, document.blobs
    if sum(part.size for part in document.parts.values()) + sum(blobs.values()) >= LARGEST:
        raise BundleError(f"{BUNDLE} lists more bytes than any file has", SEALED_AGAIN)
    if any(part.digest.algorithm != "sha256" for part in document.parts.values()):
        raise BundleError(f"{BUNDLE} names a part by another digest than SHA-256", SEALED_AGAIN)
    if blobs.get(info.cluster.digest) != info.cluster.size:
        raise BundleError(f"{BUNDLE} lists no blob with the cluster files {info.cluster.digest}", SEALED_AGAIN)
    if document.is_closed and info.cluster != Descriptor(OCI_MANIFEST, info.cluster.digest, info.cluster.size):
        raise BundleError(f"{BUNDLE} says more of the cluster files than it has to", SEALED_AGAIN)


def encode_lock(lock: ImageLock) -> bytes:
    """Return ``airseal/images.lock.json``: the same bytes for the same images and reasons, in whatever order they come."""
    images = [
        {
            "reference": str(image.reference),
            "descriptor": image.descriptor.to_json(),
            "digests": sorted({str(digest) for digest in image.digests}),
            "size": image.size,
            "reasons": [reason_to_json(reason) for reason in in_order(image.reasons)],
        }
        for image in sorted(lock.images, key=lambda image: str(image.reference))
    ]
    return write({"format": LOCK_FORMAT, "images": images})


def decode_lock(raw: bytes) -> ImageLock:
    """Return what ``airseal/images.lock.json`` says; bytes that ``encode_lock`` would not write are refused. Raises BundleError."""
    value = parse(raw, LOCK, LOCK_FORMAT, _LOCK_IN_WORDS)
    in_words = value["format"] == _LOCK_IN_WORDS
    with refusing(LOCK, UPDATE):
        lock = ImageLock(tuple(_locked_in_words(image) if in_words else _locked(image) for image in value["images"]))
        written = encode_lock(lock)
    if not in_words and (written != raw or len({image.reference for image in lock.images}) != len(lock.images)):
        raise BundleError(f"{LOCK} says more, or in another order, than it has to", SEALED_AGAIN)
    return lock


def info_from_json(value: Mapping[str, Any]) -> BundleInfo:
    """Return what ``info_to_json`` was given. Raises KeyError, TypeError, AttributeError, ValueError, OverflowError, RegistryError."""
    info = BundleInfo(
        name=str(value["name"]),
        version=str(value["version"]),
        kubernetes=str(value["kubernetes"]),
        platforms=_texts(value["platforms"]),
        cluster=Descriptor.from_json(value["cluster"]),
        commands=tuple(_command(command) for command in value["commands"]),
        environment=MappingProxyType({str(key): str(text) for key, text in value["environment"].items()}),
        labels=MappingProxyType({str(key): str(text) for key, text in value["labels"].items()}),
        images_size=count(value["imagesSize"]),
        images_unpacked_size=count(value["imagesUnpackedSize"]),
        files_size=count(value["filesSize"]),
        airseal=str(value["airseal"]),
    )
    if not _NAME.fullmatch(info.name) or not is_tag(info.version):
        raise ValueError(f"{info.title[:200]!r} is not NAME:VERSION")
    _ = info.cluster_reference  # or it raises
    if not info.platforms or len({Platform.parse(platform) for platform in info.platforms}) < len(info.platforms):
        raise ValueError("its platforms are none, or are said twice")
    if any(not name or "=" in name or "\0" in name + text for name, text in info.environment.items()):
        raise ValueError("its environment has what no environment can have")
    return info


def _part_value(part: Part) -> dict[str, object]:
    return {"digest": str(part.digest), "size": part.size}


def _command_value(command: ClusterCommand) -> dict[str, object]:
    timeout = {} if command.timeout == COMMAND_SECONDS else {"timeout": command.timeout}
    return {"argv": list(command.argv), "line": command.line, **timeout}


def _command(value: dict[str, Any]) -> ClusterCommand:
    argv = _texts(value["argv"])
    if not argv or any("\0" in word for word in argv):
        raise ValueError("one of its commands is none")
    return ClusterCommand(argv, count(value["line"]), count(value.get("timeout", COMMAND_SECONDS)))


def _locked(value: dict[str, Any]) -> LockedImage:
    return LockedImage(
        Reference.parse(value["reference"]),
        Descriptor.from_json(value["descriptor"]),
        tuple(Digest.parse(digest) for digest in value["digests"]),
        tuple(reason_from_json(reason) for reason in value["reasons"]),
        count(value["size"]),
    )


def _locked_in_words(value: dict[str, Any]) -> LockedImage:
    return LockedImage(
        Reference.parse(value["reference"]),
        Descriptor.from_json(value["descriptor"]),
        tuple(Digest.parse(digest) for digest in value["digests"]),
        in_order(reason_of_text(text) for text in _texts(value["reasons"])),
    )


def _texts(values: Iterable[object]) -> tuple[str, ...]:
    return tuple(str(value) for value in values)
