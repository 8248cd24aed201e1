"""Lists of a base and of its child add up, although a child's ``images.txt`` hides the base's file.

As with CMD, an image carries what it lists in a label; a child's image inherits it with its FROM. What the child's own files
say comes over that.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from bundler.coverage.candidates import names_of
from bundler.coverage.lists import FILE, Lists, parse_list
from bundler.engine import Engine, ImageInfo
from bundler.errors import BuildFailed, KubefileError
from bundler.kubefile.context import context_tar
from bundler.kubefile.dockerfile import LABEL_PREFIX
from installer_stub.bundle.coverage import Blocked
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.reference import Reference

IMAGES_LABEL: Final = f"{LABEL_PREFIX}images"
_MAX_ARCHIVE: Final = 4 << 20  # bytes of lists in a base


def inherited(image: ImageInfo) -> Lists:
    """Return what an image and its bases list. Raises BuildFailed for a label that we did not write."""
    text = image.labels.get(IMAGES_LABEL, "")
    try:
        value = json.loads(text) if text else {"listed": [], "blocked": []}
        listed = tuple((str(where), Reference.parse(str(name))) for where, name in value["listed"])
        blocked = tuple(Blocked(Reference.parse(str(name)), str(reason), str(where)) for where, name, reason in value["blocked"])
    except (ValueError, KeyError, TypeError, RegistryError) as error:
        raise BuildFailed(f"the image's label {IMAGES_LABEL} cannot be read: {str(error)[:200]}", "build its base again with this airseal") from None
    return Lists(listed, blocked)


def read_lists(engine: Engine, name: str, title: str, marks: Mapping[str, str]) -> Lists:
    """Return what the files of an image list that carries no label: one that plain docker built.

    ``title`` is what the image is called in reasons; ``marks`` are labels of the container that is made for a moment. Raises
    KubefileError, BuildFailed.
    """
    image = engine.image(name)
    found = Lists()
    if image is None or IMAGES_LABEL in image.labels:
        return found
    for path in (FILE, "images.d"):
        for file, text in _texts(engine, image, path, marks):
            found += parse_list(text, file)
    return _titled(found, title)


def over(own: Lists, base: Lists) -> Lists:
    """Return both. A child may list what its base blocks, and block what its base lists."""
    said = {name for _, reference in own.listed for name in names_of(reference)} | {each.reference for each in own.blocked}
    listed = tuple(entry for entry in base.listed if said.isdisjoint(names_of(entry[1])))
    return Lists((*own.listed, *listed), (*own.blocked, *(each for each in base.blocked if each.reference not in said)))


def carry(engine: Engine, image: ImageInfo, own: Lists, base: Lists, *, tag: str, title: str, platform: str) -> Lists:
    """Return what ``image`` lists with its bases, and make its ``tag`` carry it for those who build on it.

    ``base`` is what files of its base list, where that has no label. ``title`` is what the image is called there. Raises KubefileError, BuildFailed.
    """
    own.check()
    base = over(inherited(image), base)
    lists = over(own, base)
    text = label_of(over(_titled(own, title), base))
    if (lists.listed or lists.blocked) and text != image.labels.get(IMAGES_LABEL, ""):
        # The engine's own API: no file of the image changes, so nothing that BuildKit knows better is asked for.
        engine.build(context_tar(Path(), (), f"FROM {image.id}\n"), tag=tag, output=lambda _: None, labels={IMAGES_LABEL: text}, platform=platform)
    return lists


def label_of(lists: Lists) -> str:
    """Return the label's text."""
    listed = [[where, str(reference)] for where, reference in lists.listed]
    blocked = [[each.where, str(each.reference), each.reason] for each in lists.blocked]
    return json.dumps({"listed": listed, "blocked": blocked})


def _texts(engine: Engine, image: ImageInfo, path: str, marks: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield name and text of the lists at ``path`` in an image, a file or a directory; nothing if there is none."""
    try:
        with engine.archive(image.id, f"/cluster/{path}", marks) as pieces:
            data = bytearray()
            for piece in pieces:
                data += piece
                if len(data) > _MAX_ARCHIVE:
                    raise KubefileError(path, 0, f"has more than {_MAX_ARCHIVE >> 20} MiB in the base", "list images in it, and nothing else")
    except BuildFailed:
        return
    with tarfile.open(fileobj=io.BytesIO(bytes(data))) as tar:
        for entry in tar:
            name = entry.name if path == FILE else f"images.d/{entry.name.rpartition('/')[2]}"
            source = tar.extractfile(entry) if entry.isreg() and name.endswith(".txt") else None
            if source is not None:
                yield name, source.read().decode("utf-8", "replace")


def _titled(own: Lists, title: str) -> Lists:
    listed = tuple((f"{title}: {where}", reference) for where, reference in own.listed)
    return Lists(listed, tuple(Blocked(each.reference, each.reason, f"{title}: {each.where}") for each in own.blocked))

