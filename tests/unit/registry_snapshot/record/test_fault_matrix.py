"""Whatever an upstream does: the right bytes are stored, or a named error says why not and nothing is stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_snapshot.errors import UpstreamCorrupt
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.media_types import OCI_LAYER_GZIP
from registry_snapshot.oci.reference import Repository
from registry_snapshot.record.upstream import Traffic, Upstream
from registry_snapshot.store.disk import DiskBlobStore
from tests.unit.registry_snapshot.record.conftest import SECRET, Dial
from tests.unit.registry_snapshot.record.fault_table import CASES, Case, Refused, Stored
from tests.unit.registry_snapshot.record.faults import OK, Site, for_ever
from tests.unit.registry_snapshot.serve.conftest import eventually

APP = Repository.of("docker.io", "team/app")


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
    assert eventually(lambda: bool(site.raw.requests))  # on a busy machine a client whose patience is short is gone before it is read
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
