"""An answer on its way: who takes too little of it has to go."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from registry_snapshot.serve.bodies import PACE_BYTES, Outgoing
from registry_snapshot.serve.messages import ExtentSlice
from registry_snapshot.store.base import Extent


class Dribbling:
    """A transport whose client takes ``piece`` bytes each time it is waited for."""

    def __init__(self, piece: int) -> None:
        self._piece = piece
        self._room = 0

    def more(self) -> None:
        self._room = self._piece

    def push(self, data: memoryview, *, more: bool) -> int:
        del more
        return self._took(len(data))

    def push_file(self, fd: int, place: int, count: int) -> int:
        del fd, place
        return self._took(count)

    def _took(self, count: int) -> int:
        if not self._room:
            raise BlockingIOError
        taken = min(count, self._room)
        self._room -= taken
        return taken

    def turn(self, patience: float) -> Any:
        from contextlib import nullcontext

        del patience
        return nullcontext()

    def others_wait(self) -> bool:
        return False

    def flush(self) -> None:
        """Nothing is left."""


@pytest.mark.parametrize(("piece", "drips"), [(1, True), (PACE_BYTES // 70, True), (PACE_BYTES // 50, False), (PACE_BYTES, False)])
def test_a_client_that_takes_a_byte_now_and_then_has_to_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int, *, drips: bool) -> None:
    """Once a second for ten minutes; the limit is one minute for PACE_BYTES."""
    path = tmp_path / "blob"
    path.write_bytes(bytes(1 << 20))
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    transport: Any = Dribbling(piece)
    outgoing = Outgoing(b"", ExtentSlice(Extent(os.open(path, os.O_RDONLY), 0, 1 << 20), 0, 1 << 20), lambda count: None)
    found = []
    for _ in range(600):
        transport.more()
        if outgoing.send(transport):
            break
        found.append(outgoing.drips(60))
        clock[0] += 1
    outgoing.close()
    assert any(found) == drips
    assert not any(found[:60])
