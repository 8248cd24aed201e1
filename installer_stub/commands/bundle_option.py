"""``--bundle FILE``: work on that artifact instead of the running program."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path


def add_bundle_option(parser: ArgumentParser) -> None:
    """Add the option; ``arguments.bundle`` is None where it is not given."""
    parser.add_argument("--bundle", type=Path, metavar="FILE", help="an artifact; default: the running program itself")
