"""A finished file as the ingredients of another one: to sign it later or elsewhere, to bring an older format into this one."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from bundler.image_lock import all_blobs
from bundler.pack.stub_runtime import StubRuntime
from bundler.steps import proofs
from bundler.steps.recorded import Recorded
from bundler.steps.sealing import Whole
from installer_stub.bundle.coverage import Coverage
from installer_stub.bundle.model import ImageLock, LockedImage
from installer_stub.bundle.names import PACKAGE
from installer_stub.bundle.reader import Bundle
from installer_stub.bundle.receipt import Receipt
from installer_stub.version import VERSION
from registry_snapshot.oci.descriptor import Platform
from registry_snapshot.store.closure import closure, identities

_PIECE = 1024 * 1024


@contextlib.contextmanager
def ingredients_of(bundle: Bundle, other_stub: Callable[[], StubRuntime] | None) -> Iterator[tuple[Whole, Receipt]]:
    """Give what ``bundle``, which was verified, is made of, and its receipt.

    ``other_stub`` gives the installer to put in; without it the file keeps its own, and with that its receipt. A file of format 1 says
    less than this one has to: what its installer needs, the sizes of its images. That is measured. Raises BundleError, BuildError, OSError.
    """
    with tempfile.TemporaryDirectory(prefix="airseal-stub-") as work:
        stub = other_stub() if other_stub is not None else _stub_of(bundle, Path(work))
        info = bundle.info if other_stub is None else replace(bundle.info, airseal=VERSION)
        lock = bundle.lock if bundle.document.is_closed else ImageLock(tuple(_measured(bundle, image) for image in bundle.lock.images))
        whole = Whole(
            replace(info, images_size=_images_size(bundle), files_size=sum(file.size for file in bundle.cluster_files())),
            Recorded(lock, bundle.coverage or Coverage(), {}),
            bundle.blobs.digests(),
            stub,
            bundle.blobs,
            is_scanned=bundle.coverage is not None,
        )
        kept = bundle.receipt if other_stub is None else None
        allowed = bundle.receipt.allowed if bundle.receipt is not None else ()
        yield whole, kept or proofs.none_of(whole.info, allowed)


def _stub_of(bundle: Bundle, work: Path) -> StubRuntime:
    bootloader, package = work / "bootloader", work / PACKAGE
    with bundle.bootloader() as extent:
        bootloader.write_bytes(extent.read(extent.size))
    with bundle.stub_stream() as stream, package.open("wb") as file:
        stream.read(bootloader.stat().st_size)
        shutil.copyfileobj(stream, file, _PIECE)
    needs = bundle.document.needs
    return StubRuntime.of(bootloader, package, glibc=needs.glibc if needs is not None else "")


def _images_size(bundle: Bundle) -> int:
    """Return the bytes of all images as stored, each blob once."""
    return sum(blob.size for blob in all_blobs([image.descriptor for image in bundle.lock.images], bundle.blobs, _platforms(bundle)).values())


def _measured(bundle: Bundle, image: LockedImage) -> LockedImage:
    parts = closure(bundle.blobs, image.descriptor, _platforms(bundle))
    return replace(image, digests=identities(parts), size=sum(part.size for part in parts))


def _platforms(bundle: Bundle) -> tuple[Platform, ...]:
    return tuple(map(Platform.parse, bundle.info.platforms))
