"""Cluster DNS survives any one host: its pods are on two."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar, Final

from installer_stub.kube.kubectl import Object
from installer_stub.kube.spread import DNS_SELECTOR, crowded, is_placed
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.cluster_access import kubectl
from installer_stub.plan.model import HostPlan, Plan

_IN: Final = ("-n", "kube-system")
_TIMEOUT: Final = 120.0  # seconds until every host is ready; a network may come with a later command, and settling judges


class SpreadDns(Phase):
    """Once the hosts are ready, one of the pods is made anew where all of them came to one host."""

    title: ClassVar[str] = "Spread the cluster's DNS"
    acts_on_cluster: ClassVar[bool] = True

    def hosts(self, plan: Plan) -> tuple[HostPlan, ...]:
        """The cluster, through a master."""
        return plan.masters[:1]

    def is_needed(self, context: Context) -> bool:
        """Look where its pods are. With one host there is nothing to spread."""
        if len(context.reachable()) < 2:
            return False
        pods, nodes = _look(context)
        return not is_placed(pods, nodes) or crowded(pods, nodes) is not None

    def run(self, context: Context, *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep) -> None:
        """Wait for the hosts, then move one pod if need be. DNS answers meanwhile through the other."""
        deadline = clock() + _TIMEOUT
        while True:
            pods, nodes = _look(context)
            if is_placed(pods, nodes):
                break
            if clock() >= deadline:
                context.reporter.step("going on although not every host is ready: where the cluster's DNS runs is looked at by the next run")
                return
            sleep(1.0)
        pod = crowded(pods, nodes)
        if pod is not None:
            kubectl(context).run(*_IN, "delete", "pod", pod, "--wait=false", "--ignore-not-found", changes="move one of the cluster's DNS pods to another host")


def _look(context: Context) -> tuple[tuple[Object, ...], tuple[Object, ...]]:
    """Return DNS's pods, and the nodes of the hosts that take part."""
    cluster = kubectl(context)
    names = {host.name for host in context.reachable()}
    nodes = tuple(node for node in cluster.items("nodes") if str(node["metadata"]["name"]) in names)
    return cluster.items("pods", *_IN, "-l", DNS_SELECTOR), nodes
