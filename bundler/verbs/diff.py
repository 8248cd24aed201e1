"""``diff``: what is different between two artifacts; neither is executed."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

_EPILOG = """\
examples:
  airseal diff shop-1.4.0.run shop-1.5.0.run
  airseal diff old.run new.run --json | jq -r '.differences[] | select(.kind == "image").name'
  airseal diff old.run new.run --exit-code && echo the same for a site

Images, cluster files, commands, environment, labels; installer and publishers, which are no part of what a site gets. What is compared are the
documents of both files, each checked by its digest: whether every byte of a file is right, airseal verify says."""


def define(parser: ArgumentParser) -> None:
    """Add the options: those of the verb of the same name in every artifact."""
    from installer_stub.commands.diff import add_options

    parser.epilog = _EPILOG
    parser.add_argument("before", type=Path, metavar="OLD", help="an artifact")
    parser.add_argument("bundle", type=Path, metavar="NEW", help="an artifact")
    add_options(parser)


def run(arguments: Namespace) -> int:
    """Do it. Raises BundleError."""
    from installer_stub.commands.diff import run as look

    return look(arguments)
