"""Fixtures: a registry that takes pushes, and a pusher that waits for nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from registry_snapshot.oci.reference import Repository
from registry_snapshot.push.pusher import Parcel, Pushed, Pusher
from registry_snapshot.record.credentials import DockerCredentials
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.record.upstreams import Upstreams
from registry_snapshot.store.disk import DiskBlobStore
from tests.fakes.taking_registry import TakingRegistry
from tests.unit.registry_snapshot.conftest import Naps

Push = Callable[..., Pushed]
PATH = "team/app"


@pytest.fixture
def registry() -> Iterator[TakingRegistry]:
    with TakingRegistry() as registry:
        yield registry


@pytest.fixture
def push(registry: TakingRegistry, blobs: DiskBlobStore, naps: Naps) -> Iterator[Push]:
    """Push parcels; whatever happens, what a person was told adds up to what there was, or to no more."""
    mirrors = Mirrors(private=("127.0.0.1",))
    with Upstreams(mirrors, DockerCredentials(), sleep=naps.sleep, clock=naps.clock, proxies={}, read_seconds=5) as upstreams:

        def make(*parcels: Parcel, path: str = PATH, mount: str = "") -> Pushed:
            told: list[int] = []
            pusher = Pusher(upstreams, blobs, progress=told.append)
            mounts = {digest: Repository.of(registry.name, mount) for digest in blobs.digests()} if mount else {}
            pushed = pusher.push(Repository.of(registry.name, path), parcels, mounts)
            assert sum(told) == pusher.size(parcels)
            return pushed

        yield make
