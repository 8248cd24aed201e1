"""``tag``: one more name for a cluster image."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from bundler.verbs.stored import NAME_HELP, add_cache, images_of

_EPILOG = """\
examples:
  airseal tag shop:1.4.0 shop:stable
  airseal tag shop:1.4.0 registry.corp/team/shop:1.4.0 && airseal push registry.corp/team/shop:1.4.0

What had the name before has it no more. A name without a slash is one of this machine's own.

exit codes: 0 done, 2 usage, 6 there is no such cluster image, or it is not whole"""


def define(parser: ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.add_argument("name", metavar="NAME", help=NAME_HELP)
    parser.add_argument("new", metavar="NEW", help="the name that it gets too")
    parser.add_argument("--json", action="store_true", help="print events as JSON, one a line")
    add_cache(parser)


def run(arguments: Namespace) -> int:
    """Do it. Raises UsageError, ClusterImageError, RegistryError."""
    import sys
    from contextlib import closing

    from bundler.cluster_images.names import full_name, short_name
    from bundler.errors import UsageError
    from installer_stub.ui.console import console

    images, new = images_of(arguments), full_name(arguments.new)
    if new.tag is None or new.digest is not None:
        raise UsageError(f"{arguments.new[:300]} names a digest, which is nobody's to give", "write NAME:TAG or REGISTRY/PATH:TAG")
    image, before = images.find(arguments.name), images.known(new)
    images.put(new, image.descriptor)
    was = f", which was {before.descriptor.digest}" if before is not None and before.descriptor.digest != image.descriptor.digest else ""
    with closing(console(json_events=arguments.json, stream=sys.stdout)) as reporter:
        reporter.event("tagged", f"{short_name(new)} is {image.descriptor.digest}{was}", name=short_name(new), digest=str(image.descriptor.digest))
    return 0
