"""The protocol table: what containerd, docker, podman and skopeo really send, and what they need to get.

Every row is asked of a site registry over two artifacts and of a recorder, directly, over HTTP and over TLS.
"""

from __future__ import annotations

import json

import pytest

from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import Index, parse_manifest
from registry_snapshot.oci.media_types import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from registry_snapshot.store.closure import holds_others
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
        ("/v2/team/app/manifests/1?ns=quay.io%3A5443", "docker", "quay.io:5443"),  # containerd encodes the port
        ("/v2/quay.io%3A5443/team/app/manifests/1", "docker", "quay.io:5443"),
        ("/v2/team%2Fapp/manifests/1", "image", "docker.io"),
        ("/v2/quay.io/team/app/manifests/1?ns=registry.gitlab.com", "docker", "registry.gitlab.com"),  # the path is ns's
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
        assert (answer.status, answer.body) == (200, shelf.upstream.blobs.read(part.digest, limit=1 << 30))
        assert answer.header("Content-Type") == "application/octet-stream"
        assert answer.header("Docker-Content-Digest") == str(part.digest)


ABSENT = absent_digest()


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
        ("/v2/team/./app/manifests/1", 400, "NAME_INVALID"),
        ("/v2/%2e%2e/%2e%2e/etc/passwd/manifests/1", 400, "NAME_INVALID"),
        ("/v2/team//app/manifests/1", 400, "NAME_INVALID"),
        ("/v2/team/app%00/manifests/1", 400, "NAME_INVALID"),
        ("/v2/team/app%0d%0aX-Evil:%201/manifests/1", 404, "UNSUPPORTED"),
        ("/v2/team/%ff%fe/manifests/1", 400, "NAME_INVALID"),
        (f"/v2/{'a' * 256}/manifests/1", 400, "NAME_INVALID"),
        (f"/v2/{'a/' * 2000}a/manifests/1", 400, "NAME_INVALID"),
        ("/v2/team/app/manifests/1%00", 404, "MANIFEST_UNKNOWN"),
        ("/v2/team/app/manifests/..", 404, "MANIFEST_UNKNOWN"),
        ("/v2/team/app/manifests/%2e%2e%2f1", 404, "UNSUPPORTED"),
        (f"/v2/team/app/manifests/{'a' * 129}", 404, "MANIFEST_UNKNOWN"),
        ("/v2/team/app/manifests/", 404, "UNSUPPORTED"),
        ("/v2/team/app/manifests/1/", 404, "UNSUPPORTED"),
        ("/v2//manifests/1", 404, "UNSUPPORTED"),
        ("/v2/manifests/1", 404, "UNSUPPORTED"),
        ("/V2/team/app/manifests/1", 404, "UNSUPPORTED"),
        ("/v2/team/app/blobs/../manifests/1", 400, "NAME_INVALID"),
        ("/v2/team/app/blobs/uploads/", 404, "UNSUPPORTED"),
        ("/v2/team/app/blobs/uploads/0123", 404, "UNSUPPORTED"),
        (f"/v2/team/app/blobs/SHA256:{'a' * 64}", 400, "DIGEST_INVALID"),
        (f"/v2/team/app/blobs/sha256:{'A' * 64}", 400, "DIGEST_INVALID"),
        ("/v2/team/app/referrers/latest", 400, "DIGEST_INVALID"),
        ("/v2/team/app/tags/list?n=-1", 400, "UNSUPPORTED"),
        ("/v2/team/app/tags/list?n=", 400, "UNSUPPORTED"),
        ("/v2/team/app/tags/list?n=%C2%B2", 400, "UNSUPPORTED"),  # a digit, to some
        ("/v2/team/app/tags", 404, "UNSUPPORTED"),
        ("/v2/team/app/tags/list/", 404, "UNSUPPORTED"),
        ("/v2/team/app/referrers/sha256:12", 400, "DIGEST_INVALID"),
        ("/v2/team/app/tags/list?n=x", 400, "UNSUPPORTED"),
        ("/v2/team/app/other", 404, "UNSUPPORTED"),
        ("/v2/_catalog", 404, "UNSUPPORTED"),
        ("/", 404, "UNSUPPORTED"),
    ],
)
def test_errors_follow_the_specification(ask: Ask, target: str, status: int, code: str) -> None:
    for method in ("GET", "HEAD"):
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


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/v2/", 200),
        ("/v2/team/app/manifests/1", 200),
        ("/v2/team/app/tags/list?n=1", 200),
        ("/v2/team/app/tags/list?n=x", 400),
        (f"/v2/team/app/referrers/{ABSENT}", 200),
        (f"/v2/team/app/blobs/{Digest.of(b'')}", 200),
        (f"/v2/team/app/blobs/{ABSENT}", 404),
        ("/v2/team/app/manifests/none", 404),
        ("/nowhere", 404),
        ("/healthz", 200),
    ],
)
def test_head_says_what_get_says(ask: Ask, target: str, status: int) -> None:
    ask("HEAD", "/v2/team/app/manifests/1")
    get, head = ask("GET", target), ask("HEAD", target)
    assert (get.status, head.status, head.body) == (status, status, b"")
    assert [line for line in head.headers if line[0] != "Date"] == [line for line in get.headers if line[0] != "Date"]
    assert get.header("Content-Length") == str(len(get.body))


@pytest.mark.parametrize("name", ["chart", "no-layers", "custom", "vast", "wide", "foreign", "nested", "subject", "signature"])
def test_what_is_no_plain_image_comes_byte_for_byte(ask: Ask, shelf: Shelf, name: str) -> None:
    """Charts, artifacts, indexes of indexes, manifests of 4 MiB, foreign layers, sha512: their digest is their identity."""
    waiting = [shelf.others[name]]
    assert ask("HEAD", f"/v2/odd/{name}/manifests/1?ns=quay.io").header("Docker-Content-Digest") == str(waiting[0].digest)
    while waiting:
        descriptor = waiting.pop()
        kind = "manifests" if holds_others(descriptor) else "blobs"
        answer = ask("GET", f"/v2/odd/{name}/{kind}/{descriptor.digest}?ns=quay.io")
        assert (answer.status, answer.body) == (200, shelf.raw(descriptor))
        assert answer.header("Docker-Content-Digest") == str(descriptor.digest)
        assert answer.header("Content-Length") == str(descriptor.size)
        if kind == "manifests":
            assert answer.header("Content-Type") == descriptor.media_type
            parsed = parse_manifest(answer.body, descriptor.media_type)
            waiting += parsed.manifests if isinstance(parsed, Index) else parsed.children()


def test_a_signature_under_cosigns_tag_is_a_tag_like_any_other(ask: Ask, shelf: Shelf) -> None:
    tag = f"sha256-{shelf.others['subject'].digest.encoded}.sig"
    answer = ask("GET", f"/v2/quay.io/odd/subject/manifests/{tag}")
    assert (answer.status, answer.body) == (200, shelf.raw(shelf.others["signature"]))


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "BREW"])
@pytest.mark.parametrize("target", ["/v2/team/app/blobs/uploads/", "/v2/team/app/manifests/1", "/v2/", "/nowhere"])
def test_it_is_read_only(ask: Ask, method: str, target: str) -> None:
    answer = ask(method, target)
    assert (answer.status, answer.header("Allow")) == (405, "GET, HEAD")
    assert json.loads(answer.body)["errors"][0]["code"] == "UNSUPPORTED"
