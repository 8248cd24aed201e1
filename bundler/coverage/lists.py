"""Lists of images below ``/cluster``: ``images.txt`` and ``images.d/*.txt``, one entry a line, ``#`` begins a comment.

::

    quay.io/team/tool:1.4                           in, although nobody pulls it
    blocked: docker.io/team/demo:1  # why           out, although something names it; the reason is demanded
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from bundler.cluster.usage import recorded_name
from bundler.coverage.candidates import names_of
from bundler.errors import BuildFailed, KubefileError
from installer_stub.bundle.coverage import Blocked
from installer_stub.bundle.file_content import read_content
from installer_stub.bundle.model import BALANCER_LABEL, ClusterFile
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.reference import Reference
from registry_snapshot.store.base import BlobReader

FILE: Final = "images.txt"
_MORE: Final = re.compile(r"images\.d/[^/]+\.txt")
_MAX_FILE: Final = 1 << 20  # bytes
_BLOCKED: Final = "blocked:"
_EXAMPLE: Final = "write for example: blocked: docker.io/team/demo:1  # only in the manual's example"


@dataclass(frozen=True, slots=True)
class Lists:
    """What lists say: (where, reference) of what is in, and what is kept out."""

    listed: tuple[tuple[str, Reference], ...] = ()
    blocked: tuple[Blocked, ...] = ()

    def __add__(self, other: Lists) -> Lists:
        """Return both; what is the same in both once, as the first says it."""
        listed = {reference: where for where, reference in (*other.listed, *self.listed)}
        blocked = {each.reference: each for each in (*other.blocked, *self.blocked)}
        return Lists(tuple((where, reference) for reference, where in listed.items()), tuple(blocked.values()))

    def check(self) -> None:
        """Raise KubefileError for an image that one line lists and another blocks."""
        places = {name: where for where, reference in self.listed for name in names_of(reference)}
        for each in self.blocked:
            if where := places.get(each.reference):
                file, _, line = each.where.rpartition(":")
                raise KubefileError(file or each.where, int(line) if line.isdigit() else 0, f"{each.reference} is blocked here, and {where} lists it", "remove one of the two lines")


def lists_of(files: Iterable[ClusterFile], blobs: BlobReader) -> Lists:
    """Return what the cluster files list. Raises KubefileError."""
    found = Lists()
    for file in sorted(files, key=lambda file: file.path):
        if file.path == FILE or _MORE.fullmatch(file.path):
            found += parse_list(_text(file, blobs), file.path)
    return found


def balancer_image(labels: Mapping[str, str]) -> tuple[tuple[str, Reference], ...]:
    """Return why and the reference of the image that the label names: the recorded cluster has one host, and none of it runs.

    The label is the only place that names it, so what the installer reads there is always in the bundle. Raises BuildFailed.
    """
    name = labels.get(BALANCER_LABEL, "")
    if not name:
        return ()
    try:
        return (("load balancer of the nodes", Reference.parse(name)),)
    except RegistryError as error:
        raise BuildFailed(f"label {BALANCER_LABEL}: {error.problem}", "name an image, for example docker.io/library/haproxy:3.0.11") from None


def parse_list(text: str, file: str = FILE) -> Lists:
    """Return what one list says, with the line of each. Raises KubefileError for a line that says nothing known."""
    listed: list[tuple[str, Reference]] = []
    blocked: list[Blocked] = []
    for number, line in enumerate(text.splitlines(), 1):
        entry, _, comment = (part.strip() for part in line.partition("#"))
        if not entry:
            continue
        where = f"{file}:{number}"
        try:
            if not entry.startswith(_BLOCKED):
                listed.append((where, Reference.parse(entry)))  # with the tag beside a digest: it is kept, too
                continue
            reference = recorded_name(entry.removeprefix(_BLOCKED).strip())
        except RegistryError as error:
            raise KubefileError(file, number, error.problem, error.remedy) from None
        if not comment:
            raise KubefileError(file, number, f"{reference} is blocked without a reason", _EXAMPLE)
        blocked.append(Blocked(reference, comment, where))
    return Lists(tuple(listed), tuple(blocked))


def _text(file: ClusterFile, blobs: BlobReader) -> str:
    if file.size > _MAX_FILE:
        raise KubefileError(file.path, 0, f"has {file.size} bytes; a list of images has fewer than {_MAX_FILE}", "list images in it, and nothing else")
    return read_content(file, blobs).decode("utf-8", "replace")
