"""``pull``: a cluster image comes from a registry, and with it, if that is wanted, what was recorded of it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from bundler.verbs.sources import add_logins, add_mirrors, logins_of, mirrors_of

_EPILOG = """\
examples:
  airseal pull registry.corp.example.com/shop:1.4.0
  airseal pull registry.corp.example.com/shop@sha256:…      what nobody can move
  airseal pull registry.corp.example.com/shop:1.4.0 --with-snapshot && airseal seal shop:1.4.0 -o shop.run
  airseal pull registry.corp.example.com:5000/shop:1.4.0 --ca corporate-root.pem

Every blob is hashed; what is here already does not travel. --with-snapshot brings the recording and its images too, and looks whether they
are of this image: then seal needs no docker and no cluster. airseal seal registry.corp.example.com/shop:1.4.0 -o shop.run does both.

exit codes: 0 pulled, 1 the registry does not have it, refused or broke off, 2 usage, 6 it cannot be used, 8 there is no recording of it, or one of
something else, 9 disk full"""


def define(parser: ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.add_argument("name", metavar="NAME", help="a cluster image with its registry, for example registry.corp.example.com/shop:1.4.0")
    parser.add_argument("--with-snapshot", action="store_true", help="bring what was recorded of it too, so that it can be sealed")
    add_logins(add_mirrors(parser))
    parser.add_argument("--cache", type=Path, metavar="DIR", help="the cache of the build (default $AIRSEAL_CACHE or ~/.cache/airseal)")
    parser.add_argument("--json", action="store_true", help="print events as JSON, one a line")


def run(arguments: Namespace) -> int:
    """Pull, and say how much of it travelled. Raises UsageError, ClusterImageError, RecordingIncomplete, RegistryError."""
    from contextlib import closing

    from bundler.disk import full_disk_named
    from bundler.titles import cache_root
    from bundler.travel.pull import PullOptions, pull
    from bundler.travel.upstreams import Ways
    from installer_stub.ui.console import console

    options = PullOptions(arguments.name, cache_root(arguments.cache), Ways(mirrors_of(arguments), logins_of(arguments)), arguments.with_snapshot)
    with closing(console(json_events=arguments.json)) as reporter:
        with full_disk_named(options.cache):
            fetched = pull(options, reporter)
        reporter.event("pulled", "\n".join(fetched.lines()), **fetched.fields())
    return 0
