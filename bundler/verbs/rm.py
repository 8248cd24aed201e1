"""``rm``: take names of cluster images away."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from bundler.verbs.stored import NAME_HELP, add_cache, images_of

_EPILOG = """\
examples:
  airseal rm shop:1.3.0
  airseal rm registry.corp/team/shop:1.3.0 shop:1.3.0 && airseal cache prune

Only the name goes at once. What no other cluster image has is said: airseal cache prune takes it away, unless a build that is remembered
still holds it. Docker's own images and those of registries are not touched.

exit codes: 0 done, 2 usage, 6 there is no such cluster image: then nothing was taken away"""


def define(parser: ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.add_argument("names", nargs="+", metavar="NAME", help=NAME_HELP)
    parser.add_argument("--json", action="store_true", help="print events as JSON, one a line")
    add_cache(parser)


def run(arguments: Namespace) -> int:
    """Do it. Raises UsageError, ClusterImageUnknown, RegistryError."""
    import sys
    from contextlib import closing

    from installer_stub.ui.console import console
    from installer_stub.ui.transfer import size

    images = images_of(arguments)
    wanted = list(dict.fromkeys(images.find(name).name for name in arguments.names))
    with closing(console(json_events=arguments.json, stream=sys.stdout)) as reporter:
        for name in wanted:
            gone = images.remove(name)
            rest = f"of no other cluster image: {size(gone.size)} in {len(gone.unnamed)} parts" if gone.unnamed else "others have all of it"
            text = f"removed the name {name} of {gone.image.descriptor.digest}; {rest}"
            reporter.event("removed", text, name=name, digest=str(gone.image.descriptor.digest), blobs=[str(part.digest) for part in gone.unnamed], size=gone.size)
    return 0
