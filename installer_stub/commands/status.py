"""``status``: parse, then look."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from installer_stub.commands import install

_EXAMPLES = """\
examples:
  ./{prog} status --via 10.0.0.2
  ./{prog} status --via 10.0.0.5 --json     any host of the site leads to all of it

Changes nothing. Exit code 0: all is well; 6: something is not, and the last lines say what."""


def define(parser: ArgumentParser, verb: str) -> None:
    """Add the options."""
    del verb
    install.define_via(install.define_hosts(parser))
    install.define_login(parser)
    install.define_answers(parser)
    parser.epilog = _EXAMPLES


def run(arguments: Namespace) -> int:
    """Print how the site is."""
    options = install.parse(arguments)
    from installer_stub.verbs.show_status import main

    return main(options)
