"""A namespace with a port: containerd sends it percent-encoded, and it is another registry than the one without."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_snapshot.record.credentials import DockerCredentials
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.record.recorder import Recorder
from registry_snapshot.serve.app import RegistryApp
from registry_snapshot.serve.messages import Headers, Request
from registry_snapshot.store.disk import DiskBlobStore
from tests.contract.conftest import Shelf
from tests.unit.registry_snapshot.images import AMD64


@pytest.mark.parametrize(
    ("target", "host", "reference"),
    [
        ("/v2/team/app/manifests/1?ns=quay.io%3A5443", "10.0.0.5:5001", "quay.io:5443/team/app:1"),
        ("/v2/team/app/manifests/1?ns=quay.io", "10.0.0.5:5001", "quay.io/team/app:1"),
        ("/v2/quay.io%3A5443/team/app/manifests/1", "10.0.0.5:5001", "quay.io:5443/team/app:1"),
        ("/v2/team/app/manifests/1", "quay.io", "quay.io/team/app:1"),  # a client that DNS has sent here
        ("/v2/team/app/manifests/1", "registry-1.docker.io", "docker.io/team/app:1"),
        ("/v2/team/app/manifests/1", "master-1.example.com:5001", "docker.io/team/app:1"),
        ("/v2/team/app/manifests/1?ns=quay.io", "registry.k8s.io", "quay.io/team/app:1"),
    ],
)
def test_namespace(tmp_path: Path, shelf: Shelf, target: str, host: str, reference: str) -> None:
    names = ("docker.io", "quay.io", "quay.io:5443")
    mirrors = Mirrors(tuple((name, shelf.upstream.base_for(name)) for name in names))
    blobs = DiskBlobStore(tmp_path / "recorded")
    with Recorder(tmp_path / "record", blobs, mirrors, DockerCredentials(), (AMD64,)) as recorder:
        response = RegistryApp(recorder).handle(Request.of("HEAD", target, Headers([("Host", host)]), "10.0.0.2"))
        assert response.status == 200
        assert [str(image.reference) for image in recorder.finish().images] == [reference]
