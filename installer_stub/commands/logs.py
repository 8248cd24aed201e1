"""``logs``: parse, then collect."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from installer_stub.commands import install

_EXAMPLES = """\
examples:
  ./{prog} logs --via 10.0.0.2
  ./{prog} logs --via 10.0.0.2,10.0.0.3 -o site.tar.gz

Asks all hosts of the site that answer, and the cluster; says which hosts do not. Changes nothing. Keys, tokens and passwords
are masked."""


def define(parser: ArgumentParser, verb: str) -> None:
    """Add the options."""
    del verb
    install.define_via(install.define_hosts(parser))
    install.define_login(parser)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write here; default: airseal-logs-CLUSTER-TIME.tar.gz")
    install.define_answers(parser)
    parser.epilog = _EXAMPLES


def run(arguments: Namespace) -> int:
    """Collect."""
    options = install.parse(arguments)
    from installer_stub.verbs.logs import main

    return main(options)
