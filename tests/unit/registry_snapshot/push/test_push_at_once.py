"""Blobs side by side: over few connections, and the first that fails ends the rest."""

from __future__ import annotations

import threading

import pytest

from registry_snapshot.errors import PushDenied
from registry_snapshot.push.pusher import AT_ONCE, Parcel
from registry_snapshot.store.disk import DiskBlobStore
from tests.fakes.taking_registry import Asked, Said, TakingRegistry
from tests.unit.registry_snapshot.images import make_image
from tests.unit.registry_snapshot.push.conftest import PATH, Push

SIZES = tuple(range(100_000, 112_000, 1000))


def test_a_connection_is_used_again_for_everything_that_follows(registry: TakingRegistry, blobs: DiskBlobStore, push: Push) -> None:
    """A TLS handshake for each HEAD, POST and PUT would take longer than most layers."""
    image = make_image(blobs, "app", layer_sizes=SIZES)
    push(Parcel(image.descriptor, "1"))
    push(Parcel(image.descriptor, "2"))
    assert len(registry.asked) > 4 * len(SIZES)
    assert registry.connections <= AT_ONCE


def test_an_answer_with_a_body_that_nobody_reads_is_no_beginning_of_the_next(registry: TakingRegistry, blobs: DiskBlobStore, push: Push) -> None:
    image = make_image(blobs, "app", layer_sizes=SIZES)
    registry.fault = lambda asked: Said(404, message="x" * 200_000) if asked.method == "HEAD" else None
    push(Parcel(image.descriptor, "1"))
    assert registry.manifests[PATH, "1"] == blobs.read(image.descriptor.digest)


def test_the_first_refusal_ends_the_rest_and_nothing_is_tagged(registry: TakingRegistry, blobs: DiskBlobStore, push: Push) -> None:
    image = make_image(blobs, "app", layer_sizes=SIZES)
    refused = threading.Event()

    def refuse(asked: Asked) -> Said | None:
        if asked.method == "PUT" and asked.length == max(SIZES):
            refused.set()
            return Said(403)
        assert asked.method != "PUT" or refused.wait(10), "none of the others is done before"
        return None

    registry.fault = refuse
    with pytest.raises(PushDenied):
        push(Parcel(image.descriptor, "1"))
    assert registry.count("POST") < len(SIZES)
    assert not registry.manifests
    registry.fault = None
    push(Parcel(image.descriptor, "1"))
    assert registry.manifests[PATH, "1"] == blobs.read(image.descriptor.digest)
