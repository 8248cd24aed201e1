"""The recorder of a build answers the host that was given its login, and nobody else who reaches docker's bridge."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO

import pytest

from bundler.cluster.door import door
from installer_stub.hostside.credential import read_credential
from installer_stub.plan.model import CREDENTIAL, REGISTRY_CA
from registry_snapshot.serve.messages import Request, Response


class Remembers:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def handle(self, request: Request) -> Response:
        self.asked.append(request.path)
        return Response(200, (("Content-Length", "2"),), b"ok")


class Host:
    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, source: BinaryIO, target: str, *, size: int, mode: int = 0o644) -> None:
        path = self.root / Path(target).name
        path.touch(mode)
        assert path.write_bytes(source.read()) == size


def get(url: str, context: ssl.SSLContext, authorization: str = "") -> int:
    request = urllib.request.Request(url, headers={"Authorization": authorization} if authorization else {})  # noqa: S310 - ours
    try:
        with urllib.request.urlopen(request, context=context) as answer:  # noqa: S310 - ours
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_who_is_let_in(tmp_path: Path) -> None:
    app, host = Remembers(), Host(tmp_path)
    with door(app, "127.0.0.1") as opened:
        opened.give(host)
        (url,) = opened.images.endpoints
        assert (opened.images.ca_path, opened.images.credential_path) == (REGISTRY_CA, CREDENTIAL)
        trusting = ssl.create_default_context(cafile=str(tmp_path / Path(REGISTRY_CA).name))
        login = read_credential(tmp_path / Path(CREDENTIAL).name)  # which refuses a file that others can read
        asked = f"{url}/v2/team/secret/manifests/1?ns=registry.corp"
        assert get(asked, trusting) == 401
        assert get(asked, trusting, "Basic YWlyc2VhbDphaXJzZWFs") == 401
        with pytest.raises(urllib.error.URLError, match="certificate"):
            get(asked, ssl.create_default_context(), login.authorization())
        assert app.asked == []
        assert get(asked, trusting, login.authorization()) == 200
        assert login.password not in repr(opened)


def test_every_recording_has_a_door_of_its_own() -> None:
    with door(Remembers(), "127.0.0.1") as one, door(Remembers(), "127.0.0.1") as other:
        assert one.credential != other.credential
        assert one.ca != other.ca
