"""The proof that a build ends with: a receipt, or no file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from bundler.cluster.host_image import host_image
from bundler.cluster.ownership import Owner
from bundler.engine import Engine
from bundler.options import BuildOptions
from bundler.recordings import working_directory
from bundler.rehearsal.rehearse import Rehearsing, rehearse
from bundler.steps.shelf import Shelf, key_of
from installer_stub.bundle import receipt as receipts
from installer_stub.bundle.model import BundleInfo
from installer_stub.bundle.receipt import Receipt
from installer_stub.errors import BundleError
from installer_stub.phases.base import Reporter
from installer_stub.version import VERSION
from registry_snapshot.oci.digest import Digest

STEP: Final = "rehearse"

Seal = Callable[[Path, Mapping[str, bytes]], None]
"""Writes the artifact to a path, with these further documents in it."""


def prove(options: BuildOptions, engine: Engine, owner: Owner, *, info: BundleInfo, content: bytes, values: bytes, seal: Seal, reporter: Reporter) -> Receipt:
    """Rehearse the file that ``seal`` makes without a receipt, and return the receipt. Raises RehearsalFailed, as ``rehearse``.

    ``content`` stands for that file: of the same one with the same ``values`` on the same hosts the receipt is taken that there is.
    """
    wanted = options.rehearsal
    allowed = ("the internet, while it was recorded",) if wanted.allow_internet else ()
    if wanted.skip:
        return Receipt(skipped=True, airseal=VERSION, kubernetes=info.kubernetes, allowed=allowed)
    image = host_image(engine, reporter, options.host_image)
    shelf, key = Shelf(options.cache, STEP), key_of({"content": Digest.of(content), "hosts": image, "topology": wanted.topology, "allowed": allowed, "values": Digest.of(values)})
    known = None if wanted.keep else _known(shelf, key)
    if known is not None:
        reporter.step(f"{known.line()}: before, with the same content on the same hosts")
        return known
    with working_directory(options.cache, "rehearsals") as directory:
        file = directory / options.output.name
        seal(file, {})
        how = Rehearsing(image, wanted.topology, settle_timeout=options.settle_timeout, keep=wanted.keep, allowed=allowed, values=values)
        receipt = rehearse(engine, owner, file, info=info, how=how, reporter=reporter)
    shelf.put(key, receipts.encode(receipt))
    return receipt


def _known(shelf: Shelf, key: str) -> Receipt | None:
    raw = shelf.get(key)
    try:
        return receipts.decode(raw) if raw is not None else None
    except BundleError:  # of another version, or torn: it is rehearsed again
        return None
