"""The same images behind every kind of content, and the same questions to it over every kind of wire."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.record.credentials import DockerCredentials
from registry_snapshot.record.recorder import Recorder
from registry_snapshot.serve.app import RegistryApp
from registry_snapshot.serve.http_server import RegistryServer
from registry_snapshot.serve.messages import Headers, Request
from registry_snapshot.store.base import RegistryContent
from registry_snapshot.store.disk import DiskBlobStore
from registry_snapshot.store.image_set import ImageSet
from tests.unit.registry_snapshot.conftest import Authority, authority, mirrors_for
from tests.unit.registry_snapshot.images import AMD64, ARM64, Image, make_image, make_index
from tests.unit.registry_snapshot.upstream_fake import FakeUpstream

__all__ = ["authority"]


@dataclass(frozen=True)
class Answer:
    """What came back, whatever it came over."""

    status: int
    headers: Headers
    body: bytes

    def header(self, name: str) -> str | None:
        return self.headers.get(name)


Ask = Callable[..., Answer]


@dataclass(frozen=True)
class Shelf:
    """What is published, so that tests can name it."""

    upstream: FakeUpstream
    image: Image
    index: Descriptor
    quay: Image
    docker: Image
    large: Image


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """Publish two registries with the same path, a sparse index, Docker types, and a layer larger than a socket's buffer."""
    with FakeUpstream(tmp_path_factory.mktemp("shelf")) as upstream:
        store = upstream.blobs
        image = make_image(store, "amd", AMD64)
        arm = make_image(store, "arm", ARM64)
        index = make_index(store, {AMD64: image, ARM64: arm})
        quay, docker = make_image(store, "quay"), make_image(store, "docker", docker=True)
        large = make_image(store, "large", layer_sizes=(5_000_000,))
        upstream.tag("docker.io/library/busybox:1", index)
        upstream.tag("docker.io/team/app:1", image.descriptor)
        upstream.tag("docker.io/team/app:2", docker.descriptor)
        upstream.tag("docker.io/team/app:10", large.descriptor)
        upstream.tag("quay.io/team/app:1", quay.descriptor)
        upstream.tag("quay.io:5443/team/app:1", docker.descriptor)
        upstream.tag("registry.k8s.io/pause:3", quay.descriptor)
        yield Shelf(upstream, image, index, quay, docker, large)


@pytest.fixture(scope="session", params=["image set", "recorder"])
def content(request: pytest.FixtureRequest, shelf: Shelf, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryContent]:
    if request.param == "image set":
        yield ImageSet(shelf.upstream.blobs, shelf.upstream.published)
        return
    directory = tmp_path_factory.mktemp("recorded")
    mirrors = mirrors_for(shelf.upstream, "quay.io", "registry.k8s.io")
    with Recorder(directory / "record", DiskBlobStore(directory), mirrors, DockerCredentials(), (AMD64,)) as recorder:
        yield recorder


@pytest.fixture(scope="session", params=["direct", "http", "https"])
def wire(request: pytest.FixtureRequest, content: RegistryContent, authority: Authority) -> Iterator[Callable[[], Ask]]:
    """Make something to ask with."""
    app = RegistryApp(content)
    trust = authority if request.param == "https" else None
    with RegistryServer(app, ("127.0.0.1", 0), trust.server if trust else None) as server, ExitStack() as stack:

        def dial() -> Ask:
            if request.param == "direct":
                return lambda method, target, *headers: _direct(app, method, target, headers)
            connection = connect(server, trust.ca_file if trust else None)
            stack.callback(connection.close)
            return lambda method, target, *headers: over(connection, method, target, headers)

        yield dial


@pytest.fixture
def ask(wire: Callable[[], Ask]) -> Ask:
    """Ask ``method, target, *headers`` on a connection of this test's own; header pairs may repeat."""
    return wire()


def _direct(app: RegistryApp, method: str, target: str, headers: tuple[tuple[str, str], ...]) -> Answer:
    response = app.handle(Request.of(method, target, Headers(headers), "10.0.0.2"))
    return Answer(response.status, Headers(response.headers), response.read())


def connect(server: RegistryServer, ca_file: Path | None = None) -> http.client.HTTPConnection:
    _, port = server.address
    if ca_file is None:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=ssl.create_default_context(cafile=ca_file))


def over(connection: http.client.HTTPConnection, method: str, target: str, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """Ask over a connection that stays open: what one answer leaves behind spoils the next."""
    connection.putrequest(method, target)
    for name, value in headers:
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    return Answer(response.status, Headers(response.getheaders()), response.read())
