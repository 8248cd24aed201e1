"""A temporary host: a container with systemd on a docker network of its own, and its certain removal."""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from bundler.cluster.archive import archive
from bundler.cluster.connection import DockerConnection
from bundler.cluster.network import TemporaryNetwork
from bundler.cluster.ownership import LABEL, Belonging, Owner, orphans
from bundler.cluster.privilege import (
    UNMASKED,
    VOLUMES,
    boot_command,
    engine_status,
    piecewise,
    privileged,
    refused,
    unknown_capability,
)
from bundler.cluster.uninterrupted import heard_afterwards, uninterrupted
from bundler.engine import Engine, docker_errors, explanation
from bundler.errors import ClusterFailed, DockerError
from installer_stub.host.command import Command
from installer_stub.host.model import Host, Role
from installer_stub.phases.reporter import Reporter

_BOOT_SECONDS = 90  # systemd needs 5 here
_ENDED = ("exited", "dead")


class TemporaryHost:
    """A running host, removed with its volumes when the ``with`` block ends, however it ends; unless its network is kept."""

    def __init__(
        self,
        engine: Engine,
        image: str,
        network: TemporaryNetwork,
        reporter: Reporter,
        *,
        hostname: str = "build",
        role: Role = Role.MASTER,
        files: bytes = b"",
    ) -> None:
        self._engine = engine
        self._image = image
        self._network = network
        self._reporter = reporter
        self._hostname, self._role = hostname, role
        self._files = files  # a tar for its root, there before it starts
        self.name = network.name if hostname == "build" else f"{network.name}-{hostname}"
        self.container = ""

    def __enter__(self) -> DockerConnection:
        try:
            with docker_errors("docker cannot start the temporary host"):
                self._start()
                if not self._network.keep:
                    self._network.lease.hold(self.container)
                found = self._engine.client.api.inspect_container(self.container)
            address = found["NetworkSettings"]["Networks"][self._network.name]["IPAddress"]
            connection = DockerConnection(self._engine.client.api, self.container, Host(address, self._role))
            self._wait(connection)
        except BaseException:
            with uninterrupted():
                self._remove()
            raise
        return connection

    def __exit__(self, *_: object) -> None:
        with uninterrupted():
            if not self._network.stays:
                self._remove()

    def _start(self) -> None:
        """Start privileged; where the engine may not give that, piece by piece."""
        import docker.errors

        try:
            self._create(privileged(), {})
            self._engine.client.api.start(self.container)
        except docker.errors.APIError as error:
            if not refused(explanation(error)):
                raise
            self._reporter.step("the engine cannot run privileged containers here: asking for the single capabilities")
            self._remove()
            self._start_piecewise()

    def _start_piecewise(self) -> None:
        import docker.errors

        status, unknown = engine_status(self._engine, self._image, self._network), set[str]()
        while True:
            try:
                self._create(piecewise(status, unknown), UNMASKED)
                return self._engine.client.api.start(self.container)
            except docker.errors.APIError as error:
                name = unknown_capability(explanation(error))
                if not name or name in unknown:
                    raise
                unknown.add(name)
                self._remove()

    def _create(self, settings: dict[str, Any], extra: dict[str, list[str]]) -> None:
        api = self._engine.client.api
        host_config = {**api.create_host_config(**settings), **extra}
        endpoint = api.create_endpoint_config()
        networking = api.create_networking_config({self._network.name: endpoint})  # type: ignore[arg-type]
        with heard_afterwards():
            created = api.create_container(
                self._image,
                command=boot_command(closed=self._network.closed, leased=not self._network.keep),
                name=self.name,
                hostname=self._hostname,
                labels=self._network.labels,
                volumes=list(VOLUMES),
                host_config=host_config,
                networking_config=networking,
                stop_signal="SIGRTMIN+3",
            )
            self.container = created["Id"]
        # systemd would take the machine's own for all of them, and they would look like clones of one host.
        api.put_archive(self.container, "/", archive({"etc/machine-id": (f"{secrets.token_hex(16)}\n".encode(), 0o444)}))
        if self._files:
            api.put_archive(self.container, "/", self._files)

    def _wait(self, connection: DockerConnection) -> None:
        """Wait for systemd, and check that the host reaches this machine."""
        deadline = time.monotonic() + _BOOT_SECONDS
        while True:
            state = connection.run(Command.of("systemctl", "is-system-running"), check=False).stdout.strip()
            if state in {"running", "degraded"}:
                return
            if time.monotonic() > deadline:
                hint = f"look at it with --keep-cluster and docker exec {self.name} systemctl list-jobs"
                raise ClusterFailed(f"systemd in the temporary host is {state or 'silent'} after {_BOOT_SECONDS} s", hint)
            time.sleep(0.5)

    def _remove(self) -> None:
        import docker.errors

        if self.container:
            self._network.lease.drop(self.container)
            with suppress(docker.errors.APIError):
                self._engine.client.api.remove_container(self.container, force=True, v=True)
            self.container = ""


def check_reachable(connection: DockerConnection, address: str, port: int) -> None:
    """Raise ClusterFailed unless the host can connect to this machine: a firewall here would look like slow pulls later."""
    # bash's /dev/tcp, because a host has no curl.
    probe = Command.of("timeout", "10", "bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}")
    if not connection.run(probe, check=False).ok:
        hint = f"let this machine's firewall accept connections from docker's networks, for example: iptables -I INPUT -d {address} -j ACCEPT; or build with --recorder relay"
        raise ClusterFailed(f"the temporary host cannot reach the recording proxy at {address}:{port}", hint)


def remove_orphans(engine: Engine, owner: Owner) -> int:
    """Remove what builds that were killed left in docker, and return how many things that were."""
    import docker.errors

    api = engine.client.api
    count = 0
    for item in orphans(belongings(engine), owner):
        with suppress(docker.errors.APIError):  # the engine keeps a network that somebody is in
            if item.kind == "container":
                api.remove_container(item.id, force=True, v=True)
            else:
                api.remove_network(item.id)
            count += 1
    return count


def belongings(engine: Engine) -> list[Belonging]:
    """Return every container and network that carries our label."""
    api = engine.client.api
    with docker_errors("docker cannot list containers"):
        containers = api.containers(all=True, filters={"label": LABEL})
        networks = api.networks(filters={"label": LABEL})
    now = time.time()
    found = [Belonging("container", item["Id"], item["Labels"][LABEL], now - float(item["Created"]), ended=item.get("State") in _ENDED) for item in containers]
    return found + [Belonging("network", item["Id"], item["Labels"][LABEL], now - _epoch(item["Created"])) for item in networks]


def _epoch(text: str) -> float:
    """Return a timestamp of docker's, which has nanoseconds, in seconds."""
    try:
        return datetime.fromisoformat(text[:19]).replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise DockerError(f"docker gave a time that cannot be read: {text}") from error
