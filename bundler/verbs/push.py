"""``push``: a cluster image goes to a registry, with what was recorded of it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from bundler.verbs.sources import add_logins, add_mirrors, logins_of, mirrors_of

_EPILOG = """\
examples:
  airseal push shop:1.4.0 registry.corp.example.com/shop:1.4.0
  airseal push shop:1.4.0 registry.corp.example.com/team/shop    to team/shop:1.4.0 there
  airseal push registry.corp.example.com/shop:1.4.0    an image that has that name here (airseal tag)
  airseal push shop:1.4.0 registry.corp.example.com:5000/shop:1.4.0 --ca corporate-root.pem
  airseal push shop:1.4.0 registry.corp.example.com/shop:1.4.0 --without-snapshot

Only what the registry does not have travels: blobs that it has are found first, and what another repository there has is mounted. What
breaks off goes on. The tag is set when everything is there. Beside the image go the images that were recorded and what sealing needs, as
referrers: airseal seal registry.corp.example.com/shop:1.4.0 -o shop.run makes the file of it on any machine. Logins are docker's own:
airseal login. A registry that --mirrors puts in another's place is pushed to in its place.

exit codes: 0 pushed, 1 the registry refused it or broke off, 2 usage, 6 there is no such cluster image, or it is not whole"""


def define(parser: ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.add_argument("name", metavar="NAME", help="a cluster image of this machine, for example shop:1.4.0")
    parser.add_argument("target", metavar="DEST", nargs="?", default="", help="where to, with its registry (default: NAME, if that has one)")
    parser.add_argument("--without-snapshot", action="store_true", help="push the image alone, without what was recorded of it")
    add_logins(add_mirrors(parser))
    parser.add_argument("--cache", type=Path, metavar="DIR", help="the cache of the build (default $AIRSEAL_CACHE or ~/.cache/airseal)")
    parser.add_argument("--json", action="store_true", help="print events as JSON, one a line")


def run(arguments: Namespace) -> int:
    """Push, and say how much of it travelled. Raises UsageError, ClusterImageError, RegistryError."""
    from contextlib import closing

    from bundler.disk import full_disk_named
    from bundler.titles import cache_root
    from bundler.travel.push import PushOptions, push
    from bundler.travel.upstreams import Ways
    from installer_stub.ui.console import console

    ways = Ways(mirrors_of(arguments), logins_of(arguments))
    options = PushOptions(arguments.name, arguments.target, cache_root(arguments.cache), ways, not arguments.without_snapshot)
    with closing(console(json_events=arguments.json)) as reporter:
        with full_disk_named(options.cache):
            delivered = push(options, reporter)
        reporter.event("pushed", "\n".join(delivered.lines()), **delivered.fields())
    return 0
