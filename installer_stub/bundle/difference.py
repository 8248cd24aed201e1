"""What is different between two bundles, for who releases one and for who has to let it in. Pure: values in, values out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from installer_stub.bundle.documents import BundleDocument
from installer_stub.bundle.model import BundleInfo, ClusterFile, ImageLock
from installer_stub.bundle.names import STUB
from registry_snapshot.oci.digest import Digest


class Bundled(Protocol):
    """What is asked of a bundle: see ``installer_stub.bundle.reader``."""

    @property
    def document(self) -> BundleDocument:
        """``airseal/bundle.json``."""

    @property
    def lock(self) -> ImageLock:
        """``airseal/images.lock.json``."""

    @property
    def content_digest(self) -> Digest:
        """What it brings to a site."""

    def cluster_files(self) -> tuple[ClusterFile, ...]:
        """Return the files of ``/cluster``."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same. ``before`` and ``after`` are None where it is not there.

    ``kind`` is one of bundle, command, environment, label, image, file, installer, publisher.
    """

    kind: str
    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Compared:
    """All of them. ``new`` and ``shared`` are bytes of blobs: what the second one has and the first has not, and what both have."""

    same_content: bool
    differences: tuple[Difference, ...]
    new: int
    shared: int


def compare(before: Bundled, after: Bundled) -> Compared:
    """Return what is different in ``after``. Raises BundleError for a document that is malformed."""
    found = (*_info(before.document.info, after.document.info), *_images(before, after), *_files(before, after), *_program(before, after))
    blobs, known = after.document.blobs, before.document.blobs
    shared = sum(size for digest, size in blobs.items() if digest in known)
    return Compared(before.content_digest == after.content_digest, found, sum(blobs.values()) - shared, shared)


def _info(before: BundleInfo, after: BundleInfo) -> Iterator[Difference]:
    for name in ("name", "version", "kubernetes", "airseal"):
        yield from _one("bundle", name, getattr(before, name), getattr(after, name))
    yield from _one("bundle", "platforms", ", ".join(before.platforms), ", ".join(after.platforms))
    commands = [{str(number): f"{each.text()} (at most {each.timeout} s)" for number, each in enumerate(info.commands, 1)} for info in (before, after)]
    yield from changes("command", *commands)
    yield from changes("environment", before.environment, after.environment)
    yield from changes("label", before.labels, after.labels)


def _images(before: Bundled, after: Bundled) -> Iterator[Difference]:
    named = [{str(image.reference): str(image.descriptor.digest) for image in bundle.lock.images} for bundle in (before, after)]
    yield from changes("image", *named)


def _files(before: Bundled, after: Bundled) -> Iterator[Difference]:
    named = [{file.path: f"{file.digest} {file.mode:04o}" for file in bundle.cluster_files()} for bundle in (before, after)]
    yield from changes("file", *named)


def _program(before: Bundled, after: Bundled) -> Iterator[Difference]:
    """The installer, and who signed: no part of the content."""
    first, second = before.document, after.document
    yield from _one("installer", "program", str(first.parts[STUB].digest), str(second.parts[STUB].digest))
    machines = [str(each.needs) if each.needs is not None else None for each in (first, second)]
    yield from _one("installer", "needs", *machines)
    yield from changes("publisher", _themselves(first.publishers), _themselves(second.publishers))


def _themselves(names: Iterable[str]) -> dict[str, str]:
    return {name: name for name in names}


def changes(kind: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Difference]:
    """Yield what came, went or changed of things by their names: in the order of ``before``, what came behind it."""
    for name in dict.fromkeys((*before, *after)):
        yield from _one(kind, name, before.get(name), after.get(name))


def _one(kind: str, name: str, before: str | None, after: str | None) -> Iterator[Difference]:
    if before != after:
        yield Difference(kind, name, before, after)
