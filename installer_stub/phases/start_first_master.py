"""The first master: ``kubeadm init``, which makes the cluster's CA where it keeps it, and DNS that fits the site."""

from __future__ import annotations

import json
from typing import ClassVar, Final

from installer_stub.distro.coredns import without_forward
from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.errors import ClusterError
from installer_stub.host.model import Role
from installer_stub.kube.kubectl import Kubectl
from installer_stub.kube.rewrite import rewrite
from installer_stub.membership.record import Record, Stage, note_script
from installer_stub.membership.verdict import Membership
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.cluster_access import (
    INIT_TASK,
    kubectl,
    remove,
    wait_for_api,
    write_secret,
)
from installer_stub.phases.member import begin, complete, is_settled, membership
from installer_stub.phases.task import Task, run_task, settle_task
from installer_stub.plan.model import HostPlan, Plan

_CONFIG: Final = "/run/airseal/init.yaml"

_INITIALISED: Final = f"rm -f {_CONFIG}\n{KUBEADM.flush_script}{note_script(Record(Stage.INITIALISED))}"


class StartFirstMaster(Phase):
    """Two steps, each with its mark on the host: initialised by kubeadm, then complete. Before the first mark, all over."""

    title: ClassVar[str] = "Start the first master"
    after = ()  # but what its host needs: the nodes' files come meanwhile
    seconds: ClassVar[float] = 15.0

    def hosts(self, plan: Plan) -> tuple[HostPlan, ...]:
        """That one."""
        return plan.masters[:1]

    def is_needed(self, context: Context) -> bool:
        """Ask the host whether it has become a member of its cluster. Raises HostInDoubt."""
        return not is_settled(context, context.plan.masters[0])

    def run(self, context: Context) -> None:
        """Do what is missing, or go on with what an earlier run left running. Raises ClusterError where others have a cluster."""
        host = context.plan.masters[0]
        config = KUBEADM.first_master_config(context.plan, host)

        def said(line: str) -> None:
            context.reporter.step(f"  {line}")

        # kubeadm init of an earlier run that still runs, with the same configuration, is minutes that need not be lost.
        settle_task(context.first, Task(INIT_TASK, "", config), said=said)
        found = membership(context, host)
        if found is Membership.MEMBER:
            return  # its record was lost, and is there again
        if found is not Membership.INITIALISED:
            require_no_other_member(context, host)
            begin(context.first)
            write_secret(context.first, _CONFIG, config)
            # Only what we began ourselves is taken off; a host that was never in a cluster has nothing of ours.
            clean = KUBEADM.leave_script(context.plan.settings) if found is Membership.BEGUN else ""
            script = "set -eu\n" + clean + KUBEADM.start_script(_CONFIG) + _INITIALISED
            run_task(context.first, Task(INIT_TASK, script, config), said=said)
        remove(context.first, _CONFIG)
        wait_for_api(context)
        # kubeadm init makes a join token whether one is wanted or not. In a cluster this new there is no other.
        arguments = ("-n", "kube-system", "delete", "secrets", "--field-selector=type=bootstrap.kubernetes.io/token")
        kubectl(context).run(*arguments, changes="take kubeadm's join token back")
        if not context.plan.dns_forwarding:
            stop_forwarding(kubectl(context))
            context.notes.append("no nameserver at this site: cluster DNS answers for the cluster alone")
        complete(context.first)


def require_no_other_member(context: Context, host: HostPlan) -> None:
    """Return if no other host of the plan is in a cluster. Raises ClusterError: a second cluster beside the first helps nobody."""
    others = tuple(each for each in context.reachable() if each.address != host.address)
    found = context.each(others, lambda other, _connection: membership(context, other, note=False)) if others else {}
    members = [other for other in others if found.get(other.address) in {Membership.MEMBER, Membership.INITIALISED}]
    if not members:
        return
    names = ", ".join(each.address for each in members)
    masters = [each.address for each in members if each.role is Role.MASTER]
    order = ",".join([*masters, *(each.address for each in context.plan.masters if each.address not in masters)])
    remedy = f"name a master that has the cluster first: --master {order}" if masters else "name the master that these nodes belong to first"
    raise ClusterError(f"{host.address} has no cluster, but {names} {'is' if len(members) == 1 else 'are'} in one; nothing was changed", remedy)


def stop_forwarding(kubectl: Kubectl) -> None:
    """Take ``forward`` out of CoreDNS's Corefile, and its pods away, which may have the old one: also after a kill in between."""
    rewrite(lambda: _rewrite_corefile(kubectl))
    arguments = ("-n", "kube-system", "delete", "pods", "-l", "k8s-app=kube-dns", "--wait=false", "--ignore-not-found")
    kubectl.run(*arguments, changes="start CoreDNS again")


def _rewrite_corefile(kubectl: Kubectl) -> None:
    config = json.loads(json.dumps(kubectl.get("configmap", "coredns", "-n", "kube-system")))
    corefile = config.get("data", {}).get("Corefile")
    if corefile is None:
        raise ClusterError("the ConfigMap kube-system/coredns has no Corefile")
    changed = without_forward(corefile)
    if changed == corefile:
        return
    config["data"]["Corefile"] = changed
    kubectl.run("replace", "-f", "-", changes="take forward out of the Corefile", stdin=json.dumps(config).encode())
