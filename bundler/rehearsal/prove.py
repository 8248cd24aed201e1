"""The proof that a build ends with: a receipt, or no file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from bundler.cluster.host_image import host_image
from bundler.cluster.ownership import Owner
from bundler.engine import Engine
from bundler.options import BuildOptions
from bundler.recordings import working_directory
from bundler.rehearsal.rehearse import Rehearsing, rehearse
from installer_stub.bundle.model import BundleInfo
from installer_stub.bundle.receipt import Receipt
from installer_stub.phases.base import Reporter
from installer_stub.version import VERSION

Seal = Callable[[Path, Mapping[str, bytes]], None]
"""Writes the artifact to a path, with these further documents in it."""


def prove(options: BuildOptions, engine: Engine, owner: Owner, *, info: BundleInfo, seal: Seal, reporter: Reporter) -> Receipt:
    """Rehearse the file that ``seal`` makes without a receipt, and return the receipt. Raises RehearsalFailed, as ``rehearse``."""
    wanted = options.rehearsal
    allowed = ("the internet, while it was recorded",) if wanted.allow_internet else ()
    if wanted.skip:
        return Receipt(skipped=True, airseal=VERSION, kubernetes=info.kubernetes, allowed=allowed)
    with working_directory(options.cache, "rehearsals") as directory:
        file = directory / options.output.name
        seal(file, {})
        image = host_image(engine, reporter, options.host_image)
        how = Rehearsing(image, wanted.topology, settle_timeout=options.settle_timeout, keep=wanted.keep, allowed=allowed)
        return rehearse(engine, owner, file, info=info, how=how, reporter=reporter)
