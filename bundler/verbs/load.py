"""``load``: cluster images out of a file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from bundler.verbs.stored import add_cache, images_of

_EPILOG = """\
examples:
  airseal load shop-1.4.0.tar
  airseal load from-skopeo.tar --as shop:1.4.0
  docker save team/base:1 -o base.tar && airseal load base.tar

It reads OCI image layouts in a tar (airseal save, skopeo's oci-archive, buildx --output type=oci) and docker save's own archive. Every blob is
hashed against its name; a file that is torn or altered is refused, and nothing of it gets a name.

exit codes: 0 done, 2 usage, 6 the file is torn, altered or no archive of images, 9 disk full"""


def define(parser: ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.add_argument("file", type=Path, metavar="FILE", help="a tar of an OCI image layout, or of docker save")
    parser.add_argument("--as", dest="name", metavar="NAME", help="what its image is called, whatever the file calls it")
    parser.add_argument("--json", action="store_true", help="print events as JSON, one a line")
    add_cache(parser)


def run(arguments: Namespace) -> int:
    """Do it. Raises UsageError, ClusterImageError, StoreError."""
    import sys
    from contextlib import closing

    from bundler.cache.builds import in_use
    from bundler.cluster_images.load import load
    from bundler.cluster_images.names import full_name, short_name
    from bundler.disk import full_disk_named
    from installer_stub.ui.console import console

    images = images_of(arguments)
    name = full_name(arguments.name) if arguments.name else None
    with closing(console(json_events=arguments.json, stream=sys.stdout)) as reporter, full_disk_named(images.cache), in_use(images.cache):
        for reference, descriptor in load(images, arguments.file, reporter, name):
            images.put(reference, descriptor)
            text = f"{short_name(reference)} is {descriptor.digest}"
            reporter.event("loaded", text, name=short_name(reference), digest=str(descriptor.digest))
    return 0
