"""A node asks an API server over TLS, as itself: what it sends, and what it makes of every answer."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from installer_stub.keep.kubelet_request import NotAnswered, ask
from tests.fakes.authority import Authority

PATH = "/apis/certificates.k8s.io/v1/certificatesigningrequests"


class Api:
    """An API server that answers what a test says, one answer for each request, the last one for ever."""

    def __init__(self, root: Path) -> None:
        self.authority = Authority("kubernetes", days=10)
        self.seen: list[tuple[str, str, Any]] = []
        self.answers: list[tuple[int, Any]] = []
        certificate, key = self.authority.leaf("apiserver", days=5, begun=1, addresses=("127.0.0.1",))
        (root / "server.pem").write_bytes(certificate + key)
        client, key = self.authority.leaf("system:node:n5", days=5, begun=1)
        (root / "client.pem").write_bytes(client + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(root / "server.pem")
        context.load_verify_locations(cadata=self.authority.pem.decode())
        context.verify_mode = ssl.CERT_REQUIRED
        self.server = HTTPServer(("127.0.0.1", 0), self.handler())
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.kubeconfig, self.client = root / "kubelet.conf", root / "client.pem"
        self.write(self.authority.pem)
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self._thread.start()

    def write(self, ca: bytes) -> None:
        cluster = {"server": f"https://127.0.0.1:{self.server.server_port}", "certificate-authority-data": base64.b64encode(ca).decode()}
        self.kubeconfig.write_text(yaml.safe_dump({"clusters": [{"name": "c", "cluster": cluster}]}))

    def handler(api) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - self is the handler's
        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                api.seen.append((self.command, self.path, json.loads(self.rfile.read(length) or b"null")))
                status, value = api.answers.pop(0) if len(api.answers) > 1 else api.answers[0]
                data = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = answer  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def ask(self) -> bytes:
        ticks = iter(range(1000))
        return ask(b"REQUEST", 86400, kubeconfig=str(self.kubeconfig), client=str(self.client), clock=lambda: float(next(ticks) * 10), sleep=lambda _: None)

    def close(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    made = Api(tmp_path)
    yield made
    made.close()


def request(status: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"metadata": {"name": "airseal-kubelet-x7"}, "status": status or {}}


def test_it_asks_as_kubelet_does_and_waits_until_it_is_signed(api: Api) -> None:
    signed = request({"certificate": base64.b64encode(b"PEM").decode(), "conditions": [{"type": "Approved"}]})
    api.answers = [(201, request()), (200, request({"conditions": [{"type": "Approved"}]})), (200, signed)]
    assert api.ask() == b"PEM"
    (method, path, body), *looks = api.seen
    assert (method, path) == ("POST", PATH)
    assert body["spec"] == {
        "request": base64.b64encode(b"REQUEST").decode(),
        "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
        "usages": ["digital signature", "client auth"],
        "expirationSeconds": 86400,
    }
    assert [look[:2] for look in looks] == [("GET", f"{PATH}/airseal-kubelet-x7")] * 2


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((403, {"message": "forbidden"}), "answers 403"),
        ((201, b"<html>"), "cannot be read"),
        ((201, []), "cannot be read"),
        ((201, {}), "cannot be read"),
        ((201, request({"conditions": [{"type": "Denied"}]})), "was refused"),
        ((201, request()), "nobody signed"),
    ],
)
def test_any_other_answer_changes_nothing_and_is_named(api: Api, answer: tuple[int, Any], said: str) -> None:
    api.answers = [answer]
    with pytest.raises(NotAnswered, match=said):
        api.ask()


def test_a_server_of_another_ca_gets_no_request(api: Api) -> None:
    api.answers = [(201, request())]
    api.write(Authority("another", days=10).pem)
    with pytest.raises(NotAnswered, match="does not answer"):
        api.ask()
    assert api.seen == []


def test_nobody_there_or_no_kubeconfig(api: Api, tmp_path: Path) -> None:
    api.kubeconfig.write_text("clusters: []")
    with pytest.raises(NotAnswered, match="cannot be read"):
        api.ask()
    api.kubeconfig.unlink()
    with pytest.raises(NotAnswered, match="No such file"):
        api.ask()
