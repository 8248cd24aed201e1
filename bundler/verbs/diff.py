"""``diff``: what is different between two artifacts, or between two cluster images; nothing is executed."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.verbs.stored import add_cache, add_platform, contents_of, images_of, is_file

if TYPE_CHECKING:
    from bundler.cluster_images.difference import Compared

_EPILOG = """\
examples:
  airseal diff shop-1.4.0.run shop-1.5.0.run
  airseal diff old.run new.run --json | jq -r '.differences[] | select(.kind == "image").name'
  airseal diff old.run new.run --exit-code && echo the same for a site
  airseal diff shop:1.4.0 shop:1.5.0       cluster images: files of /cluster, commands, lists, labels

Of files: images, cluster files, commands, environment, labels; installer and publishers, which are no part of what a site gets. What is
compared are the documents of both files, each checked by its digest: whether every byte of a file is right, airseal verify says. Of cluster
images (airseal images) all layers are read and hashed.

exit codes: 0 done, 1 with --exit-code if the content is another one, 2 usage, 3 a file is altered or no artifact, 6 there is no such cluster
image, or it cannot be read"""


def define(parser: ArgumentParser) -> None:
    """Add the options: those of the verb of the same name in every artifact, and those of cluster images."""
    from installer_stub.commands.diff import add_options

    parser.epilog = _EPILOG
    parser.add_argument("before", metavar="OLD", help="an artifact, or a cluster image")
    parser.add_argument("bundle", metavar="NEW", help="another one of the same kind")
    add_options(parser)
    add_platform(parser)
    add_cache(parser)


def run(arguments: Namespace) -> int:
    """Do it. Raises UsageError, BundleError, ClusterImageError, RegistryError."""
    from bundler.errors import UsageError

    files = [is_file(text) for text in (arguments.before, arguments.bundle)]
    if not any(files):
        return _images(arguments)
    if not all(files):
        raise UsageError("a file and a cluster image are not compared", "name two files or two cluster images (airseal images)")
    from installer_stub.commands.diff import run as look

    arguments.before, arguments.bundle = Path(arguments.before), Path(arguments.bundle)
    return look(arguments)


def _images(arguments: Namespace) -> int:
    from bundler.cluster_images.description import describe
    from bundler.cluster_images.difference import compare
    from bundler.cluster_images.reading import cluster_view
    from installer_stub.commands.diff import OTHER, facts_of
    from installer_stub.ui.printable import json_text, say

    images = images_of(arguments)
    before, after = (images.find(name) for name in (arguments.before, arguments.bundle))
    first, second = (contents_of(images, image, arguments) for image in (before, after))
    with cluster_view(first, images.blobs, whole=True) as old, cluster_view(second, images.blobs, whole=True) as new:
        found = compare(describe(before, first, old), describe(after, second, new), (old, new))
    if arguments.json:
        say(json_text({"sameContent": found.same, "newBytes": found.new, "sharedBytes": found.shared, "differences": facts_of(found.differences)}, indent=1))
    else:
        _show(f"{before.name} ({before.descriptor.digest}) → {after.name} ({after.descriptor.digest})", found)
    return OTHER if arguments.exit_code and not found.same else 0


def _show(head: str, found: Compared) -> None:
    from installer_stub.commands.diff import lines_of
    from installer_stub.ui.printable import printable, say
    from installer_stub.ui.transfer import size

    content = "the same content" if found.same else "another content"
    for line in (head, f"  {content}; of its layers {size(found.new)} are new, {size(found.shared)} in both", *lines_of(found.differences)):
        say(printable(line, lines=False))
