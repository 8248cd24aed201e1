"""What each verb of ``airseal`` does, with everything it imports."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir

from bundler.bases.build import BaseBuilder, resolve_pins
from bundler.bases.download import Downloader
from bundler.bases.pins import given_pins, pins_text
from bundler.bases.recipe import Recipe, find_recipe, known_bases
from bundler.build import build
from bundler.disk import full_disk_named
from bundler.engine import Engine
from bundler.errors import UsageError
from bundler.options import (
    BuildOptions,
    cache_directory,
    check_output,
    check_seconds,
    parse_build_args,
    parse_platform,
    parse_title,
)
from installer_stub.ui.console import Console, console
from registry_snapshot.record.mirrors import Mirrors


def build_artifact(arguments: Namespace) -> int:
    """``airseal build``."""
    options = parse_build(arguments)
    reporter = _reporter(arguments)
    with full_disk_named(options.cache, options.output.parent, Path(gettempdir())), _engine() as engine:
        built = build(options, engine, reporter)
    info = built.info
    reporter.event(
        "built",
        "\n".join(built.lines()),
        path=str(built.path),
        name=info.name,
        version=info.version,
        size=built.size,
        images=built.images,
        blobs=built.blobs,
        imagesSize=info.images_size,
        imagesUnpackedSize=info.images_unpacked_size,
        filesSize=info.files_size,
    )
    reporter.close()
    return 0


def parse_build(arguments: Namespace) -> BuildOptions:
    """Return the options that the arguments mean. Raises UsageError."""
    name, version = parse_title(arguments.tag)
    return BuildOptions(
        name=name,
        version=version,
        output=check_output(arguments.output),
        context=arguments.context,
        kubefile=arguments.file,
        build_args=parse_build_args(arguments.build_arg),
        mirrors=arguments.mirrors,
        mirror=tuple(arguments.mirror),
        ca=tuple(arguments.ca),
        pins=arguments.pins,
        docker_config=arguments.docker_config,
        platforms=parse_platform(arguments.platform),
        host_image=arguments.build_host_image,
        settle_timeout=check_seconds("--settle-timeout", arguments.settle_timeout),
        quiet_period=check_seconds("--quiet-period", arguments.quiet_period),
        runtime=arguments.runtime,
        keep=arguments.keep_cluster,
        cache=cache_directory(arguments.cache),
    )


def list_bases(arguments: Namespace) -> int:
    """``airseal base list``."""
    if arguments.json:
        _reporter(arguments).event("bases", "what FROM can name", names=list(known_bases()))
        return 0
    for name in known_bases():
        print(name)
    return 0


def build_base(arguments: Namespace) -> int:
    """``airseal base build NAME``."""
    recipe = _recipe(arguments)
    reporter = _reporter(arguments)
    with _engine() as engine:
        cache = cache_directory(arguments.cache)
        tag = BaseBuilder(engine, _downloader(arguments), cache, reporter, given_pins(arguments.pins)).tag(recipe)
    reporter.step(f"base {recipe.title} is {tag}")
    return 0


def pin_base(arguments: Namespace) -> int:
    """``airseal base pin NAME``: every download is fetched and hashed, so that a pin is of bytes that were seen."""
    recipe = _recipe(arguments)
    cache = cache_directory(arguments.cache)
    downloader = _downloader(arguments)
    reporter = _reporter(arguments)
    pins = resolve_pins(recipe, downloader, cache, reporter, given_pins(arguments.pins))
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
    recipe = find_recipe(arguments.name, parse_platform(arguments.platform)[0])
    if recipe is None:
        raise UsageError(f"there is no recipe for {arguments.name}", f"write one of: {', '.join(known_bases())}")
    return recipe


def _downloader(arguments: Namespace) -> Downloader:
    mirrors = Mirrors.load(arguments.mirrors) if arguments.mirrors else Mirrors()
    mirrors = mirrors.with_overrides(arguments.mirror, arguments.ca)
    cache = cache_directory(arguments.cache) / "downloads"
    return Downloader(cache, _reporter(arguments), rewrite=mirrors.rewrite, ca_files=mirrors.ca_files)


def _reporter(arguments: Namespace) -> Console:
    return console(json_events=arguments.json)


@contextmanager
def _engine() -> Iterator[Engine]:
    engine = Engine.connect()
    try:
        yield engine
    finally:
        engine.close()
