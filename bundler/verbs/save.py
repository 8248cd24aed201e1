"""``save``: a cluster image as one file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from bundler.verbs.stored import NAME_HELP, add_cache, images_of

_EPILOG = """\
examples:
  airseal save shop:1.4.0 -o shop-1.4.0.tar
  airseal save shop:1.4.0 -o shop-1.4.0.tar && skopeo inspect oci-archive:shop-1.4.0.tar

An OCI image layout in a tar: airseal load, docker load and skopeo read it. The same image under the same name is the same bytes.

exit codes: 0 done, 2 usage, 6 there is no such cluster image, or it is damaged, 9 disk full"""


def define(parser: ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.add_argument("name", metavar="NAME", help=NAME_HELP)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the file; one that is there is replaced as a whole")
    parser.add_argument("--json", action="store_true", help="print events as JSON, one a line")
    add_cache(parser)


def run(arguments: Namespace) -> int:
    """Do it. Raises UsageError, ClusterImageError, StoreError."""
    import sys
    from contextlib import closing

    from bundler.cache.builds import in_use
    from bundler.cluster_images.save import save
    from bundler.disk import full_disk_named
    from bundler.options import check_output
    from installer_stub.ui.console import console
    from installer_stub.ui.transfer import size

    images, target = images_of(arguments), check_output(arguments.output)
    image = images.find(arguments.name)
    with full_disk_named(target.parent), in_use(images.cache):
        written = save(images, image, target)
    with closing(console(json_events=arguments.json, stream=sys.stdout)) as reporter:
        text = f"{arguments.output}: {image.name}, {image.descriptor.digest}, {size(written)}"
        reporter.event("saved", text, name=image.name, digest=str(image.descriptor.digest), file=str(target), size=written)
    return 0
