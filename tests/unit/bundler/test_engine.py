"""Docker's troubles arrive as errors a person can act on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import docker.errors
import pytest
import requests

from bundler.engine import Engine, docker_errors, missing
from bundler.errors import BuildFailed, DockerError, DockerMissing


class FakeApi:
    """The part of docker's APIClient that Engine uses."""

    def __init__(self, events: list[dict[str, Any]] | None = None, image: dict[str, Any] | None = None) -> None:
        self.events, self.value = events or [], image
        self.removed: list[str] = []
        self.inspected: list[str] = []
        self.archive_error: Exception | None = None

    def build(self, **_: Any) -> Iterator[dict[str, Any]]:
        return iter(self.events)

    def inspect_image(self, name: str) -> dict[str, Any]:
        self.inspected.append(name)
        if self.value is None:
            raise docker.errors.ImageNotFound(name)
        return self.value

    def create_container(self, *_: Any, **__: Any) -> dict[str, str]:
        return {"Id": "c1"}

    def get_archive(self, *_: Any, **__: Any) -> tuple[Iterator[bytes], dict[str, Any]]:
        if self.archive_error:
            raise self.archive_error
        return iter([b"tar"]), {}

    def remove_container(self, container: str, **_: Any) -> None:
        self.removed.append(container)


class FakeClient:
    def __init__(self, api: FakeApi) -> None:
        self.api = api


def engine(api: FakeApi) -> Engine:
    return Engine(FakeClient(api))  # type: ignore[arg-type]


IMAGE = {
    "Id": "sha256:1",
    "Os": "linux",
    "Architecture": "arm64",
    "Variant": "v8",
    "Size": 5,
    "Config": {"Labels": {"a": "b"}, "Env": ["PATH=/bin", "A=b=c"]},
}


def test_an_image_is_a_value() -> None:
    image = engine(FakeApi(image=IMAGE)).image("x")
    assert image is not None
    assert (image.id, image.platform, image.environment) == ("sha256:1", "linux/arm64/v8", {"PATH": "/bin", "A": "b=c"})
    assert engine(FakeApi(image={**IMAGE, "Config": None})).image("x") is not None
    assert engine(FakeApi()).image("x") is None


def test_build_output_without_bookkeeping_and_colours() -> None:
    events = [
        {"stream": "Step 1/2 : FROM x\n"},
        {"stream": " ---> 1234\n"},
        {"stream": "\x1b[91mwarning\x1b[0m\n"},
        {"status": "Pulling from x"},
        {"stream": "Removing intermediate container 12\n ---> 34\n"},
        {"aux": {"ID": "sha256:1"}},
        {"stream": "Successfully built 1234\n"},
    ]
    said: list[str] = []
    api = FakeApi(events, IMAGE)
    engine(api).build(iter(()), tag="t", output=said.append)
    assert api.inspected == ["sha256:1"]  # not the tag, which another build may have moved
    assert said == ["Step 1/2 : FROM x", "warning", "Pulling from x"]


def test_docker_s_error_event_fails_the_build() -> None:
    with pytest.raises(BuildFailed, match="COPY failed"):
        engine(FakeApi([{"error": "COPY failed: x\n"}], IMAGE)).build(iter(()), tag="t", output=print)


def test_the_helper_container_is_always_removed() -> None:
    api = FakeApi()
    with engine(api).archive("image", "/cluster", {}) as stream:
        assert list(stream) == [b"tar"]
    assert api.removed == ["c1"]
    with pytest.raises(KeyboardInterrupt), engine(api).archive("image", "/cluster", {}):
        raise KeyboardInterrupt
    assert api.removed == ["c1", "c1"]


def test_an_image_without_the_directory() -> None:
    api = FakeApi()
    api.archive_error = docker.errors.NotFound("no such path")
    with pytest.raises(BuildFailed, match="the image has no /cluster"), engine(api).archive("image", "/cluster", {}):
        pass
    assert api.removed == ["c1"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (docker.errors.APIError("500", explanation="write /x: no space left on device"), "free space where docker keeps its data"),
        (docker.errors.APIError("500", explanation="lookup registry-1.docker.io: no such host"), "could not reach a registry"),
        (docker.errors.APIError("500", explanation="strange"), "journalctl -u docker"),
        (requests.ConnectionError("gone"), "docker info"),
        (docker.errors.DockerException("odd"), "docker info"),
    ],
)
def test_every_trouble_has_a_remedy(error: Exception, words: str) -> None:
    with pytest.raises(DockerError) as caught, docker_errors("docker cannot do it"):
        raise error
    assert "docker cannot do it" in caught.value.problem
    assert words in caught.value.remedy


def test_no_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(DockerMissing, match="no docker engine answers") as caught:
        Engine.connect()
    assert "systemctl start docker" in caught.value.remedy


@pytest.mark.parametrize(
    ("error", "problem", "remedy"),
    [
        ("('Connection aborted.', FileNotFoundError(2, 'No such file or directory'))", "no docker engine answers", "install Docker Engine"),
        ("('Connection aborted.', PermissionError(13, 'Permission denied'))", "this user may not use it", "group docker"),
        ("client version 1.52 is too new", "no docker engine answers: client version 1.52 is too new", "docker info"),
    ],
)
def test_why_there_is_no_docker(error: str, problem: str, remedy: str) -> None:
    found = missing(docker.errors.DockerException(error))
    assert problem in found.problem
    assert "FileNotFoundError" not in found.problem
    assert remedy in found.remedy
