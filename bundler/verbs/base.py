"""``base``: what FROM can name. ``list`` them, ``build`` one now, ``pin`` everything that one downloads."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.verbs.sources import add_downloads, mirrors_of

if TYPE_CHECKING:
    from bundler.bases.download import Downloader
    from bundler.bases.recipe import Recipe
    from installer_stub.ui.console import Console

_EPILOG = """\
examples:
  airseal base list
  airseal base build kubernetes:v1.36.3
  airseal base pin kubernetes:v1.36.3 --write v1.36.3.sha256"""


def define(parser: ArgumentParser) -> None:
    """Add the actions and their options."""
    parser.epilog = _EPILOG
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list the bases there are recipes for")
    listing.set_defaults(action=_list)
    make = actions.add_parser("build", help="download, verify and build a base now")
    make.set_defaults(action=_build)
    pin = actions.add_parser("pin", help="write the SHA-256 of everything that a base downloads")
    pin.set_defaults(action=_pin)
    pin.add_argument("--write", type=Path, metavar="FILE", help="where to (default: standard output)")
    for action in (make, pin):
        action.add_argument("name", metavar="NAME", help="for example kubernetes:v1.36.3")
        action.add_argument("--platform", default="linux/amd64", metavar="OS/ARCH", help="default linux/amd64")
        add_downloads(action)
    for action in (listing, make, pin):
        action.add_argument("--json", action="store_true", help="print events as JSON, one a line")


def run(arguments: Namespace) -> int:
    """Do the action."""
    action: int = arguments.action(arguments)
    return action


def _list(arguments: Namespace) -> int:
    from bundler.bases.recipe import known_bases

    if arguments.json:
        _reporter(arguments).event("bases", "what FROM can name", names=list(known_bases()))
        return 0
    for name in known_bases():
        print(name)
    return 0


def _build(arguments: Namespace) -> int:
    from contextlib import closing

    from bundler.bases.build import BaseBuilder
    from bundler.bases.pins import given_pins
    from bundler.cache.builds import in_use
    from bundler.cluster_images.store import ClusterImages
    from bundler.engine import Engine
    from bundler.kubefile.from_images import Fetching
    from bundler.kubefile.upstream import Upstream
    from bundler.options import ImageOptions, cache_root
    from registry_snapshot.record.credentials import DockerCredentials

    recipe = _recipe(arguments)
    reporter = _reporter(arguments)
    cache = cache_root(arguments.cache)
    with closing(Engine.connect()) as engine, in_use(cache):
        fetching = Fetching(engine, ImageOptions(), reporter, Upstream(engine, cache, mirrors_of(arguments), DockerCredentials.load()), ClusterImages(cache))
        pins, accept = given_pins(arguments.pins), arguments.accept_publisher_checksums
        tag = BaseBuilder(engine, _downloader(arguments), cache, reporter, pins, accept=accept, fetching=fetching).tag(recipe)
    reporter.step(f"base {recipe.title} is {tag}")
    return 0


def _pin(arguments: Namespace) -> int:
    """Every download is fetched and hashed, so that a pin is of bytes that were seen."""
    from bundler.bases.build import resolve_pins
    from bundler.bases.pins import given_pins, pins_text
    from bundler.options import cache_root

    recipe = _recipe(arguments)
    cache = cache_root(arguments.cache)
    downloader = _downloader(arguments)
    reporter = _reporter(arguments)
    # Whoever asks for them has them before his eyes, and is told to compare them.
    pins = resolve_pins(recipe, downloader, cache, reporter, given_pins(arguments.pins), accept=True)
    for download in recipe.downloads:
        downloader.file((download.url, *download.also), pins.hashes[download.url])
    text = pins_text(pins.hashes, f"{recipe.title}, {recipe.platform}: everything that it downloads, as its publishers' checksums say.")
    if arguments.write is None:
        sys.stdout.write(text)
    else:
        arguments.write.write_text(text)
        reporter.step(f"wrote {len(pins.hashes)} pins to {arguments.write}")
    return 0


def _recipe(arguments: Namespace) -> Recipe:
    from bundler.bases.recipe import find_recipe, known_bases
    from bundler.errors import UsageError
    from bundler.options import parse_platform

    recipe = find_recipe(arguments.name, parse_platform(arguments.platform)[0])
    if recipe is None:
        raise UsageError(f"there is no recipe for {arguments.name}", f"write one of: {', '.join(known_bases())}")
    return recipe


def _downloader(arguments: Namespace) -> Downloader:
    from bundler.bases.download import Downloader
    from bundler.options import cache_root

    mirrors = mirrors_of(arguments)
    cache = cache_root(arguments.cache) / "downloads"
    return Downloader(cache, _reporter(arguments), rewrite=mirrors.rewrite, ca_files=mirrors.ca_files, destinations=mirrors.destinations)


def _reporter(arguments: Namespace) -> Console:
    from installer_stub.ui.console import console

    return console(json_events=arguments.json)
