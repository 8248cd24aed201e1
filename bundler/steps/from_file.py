"""A finished file as the ingredients of another one: to sign it later or elsewhere, to bring an older format into this one."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from bundler.pack.stub_runtime import StubRuntime
from bundler.steps import proofs
from bundler.steps.recorded import Recorded
from bundler.steps.sealing import Whole
from installer_stub.bundle.coverage import Coverage
from installer_stub.bundle.model import BundleInfo, ImageLock
from installer_stub.bundle.reader import Bundle
from installer_stub.bundle.receipt import Receipt
from installer_stub.version import VERSION
from registry_snapshot.oci.descriptor import Platform
from registry_snapshot.store.closure import closure, identities


@contextlib.contextmanager
def ingredients_of(bundle: Bundle, other_stub: Callable[[], StubRuntime] | None) -> Iterator[tuple[Whole, Receipt]]:
    """Give what ``bundle``, which was verified, is made of, and its receipt.

    ``other_stub`` gives the installer to put in; without it the file keeps its own, and with that its receipt. A file of format 1 says
    less than this one has to: what its installer needs, the sizes of its images. That is measured. Raises BundleError, BuildError, OSError.
    """
    with tempfile.TemporaryDirectory(prefix="airseal-stub-") as work:
        stub = other_stub() if other_stub is not None else StubRuntime.of_bundle(bundle, Path(work))
        info, lock = (bundle.info, bundle.lock) if bundle.document.is_closed else _measured(bundle)
        whole = Whole(
            info if other_stub is None else replace(info, airseal=VERSION),
            Recorded(lock, bundle.coverage or Coverage(), {}),
            bundle.blobs.digests(),
            stub,
            bundle.blobs,
            is_scanned=bundle.coverage is not None,
        )
        kept = bundle.receipt if other_stub is None else None
        allowed = bundle.receipt.allowed if bundle.receipt is not None else ()
        yield whole, kept or proofs.none_of(whole.info, allowed)


def _measured(bundle: Bundle) -> tuple[BundleInfo, ImageLock]:
    """Return what a file of format 1 says of itself and its images, with the sizes and digests that it may have left open."""
    platforms = tuple(map(Platform.parse, bundle.info.platforms))
    wholes = [(image, closure(bundle.blobs, image.descriptor, platforms)) for image in bundle.lock.images]
    unique = {part.digest: part.size for _, parts in wholes for part in parts}
    lock = ImageLock(tuple(replace(image, digests=identities(parts), size=sum(part.size for part in parts)) for image, parts in wholes))
    return replace(bundle.info, images_size=sum(unique.values()), files_size=sum(file.size for file in bundle.cluster_files())), lock
