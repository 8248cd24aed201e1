"""That a network is here is proved by its bridge, never by an address that many machines have."""

from __future__ import annotations

import pytest

from bundler.errors import ClusterFailed
from bundler.lab import way
from bundler.lab.way import Way, found

HERE, ELSEWHERE = "0123456789abcdef", "fedcba9876543210"


@pytest.mark.parametrize(
    ("network", "wanted", "expected"),
    [
        (HERE, Way.AUTO, Way.DIRECT),
        (HERE, Way.DIRECT, Way.DIRECT),
        (HERE, Way.RELAY, Way.RELAY),
        (ELSEWHERE, Way.AUTO, Way.RELAY),
        (ELSEWHERE, Way.RELAY, Way.RELAY),
        ("", Way.AUTO, Way.RELAY),
        (ELSEWHERE, Way.DIRECT, None),
    ],
)
def test_which_way(network: str, wanted: Way, expected: Way | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(way.socket, "if_nameindex", lambda: [(1, "lo"), (7, "br-0123456789ab"), (8, "br-")])
    if expected is None:
        with pytest.raises(ClusterFailed, match="cannot be reached directly") as caught:
            found(network, wanted)
        assert "relay" in caught.value.remedy
    else:
        assert found(network, wanted) is expected


def test_where_nobody_can_tell_it_is_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[tuple[int, str]]:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(way.socket, "if_nameindex", broken)
    for wanted in (Way.AUTO, Way.DIRECT):
        with pytest.raises(ClusterFailed, match="does not tell"):
            found(HERE, wanted)
    assert found(HERE, Way.RELAY) is Way.RELAY
