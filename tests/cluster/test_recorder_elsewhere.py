"""The recorder of a build is reached by a relay in the lab, as where the engine is on another machine; and a killed build's containers end."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bundler.cluster import lease, privilege
from bundler.cluster.connection import DockerConnection
from bundler.cluster.container import TemporaryHost
from bundler.cluster.door import Door
from bundler.cluster.host_image import host_image
from bundler.cluster.network import TemporaryNetwork
from bundler.cluster.ownership import Owner
from bundler.engine import Engine
from bundler.lab.entrance import entrance
from bundler.lab.way import Way, find
from installer_stub.host.command import Command
from installer_stub.host.model import Host, Role
from installer_stub.plan.model import REGISTRY_CA
from registry_snapshot.serve.messages import Request, Response
from tests.testbed.cache import Cache
from tests.unit.bundler.reporter import Remembering

pytestmark = pytest.mark.cluster
BLOB = bytes(range(256)) * (32 << 12)  # 32 MiB


class Blob:
    """What a registry answers, of one blob."""

    def __init__(self) -> None:
        self.clients: set[str] = set()

    def handle(self, request: Request) -> Response:
        self.clients.add(request.client)
        return Response(200, (("Content-Length", str(len(BLOB))),), BLOB)


@pytest.fixture(scope="module")
def docker(cache: Cache) -> Iterator[Engine]:
    engine = Engine.connect()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def image(docker: Engine) -> str:
    return host_image(docker, Remembering())


@contextmanager
def client_in(docker: Engine, network: TemporaryNetwork, image: str) -> Iterator[DockerConnection]:
    api = docker.client.api
    endpoint: Any = api.create_networking_config({network.name: api.create_endpoint_config()})  # type: ignore[arg-type]
    made = api.create_container(image, command=["sleep", "600"], labels=network.labels, host_config=api.create_host_config(init=True), networking_config=endpoint)
    try:
        api.start(made["Id"])
        yield DockerConnection(api, made["Id"], Host("client", Role.NODE))
    finally:
        api.remove_container(made["Id"], force=True, v=True)


def get(client: DockerConnection, opened: Door, login: str, then: str) -> str:
    host, port = opened.address
    request = f"GET /v2/x HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {base64.b64encode(login.encode()).decode()}\r\nConnection: close\r\n\r\n"
    text = f"base64 -d | openssl s_client -quiet -ign_eof -verify_return_error -CAfile {REGISTRY_CA} -connect {host}:{port} 2>/dev/null | {then}"
    return client.run(Command.shell(text, stdin=base64.b64encode(request.encode())), timeout=120).stdout


def test_hosts_ask_a_relay_and_the_build_answers(docker: Engine, image: str) -> None:
    reporter, app = Remembering(), Blob()
    with TemporaryNetwork(docker, Owner.current(), closed=True) as network:
        with (
            entrance(docker, network, app, image=image, way=Way.RELAY, reporter=reporter) as opened,
            client_in(docker, network, image) as client,
            client_in(docker, network, image) as other,
        ):
            assert opened.address[0] != network.gateway
            opened.give(client)
            opened.give(other)
            login = f"{opened.credential.user}:{opened.credential.password}"
            assert get(client, opened, "airseal:guessed", "head -n 1").split()[1] == "401"
            assert app.clients == set()
            wanted = hashlib.sha256(BLOB).hexdigest()
            for each in (client, other):
                assert get(each, opened, login, f"tail -c {len(BLOB)} | sha256sum").split()[0] == wanted
            assert app.clients == {"127.0.0.1"}
        assert not any("lost" in step for step in reporter.steps)
        assert docker.client.api.containers(all=True, filters={"name": f"{network.name}-recorder"}) == []


def test_what_becomes_of_a_relay_that_is_removed_is_said(docker: Engine, image: str) -> None:
    reporter = Remembering()
    with TemporaryNetwork(docker, Owner.current(), closed=True) as network, entrance(docker, network, Blob(), image=image, way=Way.RELAY, reporter=reporter):
        (relay,) = docker.client.api.containers(filters={"name": f"{network.name}-recorder"})
        docker.client.api.remove_container(relay["Id"], force=True, v=True)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and relay["Id"] in {each["Id"] for each in docker.client.api.containers()}:
            time.sleep(0.2)
        time.sleep(1)
    assert any("relay to the recorder was lost" in step for step in reporter.steps)


def test_on_this_machine_no_relay_is_needed(docker: Engine) -> None:
    assert find(docker) is Way.DIRECT


def test_a_host_that_nobody_renews_ends(docker: Engine, image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privilege, "until_its_end", lambda: lease.until_its_end(tick="sleep 1", ticks=8))
    api = docker.client.api
    with TemporaryNetwork(docker, Owner.current(), closed=True) as network:
        host = TemporaryHost(docker, image, network, Remembering())
        with host as connection:
            for _ in range(6):
                network.lease.renew()
                time.sleep(2)
            assert api.inspect_container(host.container)["State"]["Running"], "it was renewed"
            connection.close()
            # The build is killed: nobody renews it any more.
            deadline = time.monotonic() + 90
            while api.inspect_container(host.container)["State"]["Running"]:
                assert time.monotonic() < deadline, "it runs, and nobody renews it"
                time.sleep(0.5)
