"""Balance: every host finds the API without any particular master (docs/adr/0014).

A joining kubelet cannot start static pods before its first certificate is there, so a join goes through one ready master by
the name in /etc/hosts. Then the balancer comes, is proved to lead to the API, and kubelet turns to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar, Final

from installer_stub.changes.things import Kind, Thing
from installer_stub.distro import api_servers, balancer
from installer_stub.errors import HostError
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection, read_all
from installer_stub.host.model import Role
from installer_stub.phases.base import Context, HostPhase
from installer_stub.phases.join_masters import JoinMasters
from installer_stub.phases.journal import Journal
from installer_stub.phases.member import is_member
from installer_stub.plan.model import LOCAL_API, HostPlan, Plan

_TIMEOUT: Final = 300.0  # seconds: the balancer's image comes over the site's network first
_STOP: Final = "systemctl stop kubelet.service"
_START: Final = "systemctl daemon-reload; systemctl start kubelet.service"


class Balance(HostPhase):
    """Masters turn to their own API server, nodes to their own balancer or to the site's endpoint."""

    title: ClassVar[str] = "Give every host its own way to the API"
    after = (JoinMasters,)  # etcd's members are not disturbed while others join
    seconds: ClassVar[float] = 10.0

    def things(self, plan: Plan, host: HostPlan) -> tuple[Thing, ...]:
        """A node's balancer."""
        written = [path for path, text in files(plan, host).items() if text is not None]
        return (*(Thing(Kind.FILE, path) for path in written), *((Thing(Kind.DIRECTORY, balancer.DIRECTORY),) if written else ()))

    def is_done(self, context: Context, host: HostPlan, connection: Connection) -> bool:
        """Compare the balancer's files, the servers that kubeconfigs name, and whether kubelet runs."""
        return is_at_home(context.plan, host, connection)

    def do(self, context: Context, host: HostPlan, connection: Connection) -> None:
        """Turn the host. It keeps its old way until the new one has answered."""
        settle_in(context, host, connection)
        if context.plan.nodes and not context.plan.bundle.balancer and context.plan.access.endpoint is None:
            first = context.plan.masters[0].internal
            note = f"this bundle has no load balancer: nodes reach the API through {first} alone; build it with a newer base, or give --endpoint"
            context.notes += [note] if note not in context.notes else []


def files(plan: Plan, host: HostPlan) -> dict[str, str | None]:
    """Return the balancer's files on ``host``; None: there should be none."""
    if host.role is Role.NODE and plan.node_api == LOCAL_API:
        return {balancer.CONFIG: balancer.config(plan, host), balancer.MANIFEST: balancer.manifest(plan, host)}
    return {balancer.MANIFEST: None}


def is_at_home(plan: Plan, host: HostPlan, connection: Connection) -> bool:
    """Tell whether ``host`` finds the API as it should. Raises HostError for what cannot be read."""
    wanted = files(plan, host)
    there = read_all(connection, wanted)
    if any(there[path] != (None if text is None else text.encode()) for path, text in wanted.items()):
        return False
    if any(_wrong(plan, host, connection)):
        return False
    return connection.run(Command.of("systemctl", "is-active", api_servers.KUBELET_UNIT), check=False).ok


def settle_in(context: Context, host: HostPlan, connection: Connection) -> None:
    """Make it so. Killed at any moment, the next run sees what is left to do: kubelet is stopped while its file changes."""
    plan = context.plan
    if not is_member(connection) or is_at_home(plan, host, connection):
        return
    _write(plan, host, connection)
    wrong = _wrong(plan, host, connection)
    server = LOCAL_API if host.role is Role.MASTER else plan.node_api
    if api_servers.KUBELET in wrong and host.role is Role.NODE:
        wait_for_server(connection, server)
    others = [file for file in wrong if file != api_servers.KUBELET]
    if others:
        connection.run(api_servers.point(server, *others))
    if api_servers.KUBELET in wrong:
        connection.run(Command.shell(_STOP, changes="stop kubelet while its kubeconfig changes"))
        connection.run(api_servers.point(server, api_servers.KUBELET))
    connection.run(Command.shell(_START, changes="start kubelet"))
    # Last: until kubelet has turned, this was its way to the API.
    for path in [path for path, text in files(plan, host).items() if text is None and connection.read(path) is not None]:
        connection.run(Command.of("rm", "-f", path, changes=f"remove {path}"))
    context.reporter.step(f"{host.address}: finds the API at {server.removeprefix('https://')}")


def wait_for_server(
    connection: Connection,
    server: str,
    *,
    timeout: float = _TIMEOUT,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return once a ready API server answers this host's kubelet at ``server``. Raises HostError; nothing has turned then."""
    deadline = clock() + timeout
    while not (answer := connection.run(api_servers.try_server(server), check=False)).ok:
        if clock() >= deadline:
            said = " ".join((answer.stderr or answer.stdout).split())[-300:]
            raise HostError(
                connection.host.address,
                f"the API does not answer at {server} after {timeout:.0f} s, so kubelet was left as it was: {said}",
                f"look there: crictl or ctr -n k8s.io containers ls, journalctl -u kubelet, {balancer.CONFIG}",
            )
        sleep(1.0)


def _write(plan: Plan, host: HostPlan, connection: Connection) -> None:
    journal = Journal(connection)
    if any(text is not None for text in files(plan, host).values()):
        journal.remember((Kind.DIRECTORY, balancer.DIRECTORY))
    for path, text in files(plan, host).items():
        if text is not None:
            journal.write(path, text)


def _wrong(plan: Plan, host: HostPlan, connection: Connection) -> tuple[str, ...]:
    """Return the kubeconfigs that name another server than they should."""
    if host.role is Role.NODE:
        found = api_servers.parse_servers(connection.run(api_servers.read_servers(api_servers.KUBELET)).stdout)
        return tuple(file for file, server in found.items() if server != plan.node_api)
    found = api_servers.parse_servers(connection.run(api_servers.read_servers(*api_servers.MASTER_FILES)).stdout)
    # What kubeadm made point to the master's own address stays as it is.
    return tuple(file for file, server in found.items() if api_servers.names_the_endpoint(server))
