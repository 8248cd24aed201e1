"""That a network is here is proved by its bridge, never by an address that many machines have."""

from __future__ import annotations

import pytest

from bundler.lab import way
from bundler.lab.way import is_here


def test_a_bridge_of_that_name_is_the_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    bridges = {"br-0123456789ab": 7}

    def index(name: str) -> int:
        if name not in bridges:
            raise OSError(19, "no interface with this name")
        return bridges[name]

    monkeypatch.setattr(way.socket, "if_nametoindex", index)
    assert is_here("0123456789abcdef")
    assert not is_here("fedcba9876543210")
    bridges["br-"] = 8
    assert not is_here("")
