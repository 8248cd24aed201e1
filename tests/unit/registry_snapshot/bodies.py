"""Reading a blob as a client does: whole, or as it grows."""

from __future__ import annotations

from registry_snapshot.store.base import Extent
from registry_snapshot.store.growth import GrowingExtent


def read_all(extent: Extent | GrowingExtent) -> bytes:
    """Return all of it and close it. Raises GrowthEndedError."""
    with extent:
        if isinstance(extent, Extent):
            return extent.read(extent.size)
        return read_first(extent, extent.size)


def read_first(extent: Extent | GrowingExtent, count: int) -> bytes:
    """Return the first ``count`` bytes, as soon as they are there. Raises GrowthEndedError."""
    assert isinstance(extent, GrowingExtent)
    there = 0
    while there < count:
        there = extent.available(there, 10)
    return extent.read(count, 0)
