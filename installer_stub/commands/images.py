"""``images``: every image of this file, its digest, and who pulled it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from installer_stub.bundle.reader import Bundle
from installer_stub.bundle.reasons import reason_to_json
from installer_stub.commands.bundle_option import add_bundle_option
from installer_stub.ui.printable import json_text, printable, say


def define(parser: ArgumentParser, verb: str) -> None:
    """Add the options."""
    del verb
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_bundle_option(parser)
    parser.epilog = "examples:\n  ./{prog} images\n  ./{prog} images --json | jq -r '.[].reference'"


def run(arguments: Namespace) -> int:
    """Print them, sorted by reference."""
    with Bundle.open(arguments.bundle) as bundle:
        images = bundle.lock.images
    if arguments.json:
        value = [
            {
                "reference": str(image.reference),
                "digest": str(image.descriptor.digest),
                "mediaType": image.descriptor.media_type,
                "size": image.size,
                "reasons": [reason_to_json(reason) for reason in image.reasons],
            }
            for image in images
        ]
        say(json_text(value, indent=1))
        return 0
    for image in images:
        say(f"{image.reference}\n  {image.descriptor.digest}")
        for reason in image.reasons:
            say(f"  {printable(str(reason), lines=False)}")
    return 0
