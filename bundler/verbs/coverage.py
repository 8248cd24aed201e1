"""``coverage``: every image of an artifact or of a build, and why it is there; what was seen and is not."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bundler.coverage.report import Report

_EPILOG = """\
examples:
  airseal coverage shop.run
  airseal coverage shop:1.4.0                       # the last build of it on this machine
  airseal coverage shop.run --html coverage.html
  airseal coverage shop.run --json | jq -r '.images[] | select(.how == "scanned").reference'

recorded: the cluster pulled it. scanned: something in the cluster's API names it, and nothing ran it. listed: images.txt or
images.d/*.txt. attached: a registry keeps it for an image (a signature, an attestation, an SBOM). When an image was first seen is known where it was built: it is no part of the file."""


def define(parser: ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.add_argument("subject", metavar="FILE|NAME:VERSION", help="an artifact, or what was built here last under that name")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one HTML page that needs nothing else")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="the cache of the build (default $AIRSEAL_CACHE or ~/.cache/airseal)")


def run(arguments: Namespace) -> int:
    """Print it. Raises UsageError, BundleError, StoreError."""
    from bundler.coverage.page import page
    from bundler.coverage.report import report_json, table
    from installer_stub.ui.printable import json_text, printable, say
    from registry_snapshot.store.disk import write_file

    report = _report(arguments)
    if arguments.html is not None:
        write_file(arguments.html.absolute(), page(report).encode())
    if arguments.json:
        say(json_text(report_json(report), indent=1))
    elif arguments.html is None:
        for line in table(report):
            say(printable(line, lines=False))
    else:
        say(f"wrote {arguments.html}")
    return 0


def _report(arguments: Namespace) -> Report:
    from bundler.coverage.remembered import first_seen, recall
    from bundler.coverage.report import Report
    from bundler.options import cache_directory
    from installer_stub.bundle.reader import Bundle

    cache, path = cache_directory(arguments.cache), Path(arguments.subject)
    if path.exists() or "/" in arguments.subject or ":" not in arguments.subject:
        with Bundle.open(path) as bundle:
            return first_seen(cache, Report(bundle.info.title, bundle.lock, bundle.coverage, {}))
    return recall(cache, arguments.subject)
