"""``seal``: what a build recorded becomes a file again, without docker and without a cluster."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from bundler.verbs.sources import add_mirrors, mirrors_of

_EPILOG = """\
examples:
  airseal seal shop:1.4.0 -o shop.run
  airseal seal 3f2a9c41d07e -o /media/stick/shop.run    a recording by the first letters of its key
  airseal seal shop:1.4.0 -o again.run && cmp shop.run again.run
  airseal seal shop:1.4.0 -o shop.run --runtime portable --mirrors mirrors.yaml    freeze this airseal's installer, by the company's mirrors

A build keeps what it recorded, also where its rehearsal was red. Sealed with the installer that recorded it the file is, byte for
byte, that of the build; with --runtime it has the installer of this airseal, and the same content. The receipt of a rehearsal of the very
same file is sealed in; where there is none the file says for ever that nobody rehearsed it.

exit codes: 0 sealed, 2 nothing was recorded under that name, 8 what was recorded is no longer in the cache, 9 disk full"""


def define(parser: ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.add_argument("subject", metavar="NAME:VERSION|RECORDING", help="what was built here last under that name, or the key of a recording")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="where the artifact goes, for example shop.run")
    parser.add_argument("--runtime", choices=("auto", "portable", "host"), help="seal with the installer of this airseal, frozen with that Python as build has it (default: the installer that recorded it)")
    add_mirrors(parser)  # of the sources of a portable Python, which are all that it may fetch
    parser.add_argument("--cache", type=Path, metavar="DIR", help="the cache of the build (default $AIRSEAL_CACHE or ~/.cache/airseal)")
    parser.add_argument("--json", action="store_true", help="print events as JSON, one a line")


def run(arguments: Namespace) -> int:
    """Seal, and say what was sealed. Raises UsageError, RecordingGone, DiskFull, BuildError, RegistryError."""
    import time
    from contextlib import closing

    from bundler.cache.builds import in_use
    from bundler.disk import full_disk_named
    from bundler.options import cache_root, check_output
    from bundler.seal import SealOptions, seal_recorded
    from installer_stub.ui.console import console

    began = time.monotonic()
    options = SealOptions(arguments.subject, check_output(arguments.output), cache_root(arguments.cache), arguments.runtime, mirrors_of(arguments))
    with closing(console(json_events=arguments.json)) as reporter:
        with full_disk_named(options.cache, options.output.parent), in_use(options.cache):
            sealed = seal_recorded(options, reporter)
        lines = [f"recorded {sealed.recorded}", *sealed.built.lines(time.monotonic() - began)]
        reporter.event("sealed", "\n".join(lines), recorded=sealed.recorded, **sealed.built.fields())
    return 0
