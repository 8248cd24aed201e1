"""The first master: ``kubeadm init`` with the CA that is already there, and DNS that fits the site."""

from __future__ import annotations

import json
from typing import ClassVar, Final

from installer_stub.distro.coredns import without_forward
from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.errors import ClusterError
from installer_stub.host.command import Command
from installer_stub.kube.kubectl import Kubectl
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.cluster_access import (
    INIT_TASK,
    kubectl,
    leave_all,
    remove,
    wait_for_api,
    write_secret,
)
from installer_stub.phases.member import AUTHORITY, become_member_script, is_member, leave_script
from installer_stub.phases.task import Task, run_task, stop_task
from installer_stub.plan import STATE

_CONFIG: Final = "/run/airseal/init.yaml"
_INITIALISED: Final = f"{STATE}/first-master.initialised"

# kubeadm reset takes /etc/kubernetes/pki with it; the CA has its home elsewhere and comes back. Without one (a
# recording) kubeadm makes its own.
_BRING_AUTHORITY: Final = f"""\
rm -f {_INITIALISED}
if [ -s {AUTHORITY}/ca.key ]; then
  mkdir -p /etc/kubernetes/pki; cp -p {AUTHORITY}/ca.crt {AUTHORITY}/ca.key /etc/kubernetes/pki/
  chmod 0644 /etc/kubernetes/pki/ca.crt
fi
"""
_NOTE_INITIALISED: Final = f"""\
rm -f {_CONFIG}
sync; sha256sum < /etc/kubernetes/pki/ca.crt > {_INITIALISED}.new; mv -f {_INITIALISED}.new {_INITIALISED}; sync {STATE}
"""
_IS_INITIALISED: Final = '[ -s "$1" ] && [ "$(cat "$1")" = "$(sha256sum < "$2")" ]'


class StartFirstMaster(Phase):
    """Two steps, each with its mark on the host: initialised by kubeadm, then complete. Before the first mark, all over."""

    title: ClassVar[str] = "Start the first master"

    def is_needed(self, context: Context) -> bool:
        """Ask the host whether it has become a member of its cluster."""
        return not is_member(context.first)

    def run(self, context: Context) -> None:
        """Stop what an earlier run left running, then do what is missing."""
        stop_task(context.first, INIT_TASK)
        check = Command.shell(_IS_INITIALISED, _INITIALISED, "/etc/kubernetes/pki/ca.crt")
        if not context.first.run(check, check=False).ok:
            host = context.plan.masters[0]
            write_secret(context.first, _CONFIG, KUBEADM.first_master_config(context.plan, host))
            script = (
                "set -eu\n"
                + leave_script()
                + KUBEADM.reset_script(keep_etcd_membership=True)
                + _BRING_AUTHORITY
                + KUBEADM.start_script(_CONFIG)
                + _NOTE_INITIALISED
            )
            run_task(context.first, Task(INIT_TASK, script))
        remove(context.first, _CONFIG)
        wait_for_api(context)
        # kubeadm init makes a join token whether one is wanted or not. In a cluster this new there is no other.
        arguments = ("-n", "kube-system", "delete", "secrets", "--field-selector=type=bootstrap.kubernetes.io/token")
        kubectl(context).run(*arguments, changes="take kubeadm's join token back")
        if not context.plan.dns_forwarding:
            stop_forwarding(kubectl(context))
            context.notes.append("no nameserver at this site: cluster DNS answers for the cluster alone")
        context.first.run(Command.shell(become_member_script(), changes="note that the first master is complete"))

    def undo(self, context: Context) -> None:
        """Take it off the first master."""
        leave_all(context, context.plan.masters[:1])


def stop_forwarding(kubectl: Kubectl) -> None:
    """Take ``forward`` out of CoreDNS's Corefile, and its pods with the old one away."""
    config = json.loads(json.dumps(kubectl.get("configmap", "coredns", "-n", "kube-system")))
    corefile = config.get("data", {}).get("Corefile")
    if corefile is None:
        raise ClusterError("the ConfigMap kube-system/coredns has no Corefile")
    changed = without_forward(corefile)
    if changed == corefile:
        return
    config["data"]["Corefile"] = changed
    kubectl.run("replace", "-f", "-", changes="take forward out of the Corefile", stdin=json.dumps(config).encode())
    arguments = ("-n", "kube-system", "delete", "pods", "-l", "k8s-app=kube-dns", "--wait=false", "--ignore-not-found")
    kubectl.run(*arguments, changes="start CoreDNS again")
