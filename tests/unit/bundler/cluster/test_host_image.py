"""The image of the hosts: built once, on an image that may have to come by another way than docker's own."""

from __future__ import annotations

from typing import Any

import pytest

from bundler.cluster.host_image import host_image, host_tag
from bundler.errors import ClusterFailed
from tests.unit.bundler.reporter import Remembering


class Docker:
    """An engine that knows names of images."""

    def __init__(self, *here: str) -> None:
        self.here = {*here}

    def image(self, name: str) -> str | None:
        return name if name in self.here else None

    def build(self, _context: Any, *, tag: str, output: Any) -> None:
        if "debian:bookworm-slim" not in self.here:
            raise ClusterFailed("pull access denied", "")
        self.here.add(tag)


def test_what_it_stands_on_is_supplied_before_it_is_built_and_never_again() -> None:
    docker, asked = Docker(), list[str]()

    def supply(name: str) -> None:
        asked.append(name)
        docker.here.add(name)

    assert host_image(docker, Remembering(), "", supply) == host_tag()  # type: ignore[arg-type]
    assert host_image(docker, Remembering(), "", supply) == host_tag()  # type: ignore[arg-type]
    assert asked == ["debian:bookworm-slim"]


def test_without_it_the_remedy_is_another_image() -> None:
    with pytest.raises(ClusterFailed, match="pull access denied") as caught:
        host_image(Docker(), Remembering())  # type: ignore[arg-type]
    assert "--build-host-image" in caught.value.remedy
    with pytest.raises(ClusterFailed, match="docker has no image mine"):
        host_image(Docker(), Remembering(), "mine")  # type: ignore[arg-type]
