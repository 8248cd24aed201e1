"""Blocking: what ``blocked: NAME  # reason`` keeps out beyond that very name."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from bundler.cluster.usage import recorded_name
from bundler.coverage.candidates import Found, tag_beside_digest
from registry_snapshot.oci.reference import Reference


def as_blocked(found: Iterable[Found], blocked: Collection[Reference]) -> Iterable[Found]:
    """Yield what was found; ``name:tag@digest`` as ``name:tag`` where that is blocked: who keeps a tag out means its content, too."""
    for each in found:
        tag = tag_beside_digest(each.text)
        yield replace(each, text=str(tag)) if tag in blocked else each


def pulled(blocked: Collection[Reference], ran: Iterable[Found], recorded: Collection[Reference]) -> list[Reference]:
    """Return what is blocked and recorded all the same, under its name or as ``name:tag@digest`` of a container that ``ran``."""
    pinned = {tag for each in ran if (tag := tag_beside_digest(each.text)) and recorded_name(each.text) in recorded}
    return [name for name in blocked if name in recorded or name in pinned]
