"""What the cluster phases share: waiting for the API, secrets that live for minutes, and leaving nothing half joined."""

from __future__ import annotations

import base64
import json
import secrets
import string
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from installer_stub.distro.base import JoinGrant
from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.distro.paths import CERTIFICATES, CERTIFICATES_OWNER
from installer_stub.errors import ClusterError, HostError, HostUnreachable
from installer_stub.facts.cluster import NodeFact, gather, is_same_host
from installer_stub.host.command import Command, Secret
from installer_stub.host.connection import Connection
from installer_stub.kube.control_plane import API_TIMEOUT, ControlPlane, Speaker
from installer_stub.kube.kubectl import Kubectl
from installer_stub.phases.base import Context
from installer_stub.phases.member import is_member
from installer_stub.plan.model import HostPlan

_RUN: Final = "/run/airseal"  # in memory: gone after a restart, whatever happened to us
GRANT_CONFIG: Final = f"{_RUN}/grant.yaml"
_ALPHABET: Final = string.ascii_lowercase + string.digits
INIT_TASK: Final = "start-first-master"
JOIN_TASK: Final = "join"

_WRITE: Final = 'umask 077; mkdir -p "${1%/*}"; chmod 0700 "${1%/*}"; cat > "$1.new"; mv -f "$1.new" "$1"'


def speaker(context: Context) -> Speaker:
    """Return a ready master; the one that spoke last as long as nobody asks anew by ``wait_for_api``.

    Where none is ready the first candidate speaks: its refusal says more than ours would. Raises HostUnreachable when no
    master is connected.
    """
    if context.speaking is None:
        masters = control_plane(context)
        found = masters.any_ready() or next(iter(masters.masters), None)
        if found is None:
            first = context.plan.masters[0].address
            raise HostUnreachable(first, "no master is connected", "let at least one master of the cluster be reached")
        context.speaking = found.host
    return Speaker(context.speaking, context.connection(context.speaking))


def control_plane(context: Context) -> ControlPlane:
    """Return the connected masters that are members; before there is any, the one that the cluster begins with."""
    reachable = context.reachable(context.plan.masters)
    members = context.each(reachable, lambda _host, connection: _is_proved_member(connection)) if reachable else {}
    speaking = tuple(host for host in reachable if members[host.address]) or reachable[:1]
    return ControlPlane(Speaker(host, context.connection(host)) for host in speaking)


def _is_proved_member(connection: Connection) -> bool:
    try:
        return is_member(connection)
    except HostError:  # lost meanwhile, or in doubt: it does not speak for the others, and nothing is done to it for that
        return False


def kubectl(context: Context) -> Kubectl:
    """Return kubectl on a ready master."""
    return speaker(context).kubectl


def wait_for_api(
    context: Context,
    *,
    timeout: float = API_TIMEOUT,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return once a master's API server says that it is ready: it speaks from here on. Raises ClusterError."""
    context.speaking = None
    context.speaking = control_plane(context).wait_for_any(timeout=timeout, clock=clock, sleep=sleep).host


def write_secret(connection: Connection, path: str, text: str) -> None:
    """Write a file that only root reads, in a directory that only root enters. Its text is never logged."""
    connection.run(Command.shell(_WRITE, path, changes=f"write {path}", stdin=Secret(text)))


def remove(connection: Connection, path: str) -> None:
    """Remove a file of ours, if it is there."""
    connection.run(Command.of("rm", "-f", path, f"{path}.new", changes=f"remove {path}"))


# kubeadm gives the certificates an owner that ends after two hours: a token without any use, but a token. Of each run that was killed
# one is left, and nothing but its description tells what it was.
_OWNER: Final = base64.b64encode(CERTIFICATES_OWNER.encode()).decode()
_TOKENS: Final = ("--field-selector=type=bootstrap.kubernetes.io/token", '--output=jsonpath={range .items[*]}{.metadata.name} {.data.description}{"\\n"}{end}')


def authority_hash(context: Context) -> str:
    """Return what joining hosts pin the cluster's CA by. Raises ClusterError where the speaking master has none."""
    connection = speaker(context).connection
    try:
        return KUBEADM.authority_hash(connection.read(KUBEADM.authority) or b"")
    except ValueError:
        raise ClusterError(f"{connection.host.address}: {KUBEADM.authority} is no certificate", "look who changed it; kubeadm made it") from None


@contextmanager
def join_grant(context: Context, *, masters: bool) -> Iterator[JoinGrant]:
    """Let hosts join for as long as the block lasts: a token, for masters the certificates too, both taken back after.

    They are made here, travel to a ready master through stdin, and stand nowhere but in a 0600 file in memory.
    """
    host, master, authority = speaker(context).host, speaker(context).connection, authority_hash(context)
    token_id = "".join(secrets.choice(_ALPHABET) for _ in range(6))
    token = f"{token_id}.{''.join(secrets.choice(_ALPHABET) for _ in range(16))}"
    grant = JoinGrant(Secret(token), authority, Secret(secrets.token_hex(32)) if masters else None)
    try:
        write_secret(master, GRANT_CONFIG, KUBEADM.first_master_config(context.plan, host, grant))
        script = KUBEADM.grant_script(GRANT_CONFIG, masters=masters)
        master.run(Command.shell(script, changes="let hosts join"))
        remove(master, GRANT_CONFIG)
        yield grant
    finally:
        _take_back(context, master, token_id, masters=masters)


def _take_back(context: Context, master: Connection, token_id: str, *, masters: bool) -> None:
    """Best effort: what is not taken back ends by itself, the token after minutes, the certificates after two hours."""
    names = [f"bootstrap-token-{token_id}"]
    try:
        remove(master, GRANT_CONFIG)
        if masters:
            tokens = kubectl(context).run("-n", "kube-system", "get", "secrets", *_TOKENS, check=False)
            names += [CERTIFICATES, *(line.split()[0] for line in tokens.stdout.splitlines() if tokens.ok and line.split()[1:] == [_OWNER])]
        arguments = ("-n", "kube-system", "delete", "secret", "--ignore-not-found", "--wait=false", *names)
        kubectl(context).run(*arguments, changes="take the join token back", check=False)
    except HostError:
        context.notes.append(f"{master.host.address}: the join token could not be taken back; it ends within 15 minutes")


def member_id(members: str, address: str) -> str | None:
    """Return the hexadecimal id of the etcd member at ``address`` in ``etcdctl member list -w json``, or None."""
    try:
        listed = json.loads(members).get("members", [])
    except ValueError as error:
        raise ClusterError(f"etcd's list of members cannot be read: {members[:200]!r}") from error
    for member in listed:
        if KUBEADM.datastore.peer(address) in (member.get("peerURLs") or []):
            return f"{int(member['ID']):x}"
    return None


def forget_etcd_member(context: Context, host: HostPlan) -> None:
    """Remove what a join that did not end left in etcd. While that host's etcd still runs: then there is a quorum."""
    store = KUBEADM.datastore
    etcd = ("-n", "kube-system", "exec", store.pod(speaker(context).host.name), "-c", store.container, "--", *store.client)
    listed = kubectl(context).run(*etcd, "member", "list", "--write-out=json")
    found = member_id(listed.stdout, host.internal)
    if found is not None:
        kubectl(context).run(*etcd, "member", "remove", found, changes=f"remove {host.name} from etcd")


def require_own_name(context: Context, host: HostPlan, machine_id: str) -> None:
    """Return if the name of ``host`` is free, or its own from before. Raises HostError: a name has one host."""
    node = gather(kubectl(context)).named(host.name)
    if node is not None and not is_same_host(node, host.internal, machine_id):
        raise name_taken(node, host)


def name_taken(node: NodeFact, host: HostPlan) -> HostError:
    """Return the error for a host that has another node's name."""
    where = ", ".join(node.addresses) or "an unknown address"
    return HostError(
        host.address,
        f"its name {host.name} is that of the {'live ' if node.ready else ''}node at {where}; neither was changed",
        f"give the host a name of its own (hostnamectl set-hostname NAME on {host.address}) and run again",
    )


def forget_node(context: Context, host: HostPlan, machine_id: str) -> None:
    """Remove the Node object that this very host had before. Raises HostError if its name is that of another host."""
    require_own_name(context, host, machine_id)
    arguments = ("delete", "node", host.name, "--ignore-not-found", "--wait=true", "--timeout=60s")
    kubectl(context).run(*arguments, changes=f"remove node {host.name}")
