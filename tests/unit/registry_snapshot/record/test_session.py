"""Who sees a login, what a token server may do, and where a redirect may lead."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from registry_snapshot.errors import RegistryError, UpstreamError, UpstreamUnauthorized, UpstreamUnreachable
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Repository
from registry_snapshot.record.credentials import Credentials, DockerCredentials
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.record.transport import origin_of
from registry_snapshot.record.upstreams import Upstreams
from registry_snapshot.serve.messages import Request, Response
from registry_snapshot.store.disk import DiskBlobStore
from tests.fakes.raw_upstream import End, Piece, head, whole
from tests.unit.registry_snapshot.conftest import LOOPBACK, Authority, Naps
from tests.unit.registry_snapshot.images import make_image, noise
from tests.unit.registry_snapshot.record.conftest import SECRET, Dial
from tests.unit.registry_snapshot.record.faults import BLOB, QUICK, Fault, Site, ends_at, for_ever, raw, says
from tests.unit.registry_snapshot.upstream_fake import FakeUpstream, cut_short, plain

APP = Repository.of("docker.io", "team/app")
BASIC = "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()


def blob(dial: Dial, site: Site, blobs: DiskBlobStore, fault: Fault, read_seconds: float = 10) -> None:
    wanted = site.image.layers[0]
    remote = dial(fault, read_seconds)
    with blobs.ingest(wanted.digest) as writer:
        remote.blob(APP, wanted, writer)
    assert blobs.read(wanted.digest) == site.raw.right(Request("GET", f"/v2/team/app/blobs/{wanted.digest}")).body


def authorizations(requests: list[Request]) -> list[str | None]:
    return [request.headers.get("Authorization") for request in requests]


def guarded(token_server: Fault, behind: Fault, tokens: list[str]) -> Fault:
    """Ask for the newest of ``tokens`` before ``behind`` answers; ``/token`` is the token server's."""

    def fault(site: Site, request: Request, answer: Response) -> Iterator[Piece]:
        if request.path == "/token":
            return token_server(site, request, answer)
        if tokens and request.headers.get("Authorization") == f"Bearer {tokens[-1]}":
            return behind(site, request, answer)
        challenge = f'Bearer realm="{site.raw.url}/token",service="s",scope="repository:team/app:pull"'
        return says(401, ("WWW-Authenticate", challenge))(site, request, answer)

    return fault


def gives(tokens: list[str]) -> Fault:
    """A token server that gives a new token each time."""

    def fault(site: Site, request: Request, answer: Response) -> Iterator[Piece]:
        tokens.append(f"token-{len(tokens) + 1}")
        return says(200, body=json.dumps({"token": tokens[-1], "expires_in": 3600}).encode())(site, request, answer)

    return fault


def test_a_token_that_expires_in_the_middle_of_a_blob_is_renewed_and_the_blob_goes_on(
    site: Site, dial: Dial, blobs: DiskBlobStore
) -> None:
    tokens: list[str] = []

    def breaks_and_expires(site: Site, request: Request, answer: Response) -> Iterator[Piece]:
        if len(tokens) == 1:
            tokens.append("nobody has this")  # from now on the first token is refused
            return ends_at(5, End.CLOSE)(site, request, answer)
        return whole(answer)

    blob(dial, site, blobs, guarded(gives(tokens), breaks_and_expires, tokens))
    asked = [(r.path.partition("/blobs/")[0], r.headers.get("Range"), r.headers.get("Authorization")) for r in site.raw.requests]
    half = f"bytes={BLOB // 2}-"
    assert asked == [
        ("/v2/team/app", None, None),
        ("/token", None, BASIC),
        ("/v2/team/app", None, "Bearer token-1"),
        ("/v2/team/app", half, "Bearer token-1"),
        ("/token", None, BASIC),
        ("/v2/team/app", half, "Bearer token-3"),
    ]


TOKEN_FAULTS = [
    ("it is down", says(503), UpstreamError, "HTTP 503 for a token from", 10.0),
    ("it is down and talks", for_ever(head(500), b"x" * 9999), UpstreamError, "HTTP 500 for a token from", 10.0),
    ("it limits for ever", says(429, ("Retry-After", "100")), UpstreamError, "HTTP 429 for a token from", 10.0),
    ("it resets", raw(End.RESET), UpstreamUnreachable, "broke", 10.0),
    ("it says nothing", raw(End.HANG), UpstreamUnreachable, "stopped sending", QUICK),
    ("it stops in the middle", raw(head(200, ("Content-Length", "99")), b"{", End.HANG), UpstreamUnreachable, "stopped sending", QUICK),
    ("it never ends", for_ever(head(200), b'{"token": "' + b"x" * 9999), UpstreamError, "gave no token", 10.0),
    ("it is very large", says(200, body=b'{"token": "' + b"x" * 999_999 + b'"}'), UpstreamError, "gave no token", 10.0),
    ("garbage", says(200, body=noise("garbage", 500)), UpstreamError, "gave no token", 10.0),
    ("deep garbage", says(200, body=b"[" * 60_000), UpstreamError, "gave no token", 10.0),
    ("no HTTP", raw(b"hello\r\n\r\n", End.CLOSE), UpstreamUnreachable, "broke", 10.0),
    ("it redirects", says(302, ("Location", "/elsewhere")), UpstreamError, "answered HTTP 302", 10.0),
    ("it refuses", says(401), UpstreamUnauthorized, "gave no token", 10.0),
    ("it is not there", says(404), UpstreamError, "answered HTTP 404", 10.0),
]


@pytest.mark.parametrize("target", ["manifest", "blob"])
@pytest.mark.parametrize(("fault", "kind", "words", "seconds"), [row[1:] for row in TOKEN_FAULTS], ids=[row[0] for row in TOKEN_FAULTS])
def test_a_token_server_that_misbehaves_is_named(
    site: Site, dial: Dial, blobs: DiskBlobStore, *, target: str, fault: Fault, kind: type[RegistryError], words: str, seconds: float
) -> None:
    remote = guarded(fault, raw(), [])
    fetch = {
        "blob": lambda: blob(dial, site, blobs, remote, seconds),
        "manifest": lambda: dial(remote, seconds).manifest(APP, "1"),
    }[target]
    with pytest.raises(kind) as caught:
        fetch()
    error = caught.value
    assert type(error) is kind
    assert words in error.problem
    assert site.raw.host in error.problem
    assert error.problem.startswith("docker.io/team/app")
    assert error.remedy
    assert SECRET not in str(error)
    assert getattr(error, "status", 0) != 404  # which would be taken for an image that is not there
    assert [path for path in blobs.root.rglob("*") if path.is_file()] == []


def test_a_token_server_that_nobody_runs(site: Site, dial: Dial) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
    challenge = f'Bearer realm="http://localhost:{port}/token"'
    with pytest.raises(UpstreamUnreachable, match=rf"team/app:1: localhost:{port} cannot be reached"):
        dial(says(401, ("WWW-Authenticate", challenge))).manifest(APP, "1")


def redirected(*hops: Callable[[Site], str]) -> Fault:
    """Ask for Basic, then send on from one hop to the next; what is behind the last answers."""

    def fault(site: Site, request: Request, answer: Response) -> Iterator[Piece]:
        step = next((number for number, _ in enumerate(hops, 1) if request.path == f"/hop/{number}"), 0)
        if step == 0 and request.headers.get("Authorization") != BASIC:
            return says(401, ("WWW-Authenticate", "Basic realm=x"))(site, request, answer)
        if step < len(hops):
            return says(307, ("Location", hops[step](site)))(site, request, answer)
        return whole(site.raw.right(Request("GET", f"/v2/team/app/blobs/{site.image.layers[0].digest}")))

    return fault


def test_a_redirect_to_another_port_takes_no_login_along_and_one_back_gets_it_not_again(
    site: Site, dial: Dial, blobs: DiskBlobStore
) -> None:
    fault = redirected(lambda site: f"{site.elsewhere.url}/hop/1", lambda site: f"{site.raw.url}/hop/2")
    site.elsewhere.fault = lambda request, answer: fault(site, request, answer)
    blob(dial, site, blobs, fault)
    assert authorizations(site.raw.requests) == [None, BASIC, None]
    assert authorizations(site.elsewhere.requests) == [None]


@pytest.mark.parametrize("location", ["/hop/1", "hop/1?x=/../", "//{host}/hop/1", "http://{host}/hop/1", "http://me:pw@{host}/hop/1"])
def test_a_redirect_on_the_same_host_keeps_the_login(site: Site, dial: Dial, blobs: DiskBlobStore, location: str) -> None:
    def same(site: Site) -> str:
        return location.format(host=site.raw.host) if location.startswith(("/", "http")) else "/hop/1"

    blob(dial, site, blobs, redirected(same))
    assert authorizations(site.raw.requests) == [None, BASIC, BASIC]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a/x", "https://a:443/y", True),
        ("https://A.example/x", "https://a.EXAMPLE./y", True),
        ("http://a", "http://a:80", True),
        ("http://me:pw@a", "http://a", True),
        ("https://a", "http://a", False),
        ("https://a", "https://a:444", False),
        ("https://a", "https://a.b", False),
        ("https://a:443", "http://a:443", False),
    ],
)
def test_what_is_the_same_origin(one: str, other: str, *, same: bool) -> None:
    assert (origin_of(one) == origin_of(other)) == same


@pytest.fixture
def secure(start_upstream: Callable[..., FakeUpstream], authority: Authority) -> FakeUpstream:
    return start_upstream("secure", authority.server)


def over_tls(secure: FakeUpstream, authority: Authority, naps: Naps) -> Upstreams:
    mirrors = Mirrors((("docker.io", secure.url),), ca_files=(authority.ca_file,), private=LOOPBACK)
    logins = DockerCredentials(((secure.host, Credentials("me", SECRET)),))
    return Upstreams(mirrors, logins, sleep=naps.sleep, clock=naps.clock, proxies={})


def test_a_redirect_from_https_to_http_is_followed_only_for_bytes_that_prove_themselves(
    site: Site, secure: FakeUpstream, authority: Authority, naps: Naps, blobs: DiskBlobStore
) -> None:
    """And takes no login along, though it is the same host."""

    def guard(request: Request) -> Response:
        if request.headers.get("Authorization") != BASIC:
            return plain(401, b"", {"WWW-Authenticate": "Basic"})
        return plain(302, b"", {"Location": f"{site.raw.url}{request.path}"})

    secure.fault = guard
    wanted = site.image.layers[0]
    with over_tls(secure, authority, naps) as upstreams:
        remote = upstreams.for_registry("docker.io")
        with pytest.raises(UpstreamError, match=r"team/app:1: docker\.io \(mirror .*\) redirects to localhost without encryption") as caught:
            remote.manifest(APP, "1")
        assert "by its digest" in caught.value.remedy
        assert site.raw.requests == []
        assert remote.manifest(APP, str(site.image.descriptor.digest)).descriptor.digest == site.image.descriptor.digest
        with blobs.ingest(wanted.digest) as writer:
            remote.blob(APP, wanted, writer)
    assert authorizations(site.raw.requests) == [None, None]


def test_over_tls_too_no_byte_that_came_is_fetched_again(
    secure: FakeUpstream, authority: Authority, naps: Naps, blobs: DiskBlobStore
) -> None:
    image = make_image(secure.blobs, "a", layer_sizes=(200_000,))
    secure.tag("team/app:1", image.descriptor)
    secure.fault = lambda request: cut_short(secure.app.handle(request), 70_000)
    with over_tls(secure, authority, naps) as upstreams, blobs.ingest(image.layers[0].digest) as writer:
        traffic = upstreams.for_registry("docker.io").blob(APP, image.layers[0], writer)
    assert (traffic.bytes, traffic.retries) == (200_000, 2)
    assert [request.headers.get("Range") for request in secure.requests] == [None, "bytes=70000-", "bytes=140000-"]


def test_errors_behind_a_redirect_name_both_hosts_and_no_signature(site: Site, dial: Dial, blobs: DiskBlobStore) -> None:
    site.elsewhere.fault = lambda request, answer: iter([End.RESET])
    with pytest.raises(UpstreamUnreachable) as caught:
        blob(dial, site, blobs, lambda site, request, answer: says(307, ("Location", f"{site.elsewhere.url}/x?X-Amz-Signature=abc"))(site, request, answer))
    assert f"redirected by docker.io (mirror {site.raw.host}): the connection to {site.elsewhere.host} broke" in caught.value.problem
    assert "abc" not in str(caught.value)


def test_many_layers_from_one_connection_that_is_kept(site: Site, dial: Dial, blobs: DiskBlobStore) -> None:
    """Bodies nobody wants (of 401, of redirects) are read to their end, so that connections are used again."""
    remote = dial(lambda site, request, answer: whole(answer))
    for _ in range(5):
        remote.manifest(APP, "1")
    assert site.raw.connections == 1


def test_a_manifest_is_named_by_the_algorithm_it_was_asked_by(site: Site, dial: Dial) -> None:
    body = site.raw.right(Request("GET", "/v2/team/app/manifests/1")).read()
    digest = Digest.of(body, "sha512")
    fetched = dial(lambda site, request, answer: whole(site.raw.right(Request("GET", "/v2/team/app/manifests/1")))).manifest(APP, str(digest))
    assert fetched.descriptor.digest == digest


def test_a_proxy_that_wants_a_login_is_no_registry_that_does(site: Site, dial: Dial, tmp_path: Path) -> None:
    with pytest.raises(UpstreamError, match="HTTP 407") as caught:
        dial(says(407)).manifest(APP, "1")
    assert "HTTP_PROXY" in caught.value.remedy
