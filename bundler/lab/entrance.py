"""Entrance: where a lab's hosts ask the recorder, which is a part of this process, wherever the engine is (ADR 0025).

Where docker's networks are in this process's own network namespace the recorder listens on the lab's gateway itself. Anywhere
else (an engine on another machine, docker-in-docker, a mounted socket, a virtual machine) a relay in the lab listens for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from bundler.cluster.door import Door, door
from bundler.cluster.network import TemporaryNetwork
from bundler.engine import Engine
from bundler.errors import ClusterFailed
from bundler.lab.relay import PORT, Relay
from bundler.lab.way import Way, found
from installer_stub.phases.reporter import Reporter
from registry_snapshot.errors import StoreError
from registry_snapshot.serve.http_server import App

_LOOPBACK: Final = "127.0.0.1"


@contextmanager
def entrance(engine: Engine, network: TemporaryNetwork, app: App, *, image: str, way: Way, reporter: Reporter) -> Iterator[Door]:
    """Serve ``app`` to the hosts of ``network`` while the ``with`` lasts; ``image`` is what a relay would run.

    Raises ClusterFailed where ``way`` does not lead there, DockerError.
    """
    if found(network.id, way) is Way.DIRECT:
        with _listening(app, network.gateway) as opened:
            yield opened
        return
    with Relay(engine, image, network) as relay, door(app, _LOOPBACK, (relay.address, PORT)) as opened:
        relay.forward(opened.listens)
        reporter.step("a relay in the lab brings what hosts ask to the recorder, which is here: docker's networks are elsewhere" if way is Way.AUTO else "a relay in the lab brings what hosts ask to the recorder")
        try:
            yield opened
        finally:
            if not relay.alive:
                reporter.step("the relay to the recorder was lost: the engine went away, or somebody removed the container")


@contextmanager
def _listening(app: App, address: str) -> Iterator[Door]:
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(door(app, address))
        except StoreError as error:
            hint = "with --recorder relay a container in the lab listens instead"
            raise ClusterFailed(f"the recording proxy cannot listen on docker's network: {error.problem}", hint) from None
        yield opened
