"""Whatever an upstream does: the right bytes are stored, or a named error says why not and nothing is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from registry_snapshot.errors import UpstreamCorrupt
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.media_types import OCI_LAYER_GZIP
from registry_snapshot.oci.reference import Reference, Repository
from registry_snapshot.record.credentials import Credentials
from registry_snapshot.record.proxies import Proxies
from registry_snapshot.record.transport import Transport
from registry_snapshot.record.upstream import Traffic, Upstream
from registry_snapshot.serve.app import RegistryApp
from registry_snapshot.store.disk import DiskBlobStore
from registry_snapshot.store.image_set import ImageSet
from tests.fakes.raw_upstream import RawUpstream
from tests.unit.registry_snapshot.conftest import Naps
from tests.unit.registry_snapshot.images import make_image
from tests.unit.registry_snapshot.record.fault_table import CASES, Case, Refused, Stored
from tests.unit.registry_snapshot.record.faults import BLOB, OK, Fault, Site, for_ever

APP = Repository.of("docker.io", "team/app")
SECRET = "never-to-be-shown"
Dial = Callable[[Fault, float], Upstream]


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
        server.fault = None
    return offered


@pytest.fixture(scope="session")
def transports() -> Iterator[Callable[[float], Transport]]:
    """One for each read timeout: reading the system's authorities takes 60 ms, and there are hundreds of rows."""
    made = cache(lambda read_seconds: Transport((), Proxies(), read_seconds))
    yield made
    for row in CASES:
        made(row.read_seconds).close()


@pytest.fixture
def dial(site: Site, naps: Naps, transports: Callable[[float], Transport]) -> Dial:
    def make(fault: Fault, read_seconds: float) -> Upstream:
        site.raw.fault = lambda request, answer: fault(site, request, answer)
        transport = transports(read_seconds)
        transport.close()  # what an earlier row left open is not this one's
        login = Credentials("me", SECRET)
        base = f"{site.raw.url}/v2"
        return Upstream("docker.io", base, transport, lambda: login, sleep=naps.sleep, clock=naps.clock)

    return make


def files(blobs: DiskBlobStore) -> list[Path]:
    return [path for path in blobs.root.rglob("*") if path.is_file()]


def fetch(remote: Upstream, blobs: DiskBlobStore, target: str, site: Site) -> Traffic:
    """Fetch and store as the recorder does."""
    if target == "blob":
        wanted = site.image.layers[0]
        with blobs.ingest(wanted.digest) as writer:
            return remote.blob(APP, wanted, writer)
    fetched = remote.manifest(APP, "1" if target == "tag" else str(site.image.descriptor.digest))
    with blobs.ingest(fetched.descriptor.digest) as writer:
        writer.write(fetched.raw)
        writer.commit()
    return fetched.traffic


ROWS = [
    pytest.param(row, target, id=f"{row.name}: {target}")
    for row in CASES
    for target in ("tag", "digest", "blob")
    if getattr(row, target) is not None
]


@pytest.mark.parametrize(("row", "target"), ROWS)
def test_right_bytes_or_a_named_error_and_nothing(site: Site, dial: Dial, blobs: DiskBlobStore, row: Case, target: str) -> None:
    expected = getattr(row, target)
    wanted = site.image.layers[0] if target == "blob" else site.image.descriptor
    remote = dial(row.fault, row.read_seconds)
    if isinstance(expected, Stored):
        traffic = fetch(remote, blobs, target, site)
        assert [path.name for path in files(blobs)] == [wanted.digest.encoded]
        assert Digest.of(blobs.read(wanted.digest)) == wanted.digest
        assert traffic.bytes >= wanted.size
        assert expected.retries in {None, traffic.retries}
    else:
        assert isinstance(expected, Refused)
        with pytest.raises(expected.kind) as caught:
            fetch(remote, blobs, target, site)
        error = caught.value
        assert type(error) is expected.kind
        assert expected.words in error.problem
        assert (f"{APP}:1" if target == "tag" else f"{APP}@{wanted.digest}") in error.problem
        assert site.raw.host in error.problem
        assert error.remedy
        assert getattr(error, "status", 0) == expected.status
        assert SECRET not in str(error)
        assert files(blobs) == []
    assert {request.method for request in site.raw.requests} == {"GET"}
    assert [request.headers.get("Authorization") for request in site.elsewhere.requests] in ([], [None])


def test_an_endless_blob_of_unknown_size_has_an_end_too(
    site: Site, dial: Dial, blobs: DiskBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry_snapshot.record.download.MAX_UNKNOWN_BYTES", 1_000_000)
    digest = site.image.layers[0].digest
    remote = dial(for_ever(OK + b"\r\n", b"x" * 65536), 10)
    with pytest.raises(UpstreamCorrupt, match="does not stop sending"), blobs.ingest(digest) as writer:
        remote.blob(APP, Descriptor(OCI_LAYER_GZIP, digest, -1), writer)
    assert files(blobs) == []
    assert len(site.raw.requests) == 1
