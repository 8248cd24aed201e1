"""The tap passes everything on and notes what it was."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.media_types import OCTETS
from tests.clients.tap import Tap
from tests.contract.loopback_sshd import free_port
from tests.unit.registry_snapshot.images import make_image, noise
from tests.unit.registry_snapshot.upstream_fake import FakeUpstream


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[FakeUpstream]:
    with FakeUpstream(tmp_path) as upstream:
        image = make_image(upstream.blobs, "one", layer_sizes=(300_000,))
        upstream.tag("docker.io/team/one:1", image.descriptor)
        yield upstream


@pytest.fixture
def tap(upstream: FakeUpstream) -> Iterator[Tap]:
    port = int(upstream.host.partition(":")[2])
    with Tap(None, ("127.0.0.1", free_port()), ("127.0.0.1", port)) as tap:
        yield tap


def test_several_requests_on_one_connection_are_noted_in_order_with_their_answers(tap: Tap, upstream: FakeUpstream) -> None:
    layer = Descriptor(OCTETS, upstream.blobs.put(noise("one linux/amd64 0", 300_000)), 300_000)
    connection = http.client.HTTPConnection(*tap.listen, timeout=10)
    bodies = []
    for method, target in (("HEAD", "/v2/team/one/manifests/1"), ("GET", f"/v2/team/one/blobs/{layer.digest}?ns=docker.io"), ("GET", "/v2/nobody/manifests/1")):
        connection.request(method, target)
        bodies.append(connection.getresponse().read())
    connection.close()
    assert bodies[:2] == [b"", noise("one linux/amd64 0", 300_000)]
    noted = tap.take()
    assert [(one.method, one.target, one.status) for one in noted] == [
        ("HEAD", "/v2/team/one/manifests/1", 200),
        ("GET", f"/v2/team/one/blobs/{layer.digest}?ns=docker.io", 200),
        ("GET", "/v2/nobody/manifests/1", 404),
    ]
    assert dict(noted[1].answered)["Content-Length"] == "300000"
    assert tap.take() == ()


def test_what_is_no_http_is_passed_on_and_not_noted(tap: Tap) -> None:
    with socket.create_connection(tap.listen, timeout=10) as sock:
        sock.sendall(b"\x16\x03\x01\x00\x05hello, this is no HTTP")
        assert sock.makefile("rb").read().startswith(b"HTTP/1.1 400 ")
    assert tap.take() == ()
