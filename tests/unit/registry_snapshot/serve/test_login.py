"""Only who holds the credential gets an answer, every client finds out how to log in, and no log ever shows how."""

from __future__ import annotations

import base64
import http.client
import json
import logging
import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_snapshot.errors import UpstreamUnauthorized
from registry_snapshot.oci.reference import Reference, Repository
from registry_snapshot.record.credentials import Credentials, DockerCredentials
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.record.recorder import Recorder
from registry_snapshot.serve.app import RegistryApp
from registry_snapshot.serve.http_server import RegistryServer
from registry_snapshot.serve.login import Credential, LoginRequired
from registry_snapshot.serve.messages import Headers, Request, Response
from registry_snapshot.store.disk import DiskBlobStore
from registry_snapshot.store.image_set import ImageSet
from tests.unit.registry_snapshot.conftest import Authority
from tests.unit.registry_snapshot.images import AMD64, Image, make_image

PASSWORD = "Zm9v:b4r-_~%/ä"
HOLDER = Credential("airseal", PASSWORD)
RIGHT = HOLDER.authorization()


class Everything:
    """An app that has whatever is asked for, and remembers the question."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def handle(self, request: Request) -> Response:
        self.asked.append(request)
        if request.path == "/bug":
            raise ZeroDivisionError("a bug of ours")
        return Response(200, (("Content-Length", "2"), ("Content-Type", "text/plain")), b"ok")


@pytest.fixture
def shown() -> Everything:
    return Everything()


@pytest.fixture
def app(shown: Everything) -> LoginRequired:
    return LoginRequired(shown, HOLDER)


def ask(app: LoginRequired, *authorization: str, method: str = "GET", path: str = "/v2/") -> Response:
    lines = Headers(("Authorization", value) for value in authorization)
    return app.handle(Request.of(method, path, lines, "10.0.0.9"))


@pytest.mark.parametrize("spelled", [RIGHT, RIGHT.replace("Basic", "basic"), RIGHT.replace("Basic", "BASIC"), RIGHT.replace(" ", "   "), f" {RIGHT} "])
def test_the_right_login_reaches_the_app_however_its_scheme_is_spelled(app: LoginRequired, shown: Everything, spelled: str) -> None:
    assert ask(app, spelled, path="/v2/a/blobs/sha256:00?ns=quay.io").read() == b"ok"
    assert shown.asked[0].query == {"ns": "quay.io"}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("",),
        ("Basic",),
        ("Basic ",),
        ("Basic !!!",),
        ("Basic ä",),
        (RIGHT[:-1],),  # token68 that is cut short
        (RIGHT.replace(" ", "\t"),),
        (RIGHT.removeprefix("Basic "),),
        (f"Basic {encoded(PASSWORD)}",),
        (f"Basic {encoded('airseal:')}",),
        (f"Basic {encoded('airseal')}",),
        (f"Basic {encoded(f'airsea:{PASSWORD}')}",),
        (f"Basic {encoded(f'airseal:{PASSWORD}x')}",),
        (f"Basic {encoded(f'airseal:{PASSWORD}' + chr(10))}",),
        (f"Bearer {RIGHT.removeprefix('Basic ')}",),
        ("Bearer eyJhbGciOi",),
        (RIGHT, RIGHT),  # two headers are one too many: a proxy in between might look at the other one
        (f"{RIGHT}, {RIGHT}",),
        ("Basic " + "A" * 60_000,),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_everything_else_meets_the_challenge_and_the_app_sees_nothing_of_it(
    app: LoginRequired, shown: Everything, lines: tuple[str, ...], method: str
) -> None:
    answer = ask(app, *lines, method=method)
    assert answer.status == 401
    assert answer.header("WWW-Authenticate") == 'Basic realm="airseal"'
    body = answer.read()
    if method == "HEAD":
        assert body == b""
    else:
        assert [error["code"] for error in json.loads(body)["errors"]] == ["UNAUTHORIZED"]
        assert answer.header("Content-Length") == str(len(body))
    assert shown.asked == []


@settings(max_examples=40)
@given(st.text(max_size=50) | st.binary(max_size=50).map(lambda raw: f"Basic {base64.b64encode(raw).decode()}"))
def test_no_other_header_lets_anybody_in(value: str) -> None:
    app = LoginRequired(Everything(), HOLDER)
    assert (ask(app, value).status == 200) is (value.strip() == RIGHT)


def test_health_is_open_and_metrics_are_not(app: LoginRequired) -> None:
    assert ask(app, path="/healthz").status == 200
    assert [ask(app, path=path).status for path in ("/metrics", "/healthz/", "/v2", "/v2/_catalog", "/", "/%2e/healthz")] == [401] * 6
    assert ask(app, RIGHT, path="/metrics").status == 200


def test_printing_a_credential_shows_the_user_alone() -> None:
    assert repr(HOLDER) == str(HOLDER) == "Credential(user='airseal')"
    assert PASSWORD not in repr(vars(LoginRequired(Everything(), HOLDER)))
    assert PASSWORD not in repr(Request("GET", "/v2/", headers=Headers([("Authorization", RIGHT)])))


@pytest.mark.parametrize("text", ["", ":", "user", "user:", ":password", "u\x00:p", "u:p\x07", "u\t:p", "\nuser:password", "user:p\x85"])
def test_what_is_no_credential_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not user:password$"):
        Credential.parse(text)


def test_the_first_line_counts_and_only_the_password_may_hold_colons() -> None:
    for text in ("u:a:b", "u:a:b\n", "u:a:b\r\n", "u:a:b\nanything"):
        parsed = Credential.parse(text)
        assert (parsed.user, parsed.password) == ("u", "a:b")


def test_no_logger_at_any_level_shows_a_login(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = Credential("airseal", "a wrong password").authorization()
    with RegistryServer(LoginRequired(Everything(), HOLDER), ("127.0.0.1", 0)) as server:
        connection = http.client.HTTPConnection(*server.address, timeout=5)
        statuses = []
        for path, login in (("/v2/", RIGHT), ("/v2/", wrong), ("/bug", RIGHT), ("/v2/\r\n", ""), ("/v2/", "Basic ")):
            connection.putrequest("GET", path.strip())
            connection.putheader("Authorization", login)
            connection.endheaders()
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
        connection.close()
    assert statuses == [200, 401, 500, 401, 401]
    said = "\n".join(f"{record.getMessage()} {record.exc_text or ''} {record.args}" for record in caplog.records)
    assert "no login, or a wrong one" in said
    assert "/bug failed" in said
    for secret in (PASSWORD, "wrong password", RIGHT.split()[1], wrong.split()[1]):
        assert secret not in said


class TestOverTLS:
    """Clients as they are: they ask, are challenged, and answer."""

    @pytest.fixture
    def image(self, blobs: DiskBlobStore) -> Image:
        return make_image(blobs, "team/app")

    @pytest.fixture
    def server(self, authority: Authority, blobs: DiskBlobStore, image: Image) -> Iterator[RegistryServer]:
        app = RegistryApp(ImageSet(blobs, [(Reference.parse("docker.io/team/app:1"), image.descriptor)]))
        with RegistryServer(LoginRequired(app, HOLDER), ("127.0.0.1", 0), authority.server) as server:
            yield server

    @pytest.fixture
    def client(self, server: RegistryServer, authority: Authority) -> Iterator[http.client.HTTPSConnection]:
        context = ssl.create_default_context(cafile=authority.ca_file)
        client = http.client.HTTPSConnection("localhost", server.address[1], context=context, timeout=5)
        yield client
        client.close()

    def test_a_client_that_pings_first_then_logs_in_with_basic(self, client: http.client.HTTPSConnection) -> None:
        """skopeo, podman, crane and docker: GET /v2/ without a login, then what the challenge asks for."""
        client.request("GET", "/v2/")
        ping = client.getresponse()
        ping.read()
        assert (ping.status, ping.headers["WWW-Authenticate"]) == (401, 'Basic realm="airseal"')
        assert ping.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
        for method in ("HEAD", "GET"):
            client.request(method, "/v2/team/app/manifests/1", headers={"Authorization": RIGHT})
            answer = client.getresponse()
            assert (answer.status, len(answer.read()) > 0) == (200, method == "GET")

    def test_a_client_that_brings_a_token_first_is_told_to_use_basic(self, client: http.client.HTTPSConnection) -> None:
        """A HEAD with a stale bearer token, on one connection that goes on."""
        for login, status in (("Bearer stale", 401), (RIGHT, 200)):
            client.request("HEAD", "/v2/team/app/manifests/1", headers={"Authorization": login})
            answer = client.getresponse()
            assert (answer.status, answer.read()) == (status, b"")

    @pytest.mark.parametrize("password", [PASSWORD, "another"])
    def test_our_own_recorder_pulls_from_it_with_the_login_of_docker(
        self, server: RegistryServer, authority: Authority, image: Image, tmp_path: Path, password: str
    ) -> None:
        address = f"localhost:{server.address[1]}"
        logins = DockerCredentials(((address, Credentials("airseal", password)),))
        mirrors = Mirrors((("docker.io", f"https://{address}"),), (), (authority.ca_file,))
        store = DiskBlobStore(tmp_path / "recorded")
        with Recorder(tmp_path / "record", store, mirrors, logins, (AMD64,)) as recorder:
            asked = partial(recorder.resolve, Repository.of("docker.io", "team/app"), "1", client="10.0.0.2", method="GET")
            if password == PASSWORD:
                assert asked().digest == image.descriptor.digest
            else:
                with pytest.raises(UpstreamUnauthorized) as caught:
                    asked()
                assert password not in str(caught.value)
