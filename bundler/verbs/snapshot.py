"""``snapshot``: what a recording holds, whether it is whole and true, and how each image came into it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry_snapshot.record.recording import RecordedState, RecordingDirectory

_EPILOG = """\
examples:
  airseal snapshot recording
  airseal snapshot recording registry.k8s.io/pause:3.10     # who asked for it, when, and what travelled
  airseal snapshot recording --verify                       # read and hash every byte
  airseal snapshot recording --json | jq -r '.images[].reference'

Works while the recorder runs, too, and changes nothing. Ends with 8 if an image is not whole, or a blob is not what its
name says."""


def define(parser: ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.add_argument("directory", type=Path, metavar="DIR", help="what airseal record was given as --into")
    parser.add_argument("references", nargs="*", metavar="REFERENCE", help="images to explain: who asked, what travelled, what they consist of")
    parser.add_argument("--verify", action="store_true", help="read every blob and hash it again")
    parser.add_argument("--json", action="store_true", help="print one JSON object; what is wrong stands under problems")


def run(arguments: Namespace) -> int:
    """Print it; 0 if all of it is whole. Raises RecordingIncomplete, RegistryError."""
    from bundler.errors import RecordingIncomplete
    from bundler.recorded import explanation, image_json, listing, totals_json
    from installer_stub.ui.printable import json_text, say
    from registry_snapshot.record.recording import RecordingDirectory

    recording = RecordingDirectory.open(arguments.directory)
    images = _chosen(recording, arguments.references)
    damaged = _verify(recording) if arguments.verify else ()
    problems = [f"{image.reference} is not whole: {image.problem}" for image in images if image.problem] + list(damaged)
    if arguments.json:
        held = [image_json(recording, image) for image in images]
        say(json_text(totals_json(recording) | {"images": held, "problems": problems}, indent=1))
        return RecordingIncomplete.exit_code if problems else 0
    if arguments.references:
        say("\n\n".join("\n".join(explanation(recording, image)) for image in images))
    else:
        say("\n".join(listing(recording)))
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        remedy = "remove damaged blobs, then run airseal record again and pull: it fetches what is missing"
        raise RecordingIncomplete(f"{arguments.directory} is not sound:\n{lines}", remedy)
    if arguments.verify:
        say("every blob is what its name says")
    return 0


def _chosen(recording: RecordingDirectory, names: Sequence[str]) -> tuple[RecordedState, ...]:
    from bundler.errors import UsageError
    from registry_snapshot.oci.reference import Reference

    if not names:
        return recording.images
    held = {image.reference: image for image in recording.images}
    chosen = []
    for name in names:
        reference = Reference.parse(name)
        if reference not in held:
            raise UsageError(f"{reference} was not recorded in {recording.path}", f"airseal snapshot {recording.path} lists what was")
        chosen.append(held[reference])
    return tuple(chosen)


def _verify(recording: RecordingDirectory) -> tuple[str, ...]:
    """Hash every blob and return what is wrong with each that is damaged."""
    import sys
    from contextlib import closing

    from installer_stub.ui.console import console
    from registry_snapshot.errors import DigestMismatch
    from registry_snapshot.store.verify import verify_blob

    digests = tuple(recording.blobs.digests())
    total = sum(recording.blobs.size(digest) for digest in digests)
    damaged = []
    with closing(console(stream=sys.stderr)) as reporter:
        for digest in digests:
            try:
                reporter.moved("verified", verify_blob(recording.blobs, digest), total)
            except DigestMismatch as error:
                damaged.append(f"{recording.blobs.path(digest)}: {error.problem}")
    return tuple(damaged)
