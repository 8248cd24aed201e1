"""``seal``: what a build recorded, or what a file holds, becomes a file again, without docker and without a cluster."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from bundler.verbs.sources import add_logins, add_mirrors, add_sign, add_stub, logins_of, mirrors_of

_EPILOG = """\
examples:
  airseal seal shop:1.4.0 -o shop.run
  airseal seal 3f2a9c41d07e -o /media/stick/shop.run    a recording by the first letters of its key
  airseal seal shop:1.4.0 -o again.run && cmp shop.run again.run
  airseal seal shop:1.4.0 -o shop.run --renew-stub                                 with the installer of this airseal
  airseal seal shop.run -o shop.run --sign release.key    sign a finished file, here or on a machine that has the key
  airseal seal ./old.run -o new.run    bring a file of an older format into this one
  airseal seal registry.corp.example.com/shop:1.4.0 -o shop.run    what was pushed there, on a machine that has nothing of it

A build keeps what it recorded, also where its rehearsal was red. Sealed with the installer that recorded it the file is, byte for
byte, that of the build; with --renew-stub it has the installer of this airseal, and the same content. The receipt of a rehearsal of the very
same file is sealed in; where there is none the file says for ever that nobody rehearsed it. A file that is sealed again keeps its installer and
its receipt; its signatures are left out, since they are of what it was: name every key that shall vouch for the new one.

Of a registry the cluster image, its recording and its images are pulled (airseal push), and what is sealed has to be what the image is.

exit codes: 0 sealed, 1 a registry does not have it or refused, 2 nothing was recorded under that name, 3 the file is altered or none, 8 what was recorded is no longer in
the cache, is not in the registry, or is of something else, 9 disk full, 11 nothing was signed, 13 there is no whole installer for its hosts"""


def define(parser: ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.add_argument("subject", metavar="NAME:VERSION|RECORDING|FILE|IMAGE", help="what was built here last under that name, the key of a recording, an artifact, or a cluster image of a registry")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="where the artifact goes, for example shop.run")
    parser.add_argument("--renew-stub", action="store_true", help="seal with the installer of this airseal (default: the installer that recorded it, or that of FILE)")
    add_stub(parser)
    add_sign(parser)
    add_logins(add_mirrors(parser))
    parser.add_argument("--cache", type=Path, metavar="DIR", help="the cache of the build (default $AIRSEAL_CACHE or ~/.cache/airseal)")
    parser.add_argument("--json", action="store_true", help="print events as JSON, one a line")


def run(arguments: Namespace) -> int:
    """Seal, and say what was sealed. Raises UsageError, RecordingGone, DiskFull, BuildError, RegistryError."""
    import time
    from contextlib import closing
    from dataclasses import replace

    from bundler.cache.builds import in_use
    from bundler.disk import full_disk_named
    from bundler.options import cache_root, check_output
    from bundler.seal import SealOptions, seal_again, seal_recorded
    from bundler.signing.signing import Signing, ask_for
    from bundler.travel.pull import PullOptions, pull
    from bundler.travel.upstreams import Ways
    from installer_stub.ui.console import console

    began = time.monotonic()
    options = SealOptions(arguments.subject, check_output(arguments.output), cache_root(arguments.cache), arguments.stub, arguments.renew_stub, Signing.load(arguments.sign, ask_for, arguments.sign_x509))
    again = _is_file(arguments.subject)
    with closing(console(json_events=arguments.json)) as reporter:
        with full_disk_named(options.cache, options.output.parent), in_use(options.cache):
            if not again and _is_remote(arguments.subject):
                fetched = pull(PullOptions(arguments.subject, options.cache, Ways(mirrors_of(arguments), logins_of(arguments)), with_snapshot=True), reporter)
                reporter.step(fetched.moved_line())
                options = replace(options, subject=fetched.sealable.key if fetched.sealable else options.subject)
            sealed = (seal_again if again else seal_recorded)(options, reporter)
        lines = [*([f"recorded {sealed.recorded}"] if sealed.recorded else []), *sealed.built.lines(time.monotonic() - began)]
        reporter.event("sealed", "\n".join(lines), recorded=sealed.recorded, **sealed.built.fields())
    return 0


def _is_file(subject: str) -> bool:
    """Tell whether it names an artifact: recordings are NAME:VERSION, or letters of a key; an image of a registry has its host before it."""
    return ("/" in subject and not _is_remote(subject)) or (":" not in subject and os.path.isfile(subject))  # noqa: PTH113 - Path.is_file raises for a name that is too long


def _is_remote(subject: str) -> bool:
    """Tell whether it names an image of a registry. What begins with ``.`` or ``/`` is a file, and so is what is one."""
    from registry_snapshot.oci.reference import looks_like_registry

    host, slash, _ = subject.partition("/")
    return bool(slash) and looks_like_registry(host) and not os.path.isfile(subject)  # noqa: PTH113
