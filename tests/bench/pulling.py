"""Clients of a registry, all at once: each pulls every image of a bundle and checks every byte."""

from __future__ import annotations

import http.client
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from installer_stub.bundle.reader import Bundle
from registry_snapshot.oci.descriptor import Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.store.closure import closure, holds_others
from tests.testbed.cache import TestBedError

_PIECE = 1 << 20


@dataclass(frozen=True)
class Wanted:
    """One thing to ask for."""

    path: str
    accept: str
    digest: Digest
    size: int


def everything(bundle: Bundle) -> tuple[Wanted, ...]:
    """Return what a client asks for when it pulls every image: manifests and blobs, in each image's order."""
    platforms = tuple(Platform.parse(text) for text in bundle.info.platforms)
    return tuple(
        Wanted(
            f"/v2/{reference.repository}/{'manifests' if holds_others(each) else 'blobs'}/{each.digest}",
            each.media_type,
            each.digest,
            each.size,
        )
        for reference, root in bundle.images()
        for each in closure(bundle.blobs, root, platforms)
    )


def pull_at_once(address: tuple[str, int], wanted: Sequence[Wanted], clients: int) -> int:
    """Let ``clients`` pull ``wanted``, each on its own connection; return the bytes that arrived."""
    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(lambda _: _pull(address, wanted), range(clients)))


def wait_for(address: tuple[str, int], timeout: float = 30) -> None:
    """Return once a registry answers. Raises TestBedError."""
    deadline = time.monotonic() + timeout
    while True:
        connection = http.client.HTTPConnection(*address, timeout=5)
        try:
            connection.request("GET", "/v2/")
            connection.getresponse().read()
        except OSError as error:
            if time.monotonic() > deadline:
                raise TestBedError(f"no registry answers on {address[0]}:{address[1]}: {error}") from error
            time.sleep(0.1)
        else:
            return
        finally:
            connection.close()


def _pull(address: tuple[str, int], wanted: Sequence[Wanted]) -> int:
    connection = http.client.HTTPConnection(*address, timeout=120)
    try:
        return sum(_get(connection, each) for each in wanted)
    finally:
        connection.close()


def _get(connection: http.client.HTTPConnection, wanted: Wanted) -> int:
    connection.request("GET", wanted.path, headers={"Accept": wanted.accept})
    answer = connection.getresponse()
    hasher, count = wanted.digest.hasher(), 0
    while piece := answer.read(_PIECE):
        hasher.update(piece)
        count += len(piece)
    if answer.status != 200 or count != wanted.size or hasher.hexdigest() != wanted.digest.encoded:
        raise TestBedError(
            f"GET {wanted.path} answered {answer.status} with {count} bytes, not {wanted.size} of that digest"
        )
    return count
