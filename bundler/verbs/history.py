"""``history``: a cluster image layer by layer."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bundler.verbs.stored import NAME_HELP, add_cache, add_platform, contents_of, images_of

if TYPE_CHECKING:
    from bundler.cluster_images.history import Step

_EPILOG = """\
examples:
  airseal history shop:1.4.0
  airseal history shop:1.4.0 --json | jq '[.layers[] | select(.base | not).size] | add'     what the application adds to its base

For each layer: its size as it travels, what it put below /cluster and took away there, the image that it came with, the line that made it.
Which image that was stands in what a build of airseal wrote down; of others it is told where the store has an image that it begins with.

exit codes: 0 done, 2 usage, 6 there is no such cluster image, or it cannot be read"""


def define(parser: ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.add_argument("name", metavar="NAME", help=NAME_HELP)
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_platform(parser)
    add_cache(parser)


def run(arguments: Namespace) -> int:
    """Print it. Raises UsageError, ClusterImageError, RegistryError."""
    from bundler.cluster_images.history import history
    from installer_stub.ui.printable import json_text, printable, say

    images = images_of(arguments)
    image = images.find(arguments.name)
    contents = contents_of(images, image, arguments)
    steps = history(images, image, contents)
    if arguments.json:
        layers = [
            {
                "digest": str(step.layer.digest), "size": step.layer.size, "files": step.files, "filesSize": step.size, "hidden": step.hidden,
                "from": step.origin or None, "base": step.base, "line": step.line,
            }
            for step in steps
        ]  # fmt: skip
        value = {"name": image.name, "digest": str(image.descriptor.digest), "platform": str(contents.config.platform), "layers": layers}
        say(json_text(value, indent=1))
        return 0
    say(printable(f"{image.name}, {image.descriptor.digest}, {contents.config.platform}", lines=False))
    for line in _table(steps):
        say(printable(line, lines=False))
    return 0


def _table(steps: Sequence[Step]) -> Iterator[str]:
    from installer_stub.ui.transfer import size

    rows = [("", "SIZE", "BELOW /cluster", "FROM", "LINE")]
    for number, step in enumerate(steps, 1):
        added = [f"+{step.files}, {size(step.size)}"] if step.files else []
        hidden = [f"-{step.hidden}"] if step.hidden else []
        whose = f"{step.origin} ({'base' if step.base else 'application'})" if step.origin else "not known"
        rows.append((str(number), size(step.layer.size), "; ".join(added + hidden) or "-", whose, " ".join(step.line.split())))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        yield "  " + "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
