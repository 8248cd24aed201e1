"""What an upstream is told and believed: logins, redirects, limits, TLS, broken transfers."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from registry_snapshot.errors import (
    RegistryError,
    StoreError,
    UpstreamCorrupt,
    UpstreamError,
    UpstreamNotTrusted,
    UpstreamUnauthorized,
    UpstreamUnreachable,
)
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.media_types import ACCEPT_MANIFESTS, OCI_LAYER
from registry_snapshot.oci.reference import Repository
from registry_snapshot.record.credentials import Credentials, DockerCredentials
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.record.upstream import Upstream
from registry_snapshot.record.upstreams import Upstreams
from registry_snapshot.serve.messages import Request, Response
from registry_snapshot.store.disk import DiskBlobStore
from tests.unit.registry_snapshot.conftest import LOOPBACK, Authority, Naps
from tests.unit.registry_snapshot.images import Image, make_image, noise
from tests.unit.registry_snapshot.upstream_fake import FakeUpstream, cut_short, plain

APP = Repository.of("docker.io", "team/app")
Dial = Callable[..., Upstream]


@pytest.fixture
def dial(naps: Naps) -> Iterator[Dial]:
    """Make the Upstream of docker.io behind a mirror: ``dial(base, credentials, ca_files)``."""
    with ExitStack() as stack:

        def make(base: str, credentials: DockerCredentials | None = None, ca_files: tuple[Path, ...] = ()) -> Upstream:
            mirrors = Mirrors((("docker.io", base),), (), ca_files, private=LOOPBACK)
            upstreams = Upstreams(
                mirrors, credentials or DockerCredentials(), sleep=naps.sleep, clock=naps.clock, proxies={}, read_seconds=1
            )
            return stack.enter_context(upstreams).for_registry("docker.io")

        yield make


@pytest.fixture
def image(upstream: FakeUpstream) -> Image:
    image = make_image(upstream.blobs, "a", layer_sizes=(600_000,))
    upstream.tag("team/app:1", image.descriptor)
    return image


def fetch(upstream: Upstream, blobs: DiskBlobStore, wanted: Descriptor, counts: list[int] | None = None) -> None:
    with blobs.ingest(wanted.digest) as writer:
        upstream.blob(APP, wanted, writer, (counts if counts is not None else []).append)


def logins(host: str, user: str = "me", *, password: str = "pass:word") -> DockerCredentials:  # noqa: S107
    return DockerCredentials(((host, Credentials(user, password)),))


def bearer(upstream: FakeUpstream, tokens: list[str], *, key: str = "token", expires: int | None = 300) -> None:
    """Make ``upstream`` ask for a token of its own token server, which gives out a new one each time."""

    def guard(request: Request) -> Response | None:
        if request.path == "/token":
            tokens.append(f"token-{len(tokens) + 1}")
            value = {key: tokens[-1]} | ({"expires_in": expires} if expires is not None else {})
            return plain(200, json.dumps(value).encode())
        if tokens and request.headers.get("Authorization") == f"Bearer {tokens[-1]}":
            return None
        challenge = f'Bearer realm="{upstream.url}/token",service="registry.example",scope="repository:team/app:pull"'
        return plain(401, b"", {"WWW-Authenticate": challenge})

    upstream.fault = guard


def test_a_manifest_is_asked_for_in_every_type_we_can_keep(upstream: FakeUpstream, dial: Dial, image: Image) -> None:
    fetched = dial(upstream.url).manifest(APP, "1")
    assert fetched.descriptor == image.descriptor
    assert fetched.raw == upstream.blobs.read(image.descriptor.digest)
    assert {part.strip() for part in (upstream.requests[0].headers.get("Accept") or "").split(",")} == set(ACCEPT_MANIFESTS)


@pytest.mark.parametrize("key", ["token", "access_token"])
def test_bearer_flow(upstream: FakeUpstream, dial: Dial, image: Image, blobs: DiskBlobStore, key: str) -> None:
    tokens: list[str] = []
    bearer(upstream, tokens, key=key)
    remote = dial(upstream.url, logins(upstream.host))
    remote.manifest(APP, "1")
    fetch(remote, blobs, image.layers[0])
    assert tokens == ["token-1"]  # one token serves all that follows
    (asked,) = (request for request in upstream.requests if request.path == "/token")
    assert dict(asked.query) == {"service": "registry.example", "scope": "repository:team/app:pull"}
    assert asked.headers.get("Authorization") == "Basic " + base64.b64encode(b"me:pass:word").decode()


def test_without_a_login_a_token_is_asked_for_without_one(upstream: FakeUpstream, dial: Dial, image: Image) -> None:
    tokens: list[str] = []
    bearer(upstream, tokens)
    dial(upstream.url).manifest(APP, "1")
    (asked,) = (request for request in upstream.requests if request.path == "/token")
    assert asked.headers.get("Authorization") is None


def test_a_token_is_renewed_when_its_time_is_over(upstream: FakeUpstream, dial: Dial, image: Image, naps: Naps) -> None:
    tokens: list[str] = []
    bearer(upstream, tokens, expires=None)  # the specification's 60 seconds
    remote = dial(upstream.url)
    for seconds, count in ((0, 1), (50, 1), (6, 2)):
        naps.sleep(seconds)
        remote.manifest(APP, "1")
        assert len(tokens) == count


def test_a_token_that_is_refused_early_is_replaced(upstream: FakeUpstream, dial: Dial, image: Image) -> None:
    tokens: list[str] = []
    bearer(upstream, tokens)
    remote = dial(upstream.url)
    remote.manifest(APP, "1")
    tokens.append("revoked everything before")
    remote.manifest(APP, "1")
    assert tokens[-1] == "token-3"


def test_an_identity_token_is_exchanged(upstream: FakeUpstream, dial: Dial, image: Image) -> None:
    """The body of a POST is not read by our server, so what was asked is seen by its method."""
    tokens: list[str] = []
    bearer(upstream, tokens)
    credentials = DockerCredentials(((upstream.host, Credentials("", "", "refresh me")),))
    dial(upstream.url, credentials).manifest(APP, "1")
    assert [(r.method, r.headers.get("Authorization")) for r in upstream.requests if r.path == "/token"] == [("POST", None)]


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_token_server_that_refuses_is_a_login_to_make(upstream: FakeUpstream, dial: Dial, status: int) -> None:
    def guard(request: Request) -> Response:
        if request.path == "/token":
            return plain(status)
        return plain(401, b"", {"WWW-Authenticate": f'Bearer realm="{upstream.url}/token"'})

    upstream.fault = guard
    with pytest.raises(UpstreamUnauthorized, match=f"docker login {upstream.host}"):
        dial(upstream.url, logins(upstream.host)).manifest(APP, "1")


def test_basic_flow(upstream: FakeUpstream, dial: Dial, image: Image) -> None:
    good = "Basic " + base64.b64encode(b"me:pass:word").decode()
    challenge = plain(401, b"", {"WWW-Authenticate": 'Basic realm="x"'})
    upstream.fault = lambda request: None if request.headers.get("Authorization") == good else challenge
    remote = dial(upstream.url, logins(upstream.host))
    remote.manifest(APP, "1")
    remote.manifest(APP, "1")
    assert len(upstream.requests) == 3
    with pytest.raises(UpstreamUnauthorized, match="HTTP 401"):
        dial(upstream.url, logins(upstream.host, password="other")).manifest(APP, "1")
    with pytest.raises(UpstreamUnauthorized):
        dial(upstream.url).manifest(APP, "1")


def test_a_mirror_gets_no_login_but_its_own_and_one_that_is_said_to_be_for_it(
    upstream: FakeUpstream, image: Image, naps: Naps
) -> None:
    good = "Basic " + base64.b64encode(b"hub:secret").decode()
    challenge = plain(401, b"", {"WWW-Authenticate": "Basic"})
    upstream.fault = lambda request: None if request.headers.get("Authorization") == good else challenge
    hub = logins("docker.io", "hub", password="secret")

    def ask(**fields: Any) -> None:
        mirrors = Mirrors((("docker.io", upstream.url),), private=LOOPBACK, **fields)
        with Upstreams(mirrors, hub, sleep=naps.sleep, clock=naps.clock, proxies={}) as upstreams:
            upstreams.for_registry("docker.io").manifest(APP, "1")

    with pytest.raises(UpstreamUnauthorized, match=f"mirror {upstream.host}"):
        ask()
    assert {request.headers.get("Authorization") for request in upstream.requests} == {None}
    ask(logins=(("docker.io", "docker.io"),))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_and_takes_no_login_along(
    upstream: FakeUpstream, dial: Dial, image: Image, blobs: DiskBlobStore, start_upstream: Callable[..., FakeUpstream], *, status: int
) -> None:
    elsewhere = start_upstream("cdn")
    data = upstream.blobs.read(image.layers[0].digest)
    elsewhere.fault = lambda request: plain(200, data)
    tokens: list[str] = []
    bearer(upstream, tokens)
    guard = upstream.fault

    def redirect(request: Request) -> Response | None:
        assert guard is not None
        refused = guard(request)
        if refused is not None or "/blobs/" not in request.path:
            return refused
        if request.path.startswith("/moved"):
            return plain(status, b"", {"Location": f"{elsewhere.url}/signed?X-Signature=abc"})
        return plain(status, b"", {"Location": f"/moved{request.path}"})

    upstream.fault = redirect
    fetch(dial(upstream.url, logins(upstream.host)), blobs, image.layers[0])
    assert blobs.size(image.layers[0].digest) == 600_000
    (asked,) = elsewhere.requests
    assert (asked.path, dict(asked.query), asked.headers.get("Authorization")) == ("/signed", {"X-Signature": "abc"}, None)
    moved = [request for request in upstream.requests if request.path.startswith("/moved")]
    assert [request.headers.get("Authorization") for request in moved] == ["Bearer token-1"]  # the issuing host keeps it


def test_a_challenge_from_elsewhere_gets_no_answer(
    upstream: FakeUpstream, dial: Dial, blobs: DiskBlobStore, start_upstream: Callable[..., FakeUpstream], image: Image
) -> None:
    elsewhere = start_upstream("cdn")
    elsewhere.fault = lambda request: plain(401, b"", {"WWW-Authenticate": "Basic"})
    upstream.fault = lambda request: plain(307, b"", {"Location": f"{elsewhere.url}/x"})
    with pytest.raises(UpstreamUnauthorized):
        fetch(dial(upstream.url, logins(upstream.host)), blobs, image.layers[0])
    assert [request.headers.get("Authorization") for request in elsewhere.requests] == [None]


def test_redirects_have_an_end(upstream: FakeUpstream, dial: Dial) -> None:
    upstream.fault = lambda request: plain(302, b"", {"Location": request.path})
    with pytest.raises(UpstreamError, match="redirects more than 10 times"):
        dial(upstream.url).manifest(APP, "1")
    upstream.fault = lambda request: plain(302, b"", {"Location": "file:///etc/passwd"})
    with pytest.raises(UpstreamError, match="no web address"):
        dial(upstream.url).manifest(APP, "1")


def test_retry_after_holds_back_every_request(upstream: FakeUpstream, dial: Dial, image: Image, naps: Naps) -> None:
    answers = [plain(429, b"", {"Retry-After": "7"}), plain(503)]
    upstream.fault = lambda request: answers.pop(0) if answers else None
    dial(upstream.url).manifest(APP, "1")
    assert naps.taken[0] == pytest.approx(7)
    assert 0.25 <= naps.taken[1] <= 1.0  # backoff with jitter, since 503 named no time
    assert len(upstream.requests) == 3


def test_patience_has_an_end(upstream: FakeUpstream, dial: Dial, naps: Naps) -> None:
    body = json.dumps({"errors": [{"code": "UNKNOWN", "message": "the database\nis down"}]}).encode()
    upstream.fault = lambda request: plain(500, body)
    with pytest.raises(UpstreamError, match=r"HTTP 500 for docker\.io/team/app:1: the databaseis down") as caught:
        dial(upstream.url).manifest(APP, "1")
    assert caught.value.status == 500
    assert len(upstream.requests) == 6
    assert naps.taken == sorted(naps.taken)


def test_a_blob_that_breaks_often_arrives_as_long_as_it_moves(upstream: FakeUpstream, dial: Dial, image: Image, blobs: DiskBlobStore) -> None:
    """Ten breaks are more than patience has attempts: progress renews it."""
    upstream.fault = lambda request: cut_short(upstream.app.handle(request), 55_000) if "/blobs/" in request.path else None
    counts: list[int] = []
    fetch(dial(upstream.url), blobs, image.layers[0], counts)
    assert sum(counts) == 600_000
    assert [r.headers.get("Range") for r in upstream.requests] == [None, *(f"bytes={n * 55_000}-" for n in range(1, 11))]


def test_an_upstream_without_ranges_starts_again(upstream: FakeUpstream, dial: Dial, image: Image, blobs: DiskBlobStore) -> None:
    data = upstream.blobs.read(image.layers[0].digest)
    answers = [cut_short(plain(200, data), 300_000)]
    upstream.fault = lambda request: answers.pop(0) if answers else plain(200, data)
    counts: list[int] = []
    fetch(dial(upstream.url), blobs, image.layers[0], counts)
    assert sum(counts) == 600_000
    assert -300_000 in counts


def test_an_upstream_that_never_gets_further_is_given_up(upstream: FakeUpstream, dial: Dial, image: Image, blobs: DiskBlobStore) -> None:
    data = upstream.blobs.read(image.layers[0].digest)
    upstream.fault = lambda request: cut_short(plain(200, data), 300_000)
    with pytest.raises(UpstreamUnreachable, match="broke"):
        fetch(dial(upstream.url), blobs, image.layers[0])
    assert len(upstream.requests) < 10
    assert list(blobs.digests()) == []


@pytest.mark.parametrize(("sent", "words"), [(600_000, "wrong bytes"), (600_001, "more than 600000"), (599_999, "599999 of 600000")])
def test_wrong_bytes_are_refused(upstream: FakeUpstream, dial: Dial, image: Image, blobs: DiskBlobStore, *, sent: int, words: str) -> None:
    upstream.fault = lambda request: plain(200, noise("evil", sent))
    with pytest.raises(UpstreamError, match=words) as caught:
        fetch(dial(upstream.url), blobs, image.layers[0])
    assert isinstance(caught.value, UpstreamCorrupt) == (sent >= 600_000)
    assert [path for path in blobs.root.rglob("*") if path.is_file()] == []


def test_a_resume_that_joined_two_answers_is_repaired_from_the_start(upstream: FakeUpstream, dial: Dial, image: Image, blobs: DiskBlobStore) -> None:
    answers = [cut_short(plain(200, noise("evil", 600_000)), 100_000)]
    upstream.fault = lambda request: answers.pop(0) if answers else None
    fetch(dial(upstream.url), blobs, image.layers[0])
    assert [r.headers.get("Range") for r in upstream.requests] == [None, "bytes=100000-", None]


def test_bytes_are_never_decoded(upstream: FakeUpstream, dial: Dial, blobs: DiskBlobStore) -> None:
    data = b"not gzip at all"
    upstream.fault = lambda request: plain(200, data, {"Content-Encoding": "gzip"})
    fetch(dial(upstream.url), blobs, Descriptor(OCI_LAYER, Digest.of(data), len(data)))
    assert blobs.read(Digest.of(data)) == data
    assert upstream.requests[0].headers.get("Accept-Encoding") == "identity"


def test_a_full_disk_is_not_the_upstreams_fault(
    upstream: FakeUpstream, dial: Dial, image: Image, blobs: DiskBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("registry_snapshot.store.disk._write", full)
    with pytest.raises(StoreError, match="no space left"):
        fetch(dial(upstream.url), blobs, image.layers[0])
    assert len(upstream.requests) == 1


def test_tls_is_verified(dial: Dial, start_upstream: Callable[..., FakeUpstream], authority: Authority, naps: Naps) -> None:
    secure = start_upstream("secure", authority.server)
    secure.tag("team/app:1", make_image(secure.blobs, "a").descriptor)
    with pytest.raises(UpstreamNotTrusted, match=r"certificate of localhost:\d+ cannot be verified") as caught:
        dial(secure.url).manifest(APP, "1")
    assert "--ca FILE" in caught.value.remedy
    assert naps.taken == []  # asking again would not help
    assert dial(secure.url, None, (authority.ca_file,)).manifest(APP, "1").raw


def test_a_login_is_not_sent_to_a_token_server_in_cleartext(dial: Dial, start_upstream: Callable[..., FakeUpstream], authority: Authority) -> None:
    secure, open_server = start_upstream("secure", authority.server), start_upstream("open")
    challenge = f'Bearer realm="{open_server.url}/token"'
    secure.fault = lambda request: plain(401, b"", {"WWW-Authenticate": challenge})
    with pytest.raises(UpstreamError, match="not encrypted"):
        dial(secure.url, logins(secure.host), (authority.ca_file,)).manifest(APP, "1")
    assert open_server.requests == []


def test_a_ca_file_without_a_certificate(tmp_path: Path, dial: Dial) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(RegistryError, match=r"ca\.pem holds no certificate"):
        dial("https://localhost:1", None, (tmp_path / "ca.pem",))


def test_nobody_answers(dial: Dial) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
    with pytest.raises(UpstreamUnreachable, match=rf"docker.io/team/app:1: localhost:{port} cannot be reached: .*refused"):
        dial(f"http://localhost:{port}").manifest(APP, "1")


def test_no_such_name(dial: Dial) -> None:
    with pytest.raises(UpstreamUnreachable, match="is no name that can be resolved"):
        dial("https://registry.invalid").manifest(APP, "1")


@pytest.mark.parametrize("base", ["{url}", "{url}/v2", "{url}/prefix", "{url}/v2/proxy"])
def test_a_path_prefix_is_respected(upstream: FakeUpstream, dial: Dial, base: str) -> None:
    upstream.fault = lambda request: plain(404)
    with pytest.raises(UpstreamError, match="404"):
        dial(base.format(url=upstream.url)).manifest(APP, "1")
    prefix = urlsplit(base.format(url=upstream.url)).path
    expected = f"{prefix}/team/app/manifests/1" if "/v2" in prefix else f"{prefix}/v2/team/app/manifests/1"
    assert upstream.paths() == [expected]
    assert parse_qs(upstream.requests[0].path) == {}
