"""Containers and networks of a build are gone when it ends, however it ends."""

from __future__ import annotations

import io
import os
import signal
import tarfile
import time
from typing import Any

import docker.errors
import pytest

from bundler.cluster.container import TemporaryHost, remove_orphans
from bundler.cluster.network import TemporaryNetwork
from bundler.cluster.ownership import LABEL, Owner
from bundler.cluster.uninterrupted import uninterrupted
from bundler.engine import Engine
from bundler.errors import DockerError
from tests.unit.bundler.reporter import Remembering

ME = Owner("boot-1", "pid:[1]", 100, "5000")


class FakeApi:
    """The part of docker's APIClient that makes and removes hosts."""

    def __init__(self, refusal: str = "") -> None:
        self.refusal = refusal
        self.log: list[str] = []
        self.made: list[dict[str, Any]] = []
        self.given: list[bytes] = []  # machine-ids
        self.listed: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])

    def create_network(self, name: str, **settings: Any) -> None:
        self.log.append(f"network {name.partition('-')[0]} {settings['labels'][LABEL]}")

    def inspect_network(self, _name: str) -> dict[str, Any]:
        return {"IPAM": {"Config": [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}]}}

    def remove_network(self, name: str) -> None:
        self.log.append(f"remove network {name.partition('-')[0]}")

    def create_host_config(self, **settings: Any) -> dict[str, Any]:
        return settings

    def create_endpoint_config(self) -> dict[str, Any]:
        return {}

    def create_networking_config(self, value: dict[str, Any]) -> dict[str, Any]:
        return value

    def create_container(self, image: str, **settings: Any) -> dict[str, str]:
        self.made.append(settings)
        self.log.append(f"create {image}")
        return {"Id": f"c{len(self.made)}"}

    def put_archive(self, container: str, path: str, data: bytes) -> None:
        assert path == "/"
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            self.given += [tar.extractfile(entry).read() for entry in tar if entry.name == "etc/machine-id"]  # type: ignore[union-attr]

    def start(self, container: str) -> None:
        self.log.append(f"start {container}")
        if self.refusal:
            refusal, self.refusal = self.refusal, ""
            raise docker.errors.APIError("400", explanation=refusal)

    def wait(self, container: str, **_: Any) -> None:
        self.log.append(f"wait {container}")

    def logs(self, _container: str, **_: Any) -> bytes:
        return b"Name:\tinit\nCapBnd:\t000001fffeffffff\n"

    def inspect_container(self, _container: str) -> dict[str, Any]:
        raise docker.errors.APIError("500", explanation="the engine is leaving")

    def remove_container(self, container: str, **settings: Any) -> None:
        assert settings == {"force": True, "v": True}
        self.log.append(f"remove {container}")

    def containers(self, **_: Any) -> list[dict[str, Any]]:
        return self.listed[0]

    def networks(self, **_: Any) -> list[dict[str, Any]]:
        return self.listed[1]


def engine(api: FakeApi) -> Engine:
    client = type("Client", (), {"api": api})()
    return Engine(client)


def test_a_network_is_removed_after_an_error() -> None:
    api = FakeApi()
    network = TemporaryNetwork(engine(api), ME)
    with pytest.raises(KeyboardInterrupt), network:
        raise KeyboardInterrupt
    assert network.gateway == "172.18.0.1"
    assert api.log == [f"network airseal {ME}", "remove network airseal"]


def test_what_is_kept_is_nobody_s_orphan() -> None:
    api = FakeApi()
    with TemporaryNetwork(engine(api), ME, keep=True) as network:
        network.stay()
    assert api.log == ["network airseal kept"]
    with TemporaryNetwork(engine(api), ME, keep=True):
        pass  # no host ever came up: there is nothing to look at
    assert api.log[1:] == ["network airseal kept", "remove network airseal"]
    assert Owner.parse("kept") is None


def test_a_host_that_does_not_come_up_is_removed() -> None:
    api = FakeApi()
    with TemporaryNetwork(engine(api), ME) as network:
        host = TemporaryHost(engine(api), "image", network, Remembering())
        with pytest.raises(DockerError, match="the engine is leaving"), host:
            pass
    assert api.log[1:] == ["create image", "start c1", "remove c1", "remove network airseal"]


def test_where_privileged_is_refused_the_pieces_are_asked_for() -> None:
    api, reporter = FakeApi("OCI runtime create failed: unable to apply caps: operation not permitted"), Remembering()
    with TemporaryNetwork(engine(api), ME) as network:
        host = TemporaryHost(engine(api), "image", network, reporter)
        with pytest.raises(DockerError), host:
            pass
    first, asks, second = (settings["host_config"] for settings in api.made)
    assert first["privileged"] is True
    assert asks == {"pid_mode": "host"}  # the engine's machine, which need not be this one
    assert second["cap_drop"] == ["SYS_RESOURCE"]
    assert "privileged" not in second
    assert (second["cap_add"], second["MaskedPaths"]) == (["ALL"], [])
    assert "remove c1" in api.log
    assert any("single capabilities" in step for step in reporter.steps)


def test_other_trouble_is_not_tried_twice() -> None:
    api = FakeApi("no space left on device")
    with TemporaryNetwork(engine(api), ME) as network:
        host = TemporaryHost(engine(api), "image", network, Remembering())
        with pytest.raises(DockerError, match="no space left"), host:
            pass
    assert len(api.made) == 1
    assert "remove c1" in api.log


def test_orphans_are_removed_and_others_left() -> None:
    api = FakeApi()
    me = Owner.current()
    dead, alive = str(Owner(me.boot, me.namespace, 2**22 + 1, "1")), str(me)
    api.listed = (
        [{"Id": "c1", "Labels": {LABEL: dead}, "Created": time.time()}, {"Id": "c2", "Labels": {LABEL: alive}, "Created": 0}],
        [{"Id": "n1", "Labels": {LABEL: dead}, "Created": "2026-01-01T00:00:00.123456789Z"}],
    )
    assert remove_orphans(engine(api), Owner.current()) == 2
    assert api.log == ["remove c1", "remove network n1"]


def test_a_removal_cannot_be_interrupted() -> None:
    with uninterrupted():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_no_two_hosts_have_the_same_machine_id() -> None:
    api = FakeApi()
    with TemporaryNetwork(engine(api), ME) as network:
        for name in ("m1", "n1"):
            host = TemporaryHost(engine(api), "image", network, Remembering(), hostname=name)
            with pytest.raises(DockerError), host:
                pass
    assert len(set(api.given)) == 2
    assert all(len(each) == 33 for each in api.given)
