"""``remove``: parse, then take hosts out."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from installer_stub.commands import install
from installer_stub.errors import UsageError

_EXAMPLES = """\
examples:
  ./{prog} remove n5 --via 10.0.0.2
  ./{prog} remove 10.0.0.3 --via 10.0.0.2 --yes
  ./{prog} remove --lost m3 --via 10.0.0.2    m3 is gone for good: nobody tries to reach it

Moves the host's pods elsewhere, lets its etcd member go, takes Kubernetes and everything of ours off it, and tells the other
hosts. It never takes etcd's majority away, unless --force says so. To have the host back: ./{prog} join."""


def define(parser: ArgumentParser, verb: str) -> None:
    """Add the options."""
    del verb
    parser.add_argument("targets", nargs="+", metavar="HOST", help="name or address of a host of the site")
    parser.add_argument("--lost", action="store_true", help="the host does not answer and will not come back: only the cluster forgets it")
    parser.add_argument("--force", action="store_true", help="also where etcd loses its majority, or pods cannot be moved")
    install.define_via(install.define_hosts(parser))
    install.define_login(parser)
    install.define_answers(parser)
    parser.epilog = _EXAMPLES


def run(arguments: Namespace) -> int:
    """Take the hosts out, one after the other."""
    if not (arguments.via or arguments.master or arguments.node):
        raise UsageError("no other host of the site is named", "add --via with the address of a master that stays")
    options = install.parse(arguments)
    from installer_stub.verbs.remove import main

    return main(options)
