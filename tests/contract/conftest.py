"""The same images behind every kind of content, and the same questions to it over every kind of wire."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from installer_stub.bundle.content import BundleContent
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.media_types import OCI_LAYER, OCI_NONDISTRIBUTABLE
from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.credentials import DockerCredentials
from registry_snapshot.record.recorder import Recorder
from registry_snapshot.serve.app import RegistryApp
from registry_snapshot.serve.http_server import RegistryServer
from registry_snapshot.serve.messages import Headers, Request
from registry_snapshot.store.base import RegistryContent
from registry_snapshot.store.disk import DiskBlobStore
from tests.unit.registry_snapshot.artifacts import SBOM, SIGNATURE, list_of, make_artifact, put_as
from tests.unit.registry_snapshot.conftest import Authority, authority, mirrors_for
from tests.unit.registry_snapshot.images import AMD64, ARM64, Image, make_image, make_index, noise
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

# Of these the content has images, and a client that DNS sends here names one of them as Host.
OWN_REGISTRIES = frozenset({"registry.corp", "localhost:5000"})


@dataclass(frozen=True)
class Shelf:
    """What is published, so that tests can name it."""

    upstream: FakeUpstream
    image: Image
    index: Descriptor
    quay: Image
    docker: Image
    large: Image
    others: dict[str, Descriptor]

    def raw(self, descriptor: Descriptor) -> bytes:
        return self.upstream.blobs.read(descriptor.digest, limit=1 << 30)


@dataclass(frozen=True)
class Part:
    """Some of the images: what one artifact would hold."""

    blobs: DiskBlobStore
    roots: tuple[tuple[Reference, Descriptor], ...]


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """Publish registries with the same path, a sparse index, Docker types, a layer larger than a socket's buffer, and oddities."""
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
        for registry in ("quay.io", "registry.gitlab.com", "registry.corp"):
            upstream.tag(f"{registry}/team/app:1", quay.descriptor)
        for name in ("quay.io:5443/team/app:1", "localhost:5000/team/app:1", "registry.gitlab.com/quay.io/team/app:1"):
            upstream.tag(name, docker.descriptor)
        upstream.tag("registry.k8s.io/pause:3", quay.descriptor)
        others = _oddities(store)
        for name, descriptor in others.items():
            upstream.tag(f"quay.io/odd/{name}:1", descriptor)
        # How cosign names a signature: a tag like any other.
        upstream.tag(f"quay.io/odd/subject:sha256-{others['subject'].digest.encoded}.sig", others["signature"])
        # Untagged ones, which an index leads to.
        listed = [others[name] for name in ("sbom", "image-referrer", "index-referrer")]
        upstream.tag("quay.io/odd/subject:attached", list_of(store, listed))
        yield Shelf(upstream, image, index, quay, docker, large, others)


def _oddities(store: DiskBlobStore) -> dict[str, Descriptor]:
    """Make what is no plain image, but lies in registries."""
    chart = put_as(store, "application/vnd.cncf.helm.config.v1+json", b'{"name":"web"}')
    content = put_as(store, "application/vnd.cncf.helm.chart.content.v1.tar+gzip", noise("chart", 500))
    block = put_as(store, OCI_LAYER, noise("block", 2048))
    wide = put_as(store, OCI_LAYER, noise("wide", 2048), "sha512")
    nothing = put_as(store, OCI_LAYER, b"", "sha512")
    subject = make_artifact(store, [block], artifact_type="application/x.subject")
    return {
        "chart": make_artifact(store, [content], config=chart),
        "no-layers": make_artifact(store, config=put_as(store, SIGNATURE, b"{}{}")),
        "custom": make_artifact(store, [block], more={"org.example.field": {"b": 1, "a": [None, 1.50]}}),
        "vast": make_artifact(store, [block], annotations={"text": "x" * (4 * 1024 * 1024 - 2000)}),
        "wide": list_of(store, [list_of(store, [make_artifact(store, [wide, nothing], algorithm="sha512")], algorithm="sha512")]),
        "foreign": make_artifact(store, [put_as(store, OCI_NONDISTRIBUTABLE, noise("foreign", 300))]),
        "nested": list_of(store, [list_of(store, [make_artifact(store, [block], artifact_type="application/x.inner")])]),
        "subject": subject,
        "sbom": make_artifact(store, [block], artifact_type=SBOM, subject=subject),
        "image-referrer": make_artifact(store, [block], config=chart, subject=subject),
        "index-referrer": list_of(store, [], more={"subject": subject.to_json(), "annotations": {"kind": "list"}}),
        "signature": make_artifact(store, [block], artifact_type=SIGNATURE, subject=subject, annotations={"by": "team", "a": "ä"}),
    }


@pytest.fixture(scope="session", params=["site", "recorder"])
def content(request: pytest.FixtureRequest, shelf: Shelf, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryContent]:
    if request.param == "site":
        # Two artifacts with half of the names each: a repository's images may come from both.
        published = tuple(shelf.upstream.published)
        yield BundleContent([Part(shelf.upstream.blobs, published[::2]), Part(shelf.upstream.blobs, published[1::2])])
        return
    directory = tmp_path_factory.mktemp("recorded")
    names = ("quay.io", "quay.io:5443", "registry.k8s.io", "registry.gitlab.com", *sorted(OWN_REGISTRIES))
    mirrors = mirrors_for(shelf.upstream, *names)
    with Recorder(directory / "record", DiskBlobStore(directory), mirrors, DockerCredentials(), (AMD64,)) as recorder:
        yield recorder


@pytest.fixture(scope="session", params=["direct", "http", "https"])
def wire(request: pytest.FixtureRequest, content: RegistryContent, authority: Authority) -> Iterator[Callable[[], Ask]]:
    """Make something to ask with."""
    app = RegistryApp(content, registries=OWN_REGISTRIES)
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
    connection.putrequest(method, target, skip_host=any(name.lower() == "host" for name, _ in headers))
    for name, value in headers:
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    return Answer(response.status, Headers(response.getheaders()), response.read())
