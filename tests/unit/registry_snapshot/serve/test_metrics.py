"""What Prometheus gets to read: the text format, the right numbers, and no name of anything."""

from __future__ import annotations

import re

import pytest

from registry_snapshot.serve.http_server import RegistryServer
from registry_snapshot.serve.messages import Request
from registry_snapshot.serve.metrics import KINDS, Count, Metrics, WithMetrics, kind_of
from tests.unit.registry_snapshot.conftest import Authority
from tests.unit.registry_snapshot.serve.conftest import BODY, Scripted, eventually, say

SAMPLE = re.compile(r'(?P<name>[a-z_]+)(?:\{(?P<labels>[a-z]+="[^"\\\n]*"(?:,[a-z]+="[^"\\\n]*")*)\})? (?P<value>-?[0-9.]+)')
LAST = b" HTTP/1.1\r\nConnection: close\r\n\r\n"


def figures(raw: bytes) -> dict[str, float]:
    """Return the samples, after holding every line to the exposition format: HELP, TYPE, then samples of that name."""
    found: dict[str, float] = {}
    name = kind = ""
    for line in raw.decode().splitlines():
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            assert f"{name}" not in {key.partition("{")[0] for key in found}, "a metric's lines stand together"
        elif line.startswith("# TYPE "):
            _, _, typed, kind = line.split(" ")
            assert typed == name
            assert kind in {"counter", "gauge"}
            assert kind == "gauge" or name.endswith("_total")
        else:
            match = SAMPLE.fullmatch(line)
            assert match is not None, line
            assert match["name"] == name
            found[line.rpartition(" ")[0]] = float(match["value"])
    return found


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v2/", "base"),
        ("/v2", "base"),
        ("/healthz", "healthz"),
        ("/metrics", "metrics"),
        ("/v2/library/busybox/manifests/1", "manifests"),
        ("/v2/a/blobs/sha256:00", "blobs"),
        ("/v2/a/b/c/tags/list", "tags"),
        ("/v2/a/referrers/sha256:00", "referrers"),
        ("/v2/blobs/manifests/blobs", "manifests"),
        ("/blobs/x", "other"),
        ("", "other"),
        ("/v2/a/secrets/b", "other"),
    ],
)
def test_a_path_is_counted_by_its_kind(path: str, kind: str) -> None:
    assert kind_of(path) == kind
    assert kind in KINDS


def test_a_server_counts_what_it_does(app: Scripted, authority: Authority) -> None:
    metrics = Metrics()
    with RegistryServer(WithMetrics(app, metrics), ("127.0.0.1", 0), metrics=metrics) as server:
        say(server, authority, b"GET /file" + LAST)
        say(server, authority, b"HEAD /v2/team/secret-name/manifests/1?ns=x" + LAST)
        say(server, authority, b"PURGE /v2/team/secret-name/blobs/x" + LAST)
        say(server, authority, b"GET /bug" + LAST)
        say(server, authority, b"GET /short" + LAST)
        say(server, authority, b"nonsense\r\n\r\n")
        assert eventually(lambda: server.connections == 0)
        raw = say(server, authority, b"GET /metrics" + LAST)
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"Content-Type: text/plain; version=0.0.4" in head
    assert b"secret" not in body
    found = figures(body)
    requests = "airseal_registry_requests_total"
    assert found[f'{requests}{{method="GET",kind="other",status="200"}}'] == 2
    assert found[f'{requests}{{method="HEAD",kind="manifests",status="200"}}'] == 1
    assert found[f'{requests}{{method="other",kind="blobs",status="200"}}'] == 1
    assert found[f'{requests}{{method="GET",kind="other",status="500"}}'] == 1
    assert found[f'{requests}{{method="other",kind="other",status="400"}}'] == 1
    assert found["airseal_registry_connections_accepted_total"] == 7
    assert found["airseal_registry_bodies_cut_total"] == 1
    assert found['airseal_registry_errors_total{reason="bug"}'] == 1
    assert found['airseal_registry_errors_total{reason="bad_request"}'] == 1
    assert 2 * len(BODY) < found["airseal_registry_sent_bytes_total"] < 2 * len(BODY) + 3000
    assert found["process_resident_memory_bytes"] > 1_000_000
    assert found["process_open_fds"] > 3


def test_gauges_follow(app: Scripted, authority: Authority) -> None:
    with RegistryServer(app, ("127.0.0.1", 0)) as server:
        say(server, authority, b"GET /file" + LAST)
        assert server.metrics[Count.OPEN] in {0, 1}
        assert eventually(lambda: (server.metrics[Count.OPEN], server.metrics[Count.IN_FLIGHT]) == (0, 0))


def test_head_gets_no_body_and_other_methods_go_to_the_app(app: Scripted) -> None:
    shown = WithMetrics(app, Metrics())
    head = shown.handle(Request.of("HEAD", "/metrics"))
    assert (head.status, head.body) == (200, None)
    shown.handle(Request.of("POST", "/metrics"))
    assert [request.method for request in app.requests] == ["POST"]
