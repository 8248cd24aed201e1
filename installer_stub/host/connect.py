"""All hosts at once: reached, recognised, logged in, root. Each step reports every host that failed it."""

from __future__ import annotations

from collections.abc import Iterable

from installer_stub.errors import HostKeyRejected
from installer_stub.host.fanout import for_each
from installer_stub.host.known_hosts import FirstContact, HostKeyPolicy
from installer_stub.host.login import AskPassphrase, Login, Reached, authenticate, dial, load_identities
from installer_stub.host.model import Host
from installer_stub.host.ssh import SSHConnection


def connect_all(
    hosts: Iterable[Host], login: Login, policy: HostKeyPolicy, *, ask_passphrase: AskPassphrase | None = None
) -> dict[str, SSHConnection]:
    """Return a connection as root to every host, by address.

    Raises HostUnreachable, HostKeyRejected, AuthenticationFailed, or HostsFailed when several hosts fail the same step.
    No password goes to a host whose key was not accepted. On failure no connection stays open.
    """
    listed = tuple(hosts)
    identities = load_identities(login, ask_passphrase)
    opened: list[Reached] = []

    def reach(host: Host) -> Reached:
        reached = dial(host, policy.kinds(host))
        opened.append(reached)
        return reached

    def log_in(reached: Reached) -> SSHConnection:
        # While the operator compared fingerprints, sshd's LoginGraceTime (two minutes) may have passed.
        current = reached if reached.alive else reach(reached.host)
        if current.key != reached.key:
            raise HostKeyRejected(reached.address, "the host key changed between two connections", "find out who answers there")
        authenticate(current, login, identities)
        connection = SSHConnection(current.host, current.transport)
        connection.become_root(login.become_password or login.password)
        return connection

    try:
        reached = tuple(for_each(listed, reach).values())
        policy.check([FirstContact(one.host, one.key) for one in reached])
        return for_each(reached, log_in)
    except BaseException:
        for one in opened:
            one.close()
        raise
