"""Traces hold what matters, nothing secret, and do not change by themselves."""

from __future__ import annotations

from pathlib import Path

from registry_snapshot.serve.messages import Headers
from tests.clients.trace import HOST, Exchange, Trace, in_order

SENT = Headers(
    [
        ("Accept", "b/c"),
        ("Accept", "a/b"),
        ("Authorization", "Basic c2VjcmV0OnNlY3JldA=="),
        ("Host", "10.79.0.2:5000"),
        ("User-Agent", "docker/20.10 go/1.19 kernel/6.1 os/linux"),
    ]
)


def exchange(target: str, status: int = 200, method: str = "GET") -> Exchange:
    return Exchange.of(method, target, SENT, status, Headers([("Content-Length", "12"), ("Date", "now"), ("Content-Type", "a/b")]))


def test_a_login_is_seen_and_its_value_kept_nowhere(tmp_path: Path) -> None:
    Trace("docker", "by-tag", (), (exchange("/v2/"),)).write(tmp_path)
    assert exchange("/v2/").has_login
    assert "c2VjcmV0" not in (tmp_path / "docker-by-tag.json").read_text()


def test_what_depends_on_the_machine_is_left_out() -> None:
    noted = exchange("/v2/")
    assert noted.headers == (("Accept", "a/b"), ("Accept", "b/c"), ("Host", HOST), ("User-Agent", "docker/20.10"))
    assert noted.answered == (("Content-Length", "12"), ("Content-Type", "a/b"))
    assert exchange("/v2/", 404).answered == (("Content-Type", "a/b"),)


def test_a_trace_is_read_as_it_was_written(tmp_path: Path) -> None:
    trace = Trace("helm", "artifact", ("quay.io/charts/shop:1",), (exchange("/v2/a/tags/list?n=1"), exchange("/v2/a/manifests/1", 404, "HEAD")))
    trace.write(tmp_path)
    read = Trace.read(tmp_path / "helm-artifact.json")
    assert (read.client, read.scenario, read.recorded) == (trace.client, trace.scenario, trace.recorded)
    assert [one.to_json() for one in read.exchanges] == [one.to_json() for one in trace.exchanges]


def test_what_is_asked_at_once_is_sorted_and_nothing_else() -> None:
    targets = [
        "/v2/a/manifests/sha256:9",  # the index stays before its children
        "/v2/a/manifests/sha256:3",
        "/v2/a/manifests/sha256:1",
        "/v2/a/blobs/sha256:8",
        "/v2/a/blobs/sha256:2",
        "/v2/b/manifests/v1",
        "/v2/a/blobs/sha256:1",
    ]
    ordered = [one.target.rpartition("/")[2] for one in in_order(map(exchange, targets))]
    assert ordered == ["sha256:9", "sha256:1", "sha256:3", "sha256:2", "sha256:8", "v1", "sha256:1"]
