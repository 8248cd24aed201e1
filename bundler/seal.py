"""Sealing what was recorded: from the cache alone, without docker and without a cluster."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from bundler.errors import RecordingGone, UsageError
from bundler.pack.stub_runtime import StubRuntime
from bundler.pack.stubs import frozen_before, stub_for
from bundler.signing.signing import UNSIGNED, Signing
from bundler.steps import proofs, recorded, recording, sealable
from bundler.steps.from_file import ingredients_of
from bundler.steps.numbered import Numbered
from bundler.steps.recorded import Recorded
from bundler.steps.sealable import Sealable
from bundler.steps.sealing import Built, Whole, measured, seal_whole
from bundler.steps.shelf import Shelf
from installer_stub.bundle.reader import Bundle
from installer_stub.bundle.receipt import Receipt
from installer_stub.phases.reporter import Reporter
from installer_stub.version import VERSION
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.store.disk import DiskBlobStore

VERIFY: Final = "Verify the file"
FIND: Final = "Find what was recorded"
MEASURE: Final = "Measure the images"
SEAL: Final = "Seal the file"
STEPS: Final = (FIND, MEASURE, SEAL)
AGAIN: Final = (VERIFY, SEAL)
_KEY: Final = re.compile(r"[0-9a-f]{8,64}")
_SHOWN: Final = 20  # images or recordings that an error lists
_SHORT: Final = 12  # letters of a key that a person is shown


@dataclass(frozen=True, slots=True)
class SealOptions:
    """Everything ``airseal seal`` is told. ``subject`` is NAME:VERSION, the first letters of a recording's key, or a file.

    Without ``renew`` and ``stub`` the installer is that of the recording, which gives the bytes of the build, or that of the file; ``renew`` takes
    this airseal's, ``stub`` a wheel or directory that was named.
    """

    subject: str
    output: Path
    cache: Path
    stub: Path | None = None
    renew: bool = False
    signing: Signing = UNSIGNED


@dataclass(frozen=True, slots=True)
class Resealed:
    """What was sealed, and when it was recorded: ISO 8601, in UTC; empty for what came out of a file."""

    built: Built
    recorded: str = ""


def seal_again(options: SealOptions, reporter: Reporter) -> Resealed:
    """Seal what the file ``options.subject`` holds into ``options.output``, which may be that file, and sign it.

    A file of this format keeps its installer and its receipt, unless ``options`` ask for another; an installer that
    knows an older format alone is replaced, and then nobody has rehearsed the file. Raises BundleError, and what sealing raises.
    """
    numbered = Numbered(reporter, AGAIN)
    with Bundle.open(Path(options.subject)) as bundle:
        with numbered.step(VERIFY):
            bundle.verify(lambda count: reporter.moved("verified", count, bundle.size))
            reporter.step(f"{bundle.info.title} is whole; {len(bundle.signatures)} signatures, which the new file has not")
        renew = options.renew or options.stub is not None or not bundle.document.is_closed
        stub = partial(stub_for, bundle.info.platforms, options.cache, options.stub) if renew else None
        with ingredients_of(bundle, stub) as (whole, receipt), numbered.step(SEAL):
            built = seal_whole(whole, receipt, options.output, cache=None, steps=(), signing=options.signing, reporter=reporter)
    return Resealed(built)


def seal_recorded(options: SealOptions, reporter: Reporter) -> Resealed:
    """Seal a recording that the cache holds into ``options.output``.

    Its receipt is that of the last rehearsal of the very same content, or says that there was none. Raises UsageError for what was never
    recorded, RecordingGone for what was pruned, and what sealing raises; the output is then what it was before.
    """
    numbered = Numbered(reporter, STEPS)
    with numbered.step(FIND):
        kept = find(options.cache, options.subject)
        found = recording_of(options.cache, kept)
        if found is None:
            raise RecordingGone(f"what was recorded of {kept.info.title} is no longer in {options.cache}", _again(kept))
        when = f"{datetime.fromtimestamp(found.time, UTC):%Y-%m-%dT%H:%M:%SZ}"
        reporter.step(f"{kept.info.title}, recorded {when}: {found.lock.count}")
        check_whole(kept, found, DiskBlobStore(options.cache / "store"), when)
        stub = _stub(options, kept, reporter)
    info = kept.info if stub.digest == kept.stub else replace(kept.info, airseal=VERSION)
    with numbered.step(MEASURE):
        whole = measured(info, found, stub, options.cache, reporter)
    receipt = _receipt(options.cache, whole, kept, reporter)
    with numbered.step(SEAL):
        built = seal_whole(whole, receipt, options.output, cache=options.cache, steps=kept.steps, signing=options.signing, reporter=reporter)
    return Resealed(built, when)


def find(cache: Path, subject: str) -> Sealable:
    """Return what ``subject`` names: of NAME:VERSION what was built last. Raises UsageError, which lists what there is."""
    every = sealable.kept(cache)
    if _KEY.fullmatch(subject):
        found = [each for each in every if each.key.startswith(subject)]
        if len(found) > 1:
            raise UsageError(f"{len(found)} recordings begin with {subject}", _there_is(found))
    else:
        found = [each for each in every if each.info.title == subject]
    if not found:
        raise UsageError(f"nothing that was recorded into {cache} is called {subject[:200]!r}", _there_is(every))
    return found[0]


def check_whole(kept: Sealable, found: Recorded, blobs: DiskBlobStore, when: str) -> None:
    """Raise RecordingGone, which names the images, unless everything that the file needs is in the store."""
    platforms = tuple(map(Platform.parse, kept.info.platforms))
    roots: list[tuple[str, Descriptor]] = [(str(reference), descriptor) for reference, descriptor in found.images]
    gone = [name for name, root in [*roots, ("the cluster files", kept.info.cluster)] if not recorded.has_all([root], blobs, platforms)]
    if gone:
        lines = "".join(f"\n  - {name}" for name in gone[:_SHOWN]) + (f"\n  and {len(gone) - _SHOWN} more" if len(gone) > _SHOWN else "")
        raise RecordingGone(f"{kept.info.title} was recorded {when}, and the cache has no longer all of:{lines}", _again(kept))


def recording_of(cache: Path, kept: Sealable) -> Recorded | None:
    """Return what was recorded, or None where the cache has it no longer."""
    raw = Shelf(cache, recording.STEP).get(kept.recording)
    return recorded.decode(raw) if raw is not None else None


def _stub(options: SealOptions, kept: Sealable, reporter: Reporter) -> StubRuntime:
    """Return the installer of the recording, or this airseal's own if that was asked for or is all there is."""
    if not options.renew and options.stub is None:
        if found := frozen_before(options.cache, kept.stub):
            return found
        reporter.step("the installer that recorded it is no longer in the cache: sealed with that of this airseal")
    return stub_for(kept.info.platforms, options.cache, options.stub)


def _receipt(cache: Path, whole: Whole, kept: Sealable, reporter: Reporter) -> Receipt:
    receipt = proofs.proof_of(cache, Digest.of(whole.content), kept.allowed) or proofs.none_of(whole.info, kept.allowed)
    reporter.step(receipt.line() if receipt.skipped else f"{receipt.line()}: before, with the same content")
    return receipt


def _there_is(every: Sequence[Sealable]) -> str:
    if not every:
        return "build it here: airseal build -t NAME:VERSION -o FILE CONTEXT_DIR"
    return "name one of " + ", ".join(f"{each.info.title} ({each.key[:_SHORT]})" for each in every[:_SHOWN])


def _again(kept: Sealable) -> str:
    return f"build it again, which fetches no more than what is missing: airseal build -t {kept.info.title} -o FILE CONTEXT_DIR"
