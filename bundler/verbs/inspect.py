"""``inspect``: say what a file holds, needs, and who signed it; it is never executed."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

_EPILOG = """\
examples:
  airseal inspect shop.run
  airseal inspect shop.run --json | jq .needs
  airseal inspect shop.run --values    what a site may set

It reads the documents in the file, each checked by its digest, and not the images: airseal verify does."""


def define(parser: ArgumentParser) -> None:
    """Add the options: those of the verb of the same name in every artifact."""
    from installer_stub.commands.inspect import add_options

    parser.epilog = _EPILOG
    parser.add_argument("bundle", type=Path, metavar="FILE", help="an artifact")
    add_options(parser)


def run(arguments: Namespace) -> int:
    """Do it. Raises UsageError, BundleError."""
    from installer_stub.commands.inspect import run as look

    return look(arguments)
