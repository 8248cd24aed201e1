"""Member: is a host part of the site's cluster. The host's evidence first, the cluster's word where that is not enough.

Wiping needs positive proof: our own record that a join was begun, and neither a record nor the cluster saying that it
ended. Whatever cannot be told is an error that names the host, never a "no".
"""

from __future__ import annotations

from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.errors import HostInDoubt, HostLeaving, InstallerError
from installer_stub.facts.cluster import ClusterFacts, NodeFact, gather
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection, write
from installer_stub.host.model import Role
from installer_stub.kube.kubectl import Kubectl
from installer_stub.membership import evidence, record
from installer_stub.membership.evidence import Evidence
from installer_stub.membership.record import Record, Stage
from installer_stub.membership.verdict import Doubt, Membership, judge, proved_by
from installer_stub.phases.base import Context
from installer_stub.plan.model import HostPlan


def look(connection: Connection) -> Evidence:
    """Return what lies on the host. Raises HostInDoubt for what could not be told."""
    return evidence.gather(connection, KUBEADM.traces)


def verdict(found: Evidence) -> Membership | Doubt:
    """Return what that proves."""
    return judge(found, KUBEADM.authority_keys(found.authority or b""))


def is_member(connection: Connection) -> bool:
    """Tell whether the host's own evidence proves that it completed. Raises HostInDoubt for what could not be told."""
    return verdict(look(connection)) is Membership.MEMBER


def is_settled(context: Context, host: HostPlan) -> bool:
    """Tell whether ``host`` is a member and has it on record. Looks only. Raises what ``examine`` does."""
    return verdict(examine(context, host, note=False)[1]) is Membership.MEMBER


def membership(context: Context, host: HostPlan, *, note: bool = True) -> Membership:
    """Return what ``host`` is. Raises what ``examine`` does."""
    return examine(context, host, note=note)[0]


def examine(context: Context, host: HostPlan, *, note: bool = True) -> tuple[Membership, Evidence]:
    """Return what ``host`` is, and the evidence. Raises HostInDoubt where neither it nor the cluster can prove it, HostLeaving.

    A member whose record was lost gets it back once the cluster says that it is one, unless ``note`` is False: so does one
    that completed in the moment in which the power went.
    """
    connection = context.connection(host)
    found = look(connection)
    proved = verdict(found)
    if proved is Membership.LEAVING:
        raise HostLeaving(host.address)
    if proved in {Membership.MEMBER, Membership.ABSENT, Membership.INITIALISED}:
        return Membership(proved), found
    cluster, unheard = cluster_word(context)
    node = _same_node(cluster, host, found)
    if proved_by(node, master=host.role is Role.MASTER):
        if not note:
            return Membership.MEMBER, found
        note_member(connection, found)
        context.notes.append(f"{host.address}: its record of being a member was not there; the cluster says that it is one, so it was written again")
        return Membership.MEMBER, found
    if isinstance(proved, Doubt):
        if host.address in context.force_rejoin and cluster is not None:
            return Membership.BEGUN, found
        raise _unclear(host, proved, node, unheard)
    return Membership.BEGUN, found


def _same_node(cluster: ClusterFacts | None, host: HostPlan, found: Evidence) -> NodeFact | None:
    node = cluster.at(host.internal) if cluster is not None else None
    return node if node is not None and (not found.machine_id or node.machine_id in {"", found.machine_id}) else None


def _unclear(host: HostPlan, doubt: Doubt, node: NodeFact | None, unheard: str) -> HostInDoubt:
    if unheard:
        word = f"and no API server could be asked ({unheard})"
    elif node is None:
        word = "and the cluster knows no node at this address"
    else:
        word = f"and the cluster's node {node.name} is {'ready, but not marked as a master' if node.ready else 'not ready'}"
    return HostInDoubt(
        host.address,
        f"cannot tell whether it is part of the cluster: {doubt.why}, {word}. It was not changed",
        f"make the host well again if its Kubernetes is alive (systemctl status kubelet there); if all of it may be wiped: install with --force-rejoin {host.address}",
    )


def cluster_word(context: Context) -> tuple[ClusterFacts | None, str]:
    """Return what any connected master's API says of the nodes, or None and why nobody could say."""
    unheard: list[str] = []
    for master in context.reachable(context.plan.masters):
        try:
            return gather(Kubectl(context.connection(master), KUBEADM.kubeconfig, patience=0)), ""
        except InstallerError as error:
            unheard.append(f"{master.address}: {' '.join(error.problem.split())[-160:]}")
    return None, "; ".join(unheard)


def note_member(connection: Connection, found: Evidence) -> None:
    """Write down that the host is a member, of the CA that it has."""
    keys = sorted(KUBEADM.authority_keys(found.authority or b""))
    write(connection, record.PATH, record.render(Record(Stage.MEMBER, keys[0] if keys else "")), mode=0o600)


def begin(connection: Connection, authority: str = "") -> None:
    """Write down that an init or a join begins: from now on what is half made may be cleaned."""
    write(connection, record.PATH, record.render(Record(Stage.BEGUN, authority)), mode=0o600)


def complete(connection: Connection) -> None:
    """Write down that the host has become a member, everything that came before on its disk first."""
    connection.run(Command.shell(KUBEADM.flush_script, changes="put the membership on the disk"))
    note_member(connection, look(connection))


def become_member_script(authority: str) -> str:
    """Return shell text that writes it down: last in a script that joins a host."""
    return KUBEADM.flush_script + record.note_script(Record(Stage.MEMBER, authority))
