"""``images``: the cluster images of this machine's store."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from bundler.verbs.stored import add_cache, images_of

if TYPE_CHECKING:
    from bundler.cluster_images.store import ClusterImage, ClusterImages

_EPILOG = """\
examples:
  airseal images
  airseal images --json | jq -r '.[] | select(.kubernetes == "v1.36.3").name'

Builds put their cluster image here, under the name that -t gave; so do airseal pull, load and tag. It is an OCI image beside docker's: FROM
takes it on any machine, airseal push and save hand it on. A size counts everything that travels, also what other images have too.

exit codes: 0 done, 2 usage, 6 the store cannot be read"""


def define(parser: ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_cache(parser)


def run(arguments: Namespace) -> int:
    """Print them. Raises UsageError, StoreError."""
    from installer_stub.ui.printable import json_text, printable, say

    images = images_of(arguments)
    rows = [_facts(images, image) for image in images.all()]
    if arguments.json:
        say(json_text(rows, indent=1))
        return 0
    for line in _table(rows) or [f"there is no cluster image in {images.cache}: airseal build makes one, airseal pull and load bring one"]:
        say(printable(line, lines=False))
    return 0


def _facts(images: ClusterImages, image: ClusterImage) -> dict[str, Any]:
    from bundler.cluster_images.contents import read_contents
    from bundler.errors import ClusterImageError
    from bundler.kubefile.dockerfile import KUBERNETES_LABEL
    from registry_snapshot.errors import RegistryError

    facts: dict[str, Any] = {"name": image.name, "reference": str(image.reference), "digest": str(image.descriptor.digest), "time": image.time}
    try:
        parts = images.parts(image)
        contents = read_contents(images.blobs, image.descriptor)
    except (ClusterImageError, RegistryError) as error:
        return {**facts, "size": None, "kubernetes": "", "platforms": [], "problem": error.problem}
    versions = dict.fromkeys(each.config.labels.get(KUBERNETES_LABEL, "") for each in contents)
    platforms = [str(each.config.platform) for each in contents]
    return {**facts, "size": sum(part.size for part in parts), "kubernetes": ", ".join(filter(None, versions)), "platforms": platforms, "problem": None}


def _table(rows: list[dict[str, Any]]) -> list[str]:
    import time

    from bundler.cluster_images.names import short_digest
    from installer_stub.ui.transfer import size

    if not rows:
        return []
    table = [("NAME", "DIGEST", "KUBERNETES", "PLATFORM", "SIZE", "SINCE")]
    for row in rows:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(row["time"]))
        big = size(row["size"]) if row["size"] is not None else "damaged"
        table.append((row["name"], short_digest(row["digest"]), row["kubernetes"] or "-", ", ".join(row["platforms"]) or "-", big, when))
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    found = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in table]
    return [*found, *(f"{row['name']}: {row['problem']}" for row in rows if row["problem"])]
