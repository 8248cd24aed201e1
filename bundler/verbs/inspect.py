"""``inspect``: say what a file or a cluster image holds, needs, and who signed it; nothing is ever executed."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from bundler.verbs.stored import add_cache, add_platform, contents_of, images_of, is_file

_EPILOG = """\
examples:
  airseal inspect shop.run
  airseal inspect shop.run --json | jq .needs
  airseal inspect shop.run --values    what a site may set
  airseal inspect shop:1.4.0           a cluster image: digest, commands, values, conditions, lists, labels, layers

Of a file it reads the documents, each checked by its digest, and not the images: airseal verify does. Of a cluster image (airseal images) it
reads and hashes all layers. A word that is a file means the file: write ./NAME or NAME:TAG where both are there.

exit codes: 0 done, 2 usage, 3 the file is altered or no artifact, 6 there is no such cluster image, or it cannot be read"""


def define(parser: ArgumentParser) -> None:
    """Add the options: those of the verb of the same name in every artifact, and those of cluster images."""
    from installer_stub.commands.inspect import add_options

    parser.epilog = _EPILOG
    parser.add_argument("bundle", metavar="FILE|NAME", help="an artifact, or a cluster image")
    add_options(parser)
    add_platform(parser)
    add_cache(parser)


def run(arguments: Namespace) -> int:
    """Do it. Raises UsageError, BundleError, ClusterImageError, RegistryError."""
    if not is_file(arguments.bundle):
        return _image(arguments)
    from installer_stub.commands.inspect import run as look

    arguments.bundle = Path(arguments.bundle)
    return look(arguments)


def _image(arguments: Namespace) -> int:
    from bundler.cluster_images.description import describe, facts, lines
    from bundler.cluster_images.reading import cluster_view
    from installer_stub.ui.printable import json_text, printable, say
    from installer_stub.values.schema import lines_of

    images = images_of(arguments)
    image = images.find(arguments.bundle)
    contents = contents_of(images, image, arguments)
    with cluster_view(contents, images.blobs, whole=False) as view:
        found = describe(image, contents, view)
    if arguments.json:
        say(json_text(facts(found), indent=1))
        return 0
    for line in lines_of(found.schema) if arguments.values else lines(found):
        say(printable(line, lines=False))
    return 0
