"""Attendant: a container without rights in a lab's network, which stays until it is removed, or nobody renews it any more."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from bundler.cluster.lease import until_its_end
from bundler.cluster.network import TemporaryNetwork
from bundler.cluster.uninterrupted import heard_afterwards, uninterrupted
from bundler.engine import Engine


class Attendant:
    """Not there until ``start``. ``id`` is the container's, ``address`` where hosts of the network reach it."""

    def __init__(self, engine: Engine, image: str, network: TemporaryNetwork, hostname: str, *, volumes: Sequence[str] = (), leased: bool = True) -> None:
        self._engine, self._image, self._network = engine, image, network
        self._hostname, self._volumes, self._leased = hostname, volumes, leased
        self.name = f"{network.name}-{hostname}-{secrets.token_hex(2)}"
        self.id = self.address = ""

    def start(self, files: bytes) -> None:
        """Make it with ``files``, a tar, and start it. Raises what docker's client raises; ``remove`` takes away what there is then."""
        api = self._engine.client.api
        endpoint = api.create_networking_config({self._network.name: api.create_endpoint_config()})  # type: ignore[arg-type]
        stays = until_its_end() if self._leased else "exec sleep infinity"
        with heard_afterwards():
            made: dict[str, Any] = api.create_container(
                self._image, command=["/bin/sh", "-c", stays], name=self.name, hostname=self._hostname, labels=self._network.labels,
                volumes=[*self._volumes], host_config=api.create_host_config(init=True), networking_config=endpoint,
            )  # fmt: skip
            self.id = made["Id"]
        api.put_archive(self.id, "/", files)
        api.start(self.id)
        if self._leased:
            self._network.lease.hold(self.id)
        found = api.inspect_container(self.id)
        self.address = str(found["NetworkSettings"]["Networks"][self._network.name]["IPAddress"])

    def remove(self) -> None:
        """Take it away, if it is there."""
        import docker.errors

        if self.id:
            self._network.lease.drop(self.id)
            with uninterrupted(), suppress(docker.errors.APIError):
                self._engine.client.api.remove_container(self.id, force=True, v=True)
            self.id = ""
