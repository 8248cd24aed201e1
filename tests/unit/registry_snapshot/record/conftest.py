"""Fixtures: an upstream on a bare socket that misbehaves as each test wants it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.credentials import Credentials
from registry_snapshot.record.destinations import Destinations
from registry_snapshot.record.proxies import Proxies
from registry_snapshot.record.transport import Transport
from registry_snapshot.record.upstream import Upstream
from registry_snapshot.serve.app import RegistryApp
from registry_snapshot.store.disk import DiskBlobStore
from registry_snapshot.store.image_set import ImageSet
from tests.fakes.raw_upstream import RawUpstream
from tests.unit.registry_snapshot.conftest import LOOPBACK, Naps
from tests.unit.registry_snapshot.images import make_image
from tests.unit.registry_snapshot.record.faults import BLOB, Fault, Site

SECRET = "never-to-be-shown"
Dial = Callable[..., Upstream]


@pytest.fixture(scope="session")
def offered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One upstream for all rows; its fault is set by each."""
    blobs = DiskBlobStore(tmp_path_factory.mktemp("offered"))
    image, other = make_image(blobs, "a", layer_sizes=(BLOB,)), make_image(blobs, "b")
    published = [(Reference.parse(f"team/app:{tag}"), made.descriptor) for tag, made in (("1", image), ("2", other))]
    app = RegistryApp(ImageSet(blobs, published))
    with RawUpstream(app) as raw, RawUpstream(app) as elsewhere:
        yield Site(raw, elsewhere, image, other)


@pytest.fixture
def site(offered: Site) -> Site:
    for server in (offered.raw, offered.elsewhere):
        server.requests.clear()
        server.connections = 0
        server.fault = None
    return offered


@pytest.fixture(scope="session")
def transports() -> Iterator[Callable[[float], Transport]]:
    """One for each read timeout: reading the system's authorities takes 60 ms, and there are hundreds of rows."""
    known: dict[float, Transport] = {}

    def made(read_seconds: float) -> Transport:
        if read_seconds not in known:
            known[read_seconds] = Transport((), Proxies(), read_seconds, Destinations(private=LOOPBACK))
        return known[read_seconds]

    yield made
    for transport in known.values():
        transport.close()


@pytest.fixture
def dial(site: Site, naps: Naps, transports: Callable[[float], Transport]) -> Dial:
    def make(fault: Fault, read_seconds: float = 10) -> Upstream:
        site.raw.fault = lambda request, answer: fault(site, request, answer)
        transport = transports(read_seconds)
        transport.close()  # what an earlier row left open is not this one's
        login = Credentials("me", SECRET)
        base = f"{site.raw.url}/v2"
        return Upstream("docker.io", base, transport, lambda: login, sleep=naps.sleep, clock=naps.clock)

    return make
