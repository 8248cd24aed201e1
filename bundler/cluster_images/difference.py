"""What is different between two cluster images: for hosts (files), on the first master (commands), and in what they say of themselves."""

from __future__ import annotations

from dataclasses import dataclass

from bundler.cluster_images.description import Description
from bundler.cluster_images.reading import ClusterView
from installer_stub.bundle.difference import Difference, changes


@dataclass(frozen=True, slots=True)
class Compared:
    """All of it. ``new`` and ``shared`` are bytes of layers: what the second one has and the first has not, and what both have."""

    same: bool
    differences: tuple[Difference, ...]
    new: int
    shared: int


def compare(before: Description, after: Description, files: tuple[ClusterView, ClusterView]) -> Compared:
    """Return what is different in ``after``; ``same`` is a question of what hosts and the first master get, not of names and digests."""
    content = (
        *changes("bundle", {"kubernetes": before.kubernetes}, {"kubernetes": after.kubernetes}),
        *changes("command", *({str(number): each.text() for number, each in enumerate(found.commands, 1)} for found in (before, after))),
        *changes("environment", before.contents.config.environment, after.contents.config.environment),
        *changes("label", before.labels, after.labels),
        *changes("listed", *({str(reference): where for where, reference in found.lists.listed} for found in (before, after))),
        *changes("blocked", *({str(each.reference): each.reason for each in found.lists.blocked} for found in (before, after))),
        *changes("file", *({file.path: f"{file.digest} {file.mode:04o}" for file in view.files} for view in files)),
    )
    layers = [{layer.digest: layer.size for layer in found.contents.manifest.layers} for found in (before, after)]
    shared = sum(size for digest, size in layers[1].items() if digest in layers[0])
    return Compared(not content, content, sum(layers[1].values()) - shared, shared)
