"""What can never work ends a build in its first second, before anything is downloaded."""

from __future__ import annotations

from typing import Any

import pytest

from bundler.doctor import first
from bundler.doctor.first import check_engine
from bundler.errors import ClusterFailed
from bundler.lab.way import Way


class Engine:
    def __init__(self, *options: str) -> None:
        self.options = options

    def info(self) -> dict[str, Any]:
        return {"SecurityOptions": list(self.options)}


@pytest.mark.parametrize("option", ["name=rootless", "name=userns"])
def test_an_engine_without_rights_is_refused_before_a_network_is_made(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first, "find", lambda *_: pytest.fail("asked for a network"))
    with pytest.raises(ClusterFailed, match="privileged") as caught:
        check_engine(Engine("name=seccomp", option), Way.AUTO)  # type: ignore[arg-type]
    assert "runs as root" in caught.value.remedy


def test_the_way_that_was_asked_for_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Way] = []
    monkeypatch.setattr(first, "find", lambda _engine, way: asked.append(way))
    check_engine(Engine("name=seccomp"), Way.RELAY)  # type: ignore[arg-type]
    assert asked == [Way.RELAY]
