"""The protocol table: what containerd, docker, podman and skopeo really send, and what they need to get.

Every row is asked of a fixed set of images and of a recorder, directly, over HTTP and over TLS.
"""

from __future__ import annotations

import json

import pytest

from registry_snapshot.oci.media_types import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from tests.contract.conftest import Ask, Shelf
from tests.unit.registry_snapshot.images import absent_digest

CONTAINERD = ("Accept", f"{DOCKER_MANIFEST}, application/vnd.docker.distribution.manifest.list.v2+json, {OCI_MANIFEST}, {OCI_INDEX}, */*")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("target", "which", "namespace"),
    [
        ("/v2/library/busybox/manifests/1?ns=docker.io", "index", "docker.io"),
        ("/v2/busybox/manifests/1?ns=docker.io", "index", "docker.io"),
        ("/v2/busybox/manifests/1?ns=registry-1.docker.io", "index", "registry-1.docker.io"),  # the client's own word
        ("/v2/library/busybox/manifests/1", "index", "docker.io"),
        ("/v2/busybox/manifests/1", "index", "docker.io"),
        ("/v2/team/app/manifests/1", "image", "docker.io"),
        ("/v2/team/app/manifests/1?ns=quay.io", "quay", "quay.io"),
        ("/v2/quay.io/team/app/manifests/1", "quay", "quay.io"),
        ("/v2/pause/manifests/3?ns=registry.k8s.io", "quay", "registry.k8s.io"),
        ("/v2/registry.k8s.io/pause/manifests/3", "quay", "registry.k8s.io"),
        ("/v2/team/app/manifests/2", "docker", "docker.io"),
        ("/v2/team/app/manifests/2?ns=", "docker", "docker.io"),
    ],
)
def test_manifest(ask: Ask, shelf: Shelf, *, method: str, target: str, which: str, namespace: str) -> None:
    value = getattr(shelf, which)
    descriptor = getattr(value, "descriptor", value)
    for _ in range(2):
        answer = ask(method, target, CONTAINERD)
        raw = shelf.upstream.blobs.read(descriptor.digest)
        assert answer.status == 200
        assert answer.header("Content-Type") == descriptor.media_type
        assert answer.header("Content-Length") == str(len(raw))
        assert answer.header("Docker-Content-Digest") == str(descriptor.digest)
        assert answer.header("ETag") == f'"{descriptor.digest}"'
        assert answer.header("OCI-Namespace") == namespace
        assert answer.body == (raw if method == "GET" else b"")
        target = f"{target.partition('/manifests/')[0]}/manifests/{descriptor.digest}?{target.partition('?')[2]}"


def test_pull_as_containerd_does(ask: Ask, shelf: Shelf) -> None:
    index, image = shelf.index, shelf.image
    head = ask("HEAD", "/v2/library/busybox/manifests/1?ns=docker.io", CONTAINERD)
    assert head.header("Docker-Content-Digest") == str(index.digest)
    for digest, kind in ((index.digest, OCI_INDEX), (image.descriptor.digest, OCI_MANIFEST)):
        answer = ask("GET", f"/v2/library/busybox/manifests/{digest}?ns=docker.io", ("Accept", f"{kind}, */*"))
        assert answer.body == shelf.upstream.blobs.read(digest)
    for part in (image.config, *image.layers):
        answer = ask("GET", f"/v2/library/busybox/blobs/{part.digest}?ns=docker.io", ("Accept", f"{part.media_type}, */*"))
        assert (answer.status, answer.body) == (200, shelf.upstream.blobs.read(part.digest))
        assert answer.header("Content-Type") == "application/octet-stream"
        assert answer.header("Docker-Content-Digest") == str(part.digest)


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((), 200),
        (("*/*",), 200),
        (("application/*",), 200),
        ((OCI_MANIFEST,), 200),
        ((DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST), 200),  # docker sends one line for each
        ((DOCKER_MANIFEST, f"{OCI_MANIFEST};q=0.5, text/html"), 200),
        ((DOCKER_MANIFEST,), 404),  # converting would change the digest
        ((f"{DOCKER_MANIFEST}, {OCI_INDEX}",), 404),
    ],
)
def test_accept_lines_are_read_together_and_nothing_is_converted(ask: Ask, shelf: Shelf, lines: tuple[str, ...], status: int) -> None:
    answer = ask("GET", "/v2/team/app/manifests/1", *(("Accept", line) for line in lines))
    assert answer.status == status
    if status == 200:
        assert answer.body == shelf.upstream.blobs.read(shelf.image.descriptor.digest)


@pytest.mark.parametrize(
    ("header", "status", "start", "end"),
    [
        (None, 200, 0, 5_000_000),
        ("bytes=0-", 206, 0, 5_000_000),
        ("bytes=0-0", 206, 0, 1),
        ("bytes=100-199", 206, 100, 200),
        ("bytes=4999999-", 206, 4_999_999, 5_000_000),
        ("bytes=4000000-9999999", 206, 4_000_000, 5_000_000),
        ("bytes=-7", 206, 4_999_993, 5_000_000),
        ("bytes=-9999999", 206, 0, 5_000_000),
        ("bytes=5000000-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
        ("pages=1-2", 200, 0, 5_000_000),
        ("bytes=9-3", 416, 0, 0),
        ("bytes=0-1,4-5", 200, 0, 5_000_000),
        ("bytes=-", 200, 0, 5_000_000),
    ],
)
def test_ranges(ask: Ask, shelf: Shelf, *, header: str | None, status: int, start: int, end: int) -> None:
    layer = shelf.large.layers[0]
    ask("HEAD", "/v2/team/app/manifests/10")
    answer = ask("GET", f"/v2/team/app/blobs/{layer.digest}", *((("Range", header),) if header else ()))
    assert answer.status == status
    if status == 416:
        assert answer.header("Content-Range") == "bytes */5000000"
        return
    assert answer.body == shelf.upstream.blobs.read(layer.digest)[start:end]
    assert answer.header("Content-Length") == str(end - start)
    assert answer.header("Content-Range") == (f"bytes {start}-{end - 1}/5000000" if status == 206 else None)


def test_an_empty_blob_is_whole_whatever_range_is_asked(ask: Ask, shelf: Shelf) -> None:
    empty = shelf.image.layers[1]
    assert empty.size == 0
    answer = ask("GET", f"/v2/team/app/blobs/{empty.digest}", ("Range", "bytes=0-"))
    assert (answer.status, answer.header("Content-Length"), answer.body) == (200, "0", b"")


def test_if_range_with_another_etag_gets_the_whole(ask: Ask, shelf: Shelf) -> None:
    layer = shelf.image.layers[0]
    target = f"/v2/team/app/blobs/{layer.digest}"
    assert ask("GET", target, ("Range", "bytes=1-2"), ("If-Range", f'"{layer.digest}"')).status == 206
    assert ask("GET", target, ("Range", "bytes=1-2"), ("If-Range", '"other"')).status == 200


ABSENT = absent_digest()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/v2/team/app/manifests/none", 404, "MANIFEST_UNKNOWN"),
        (f"/v2/team/app/manifests/{ABSENT}", 404, "MANIFEST_UNKNOWN"),
        ("/v2/team/app/manifests/.INVALID_MANIFEST_NAME", 404, "MANIFEST_UNKNOWN"),
        ("/v2/team/app/manifests/sha256:12", 400, "DIGEST_INVALID"),
        (f"/v2/team/app/blobs/{ABSENT}", 404, "BLOB_UNKNOWN"),
        ("/v2/team/app/blobs/sha256:12", 400, "DIGEST_INVALID"),
        ("/v2/team/app/blobs/md5:0123456789abcdef0123456789abcdef", 400, "DIGEST_INVALID"),
        ("/v2/Team/app/manifests/1", 400, "NAME_INVALID"),
        ("/v2/team/app/manifests/1?ns=not_a_host!", 400, "NAME_INVALID"),
        ("/v2/team/../app/manifests/1", 400, "NAME_INVALID"),
        ("/v2/team/app/referrers/sha256:12", 400, "DIGEST_INVALID"),
        ("/v2/team/app/tags/list?n=x", 400, "UNSUPPORTED"),
        ("/v2/team/app/other", 404, "UNSUPPORTED"),
        ("/v2/_catalog", 404, "UNSUPPORTED"),
        ("/", 404, "UNSUPPORTED"),
    ],
)
def test_errors_follow_the_specification(ask: Ask, shelf: Shelf, *, method: str, target: str, status: int, code: str) -> None:
    answer = ask(method, target)
    assert answer.status == status
    assert answer.header("Content-Type") == "application/json"
    if method == "GET":
        (error,) = json.loads(answer.body)["errors"]
        assert error["code"] == code
        assert error["message"]
    assert ask("GET", "/v2/").status == 200  # the connection is still in step


def test_a_missing_repository_is_404(ask: Ask, shelf: Shelf) -> None:
    answer = ask("GET", "/v2/team/nothing/manifests/1")
    assert answer.status == 404
    assert json.loads(answer.body)["errors"][0]["code"] in {"NAME_UNKNOWN", "MANIFEST_UNKNOWN"}


def test_a_manifest_is_never_served_as_a_blob(ask: Ask, shelf: Shelf) -> None:
    """A client that got one would keep it as application/octet-stream for ever (containerd#7390)."""
    for _ in range(2):
        assert ask("HEAD", "/v2/team/app/manifests/1").status == 200
        for method in ("HEAD", "GET"):
            assert ask(method, f"/v2/team/app/blobs/{shelf.image.descriptor.digest}").status == 404


@pytest.mark.parametrize("target", ["/v2/", "/v2"])
def test_ping(ask: Ask, shelf: Shelf, target: str) -> None:
    answer = ask("GET", target)
    assert (answer.status, answer.body, answer.header("Docker-Distribution-Api-Version")) == (200, b"{}", "registry/2.0")


def test_health(ask: Ask, shelf: Shelf) -> None:
    assert (ask("GET", "/healthz").status, ask("GET", "/healthz").body) == (200, b"ok\n")


def test_tags_come_in_pages(ask: Ask, shelf: Shelf) -> None:
    for tag in ("1", "2", "10"):
        ask("HEAD", f"/v2/team/app/manifests/{tag}?ns=docker.io")
    assert json.loads(ask("GET", "/v2/team/app/tags/list").body) == {"name": "team/app", "tags": ["1", "10", "2"]}
    first = ask("GET", "/v2/team/app/tags/list?n=2&ns=docker.io")
    assert json.loads(first.body)["tags"] == ["1", "10"]
    link = first.header("Link") or ""
    assert link == '</v2/team/app/tags/list?n=2&last=10&ns=docker.io>; rel="next"'
    second = ask("GET", link[1 : link.index(">")])
    assert json.loads(second.body)["tags"] == ["2"]
    assert second.header("Link") is None
    assert json.loads(ask("GET", "/v2/team/app/tags/list?n=0").body)["tags"] == []


def test_there_are_no_referrers(ask: Ask, shelf: Shelf) -> None:
    answer = ask("GET", f"/v2/team/app/referrers/{shelf.image.descriptor.digest}")
    assert (answer.status, answer.header("Content-Type")) == (200, OCI_INDEX)
    assert json.loads(answer.body)["manifests"] == []


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_it_is_read_only(ask: Ask, shelf: Shelf, method: str) -> None:
    answer = ask(method, "/v2/team/app/blobs/uploads/")
    assert (answer.status, answer.header("Allow")) == (405, "GET, HEAD")
    assert json.loads(answer.body)["errors"][0]["code"] == "UNSUPPORTED"
