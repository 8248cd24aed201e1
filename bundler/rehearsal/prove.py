"""The proof that a build ends with: a receipt, or no file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from bundler.cluster.ownership import Owner
from bundler.engine import Engine
from bundler.options import BuildOptions
from bundler.recordings import working_directory
from bundler.rehearsal.rehearse import Rehearsing, rehearse
from bundler.steps import proofs
from bundler.steps.shelf import key_of
from bundler.values import given_document
from installer_stub.bundle.model import BundleInfo
from installer_stub.bundle.receipt import Receipt
from installer_stub.phases.reporter import Reporter
from installer_stub.values.site_values import SiteValues
from registry_snapshot.oci.digest import Digest

Seal = Callable[[Path, Mapping[str, bytes]], object]
"""Writes the artifact to a path, with these further documents in it."""


def prove(options: BuildOptions, engine: Engine, owner: Owner, *, image: str, info: BundleInfo, content: bytes, values: SiteValues, seal: Seal, reporter: Reporter) -> Receipt:
    """Rehearse the file that ``seal`` makes without a receipt, and return the receipt. Raises RehearsalFailed, as ``rehearse``.

    ``image`` is that of the hosts. ``content`` stands for the file: of the same one with the same ``values`` on the same hosts the
    receipt is taken that there is.
    """
    wanted, allowed = options.rehearsal, options.rehearsal.allowed
    if wanted.skip:
        return proofs.none_of(info, allowed)
    given = given_document(values)
    key = key_of({"content": Digest.of(content), "hosts": image, "topology": wanted.topology, "allowed": allowed, "values": Digest.of(given)})
    known = None if wanted.keep else proofs.known(options.cache, key)
    if known is not None:
        reporter.step(f"{known.line()}: before, with the same content on the same hosts")
        return known
    with working_directory(options.cache, "rehearsals") as directory:
        file = directory / options.output.name
        seal(file, {})
        how = Rehearsing(image, wanted.topology, settle_timeout=options.settle_timeout, keep=wanted.keep, allowed=allowed, effective=values.effective, values=given)
        receipt = rehearse(engine, owner, file, info=info, how=how, reporter=reporter)
    proofs.keep(options.cache, key, Digest.of(content), receipt)
    return receipt
