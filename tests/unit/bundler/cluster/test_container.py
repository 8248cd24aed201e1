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

from bundler.cluster.clear import clear
from bundler.cluster.container import TemporaryHost, remove_orphans
from bundler.cluster.network import TemporaryNetwork
from bundler.cluster.ownership import LABEL, Owner
from bundler.cluster.uninterrupted import heard_afterwards, uninterrupted
from bundler.engine import Engine
from bundler.errors import DockerError
from bundler.lab.attendant import Attendant
from installer_stub.stopping import stoppable
from tests.unit.bundler.reporter import Remembering

ME = Owner("boot-1", "pid:[1]", 100, "5000")


class FakeApi:
    """The part of docker's APIClient that makes and removes hosts, and remembers which there are, by name."""

    def __init__(self, refusal: str = "") -> None:
        self.refusal = refusal
        self.log: list[str] = []
        self.made: list[dict[str, Any]] = []
        self.given: list[bytes] = []  # machine-ids
        self.listed: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
        self.there: dict[str, str] = {}  # id of a container or network: its name
        self.busy = 0  # removals that the engine will refuse yet

    def create_network(self, name: str, **settings: Any) -> None:
        self.log.append(f"network {name.partition('-')[0]} {settings['labels'][LABEL]}")
        self.there[name] = name

    def inspect_network(self, _name: str) -> dict[str, Any]:
        return {"IPAM": {"Config": [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}]}}

    def remove_network(self, name: str) -> None:
        if self.there.pop(name, None) is None and not self.listed[1]:
            raise docker.errors.NotFound("404")
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
        self.there[f"c{len(self.made)}"] = settings["name"]
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
        if self.busy:
            self.busy -= 1
            raise docker.errors.APIError("409", explanation="device or resource busy")
        self.log.append(f"remove {container}")
        self.there = {key: name for key, name in self.there.items() if container not in (key, name)}

    def containers(self, *, filters: dict[str, str], **_: Any) -> list[dict[str, Any]]:
        if "name" not in filters:
            return self.listed[0]
        return [{"Id": key} for key, name in self.there.items() if key != name and filters["name"] in name]

    def networks(self, *, names: tuple[str, ...] = (), **_: Any) -> list[dict[str, Any]]:
        return [{"Id": name} for name in names if name in self.there] if names else self.listed[1]


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


class Hasty(FakeApi):
    """Ctrl-C comes while the engine makes what it was asked for: the n-th thing. It makes it nevertheless, as a real one does."""

    def __init__(self, number: int, stop: signal.Signals) -> None:
        super().__init__("unable to apply caps")
        self._number, self._stop = number, stop

    def _asked(self) -> None:
        self._number -= 1
        if not self._number:
            os.kill(os.getpid(), self._stop)
            time.sleep(0)  # a signal is heard between two steps of the interpreter

    def create_network(self, name: str, **settings: Any) -> None:
        self._asked()
        super().create_network(name, **settings)

    def create_container(self, image: str, **settings: Any) -> dict[str, str]:
        self._asked()
        return super().create_container(image, **settings)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("number", "made"), [(1, 0), (2, 1), (3, 2), (4, 3)])
def test_ctrl_c_while_the_engine_makes_something_leaves_nothing(number: int, made: int, stop: signal.Signals) -> None:
    """Network, host, the container that asks for capabilities, host again."""
    api = Hasty(number, stop)
    with stoppable(), pytest.raises(KeyboardInterrupt), TemporaryNetwork(engine(api), ME) as network, TemporaryHost(engine(api), "image", network, Remembering()):
        pass
    assert (api.there, len(api.made)) == ({}, made)


def test_ctrl_c_while_an_attendant_is_made_leaves_nothing() -> None:
    api = Hasty(2, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), TemporaryNetwork(engine(api), ME) as network:
        Attendant(engine(api), "image", network, "operator").start(b"")
    assert api.there == {}


def test_a_container_of_which_nobody_knows_is_found_and_goes() -> None:
    """The engine made it, and its answer was lost."""
    api = FakeApi()
    with TemporaryNetwork(engine(api), ME) as network:
        api.create_container("image", name=f"{network.name}-n1")
        api.create_container("image", name="airseal-build-00000000")
    assert list(api.there.values()) == ["airseal-build-00000000"]


def test_what_the_engine_does_not_remove_at_once_is_removed_later() -> None:
    api, reporter = FakeApi(), Remembering()
    with TemporaryNetwork(engine(api), ME, reporter=reporter) as network:
        api.create_container("image", name=network.name)
        api.busy = 2
    assert (api.there, reporter.steps) == ({}, [])


def test_what_the_engine_never_removes_is_named() -> None:
    api = FakeApi()
    api.create_container("image", name="airseal-build-1")
    api.busy = 1000
    assert clear(engine(api), "airseal-build-1", patience=0.01) == "device or resource busy"


def test_a_removal_cannot_be_interrupted() -> None:
    with uninterrupted():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_is_heard_when_the_block_has_ended_and_not_twice() -> None:
    log: list[str] = []

    def block() -> None:
        with heard_afterwards():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            log.append("ended")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert log == ["ended"]
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
