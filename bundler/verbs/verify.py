"""``verify``: recompute every digest of a file, and ask whose it is; it is never executed."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

_EPILOG = """\
examples:
  airseal verify shop.run
  airseal verify shop.run --trust allowed_signers
  airseal verify shop.run --trust release.pub --json
  ssh-keygen -Y verify -n airseal -f allowed_signers -I release@corp -s shop.run.sig < shop.run    the same without us

It reads the file and never runs it, so a file that somebody altered has no say in it. A signature says whose it is, a sum only that it is what
was sealed: compare it with the sender's by another way than the one by which the file came.

exit codes: 0 whole, and trusted if --trust was given; 2 usage; 3 altered, no artifact, not trusted, or FILE.sha256 or FILE.sig beside it is of
another file"""


def define(parser: ArgumentParser) -> None:
    """Add the options: those of the verb of the same name in every artifact."""
    from installer_stub.commands.verify import add_options

    parser.epilog = _EPILOG
    parser.add_argument("bundle", type=Path, metavar="FILE", help="an artifact")
    add_options(parser)


def run(arguments: Namespace) -> int:
    """Do it. Raises UsageError, BundleError, NotTrusted."""
    from installer_stub.commands.verify import run as look

    return look(arguments)
