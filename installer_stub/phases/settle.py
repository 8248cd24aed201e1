"""Wait until the application stands."""

from __future__ import annotations

from typing import ClassVar, Final

from installer_stub.kube.scope import EVERYTHING, Ownership, Scope
from installer_stub.kube.settle import settle
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.cluster_access import kubectl, wait_for_api
from installer_stub.plan.model import HostPlan, Plan

_TIMEOUT: Final = 1800.0  # seconds: gigabytes of images over a slow network
_NAMED: Final = 10  # of what is reported


class Settle(Phase):
    """Looks only, so it runs every time: nothing is called done that was not seen. What is the site's own is reported."""

    title: ClassVar[str] = "Wait until every workload is ready"
    looks: ClassVar[bool] = True
    seconds: ClassVar[float] = 30.0

    def hosts(self, plan: Plan) -> tuple[HostPlan, ...]:
        """The cluster, through a master."""
        return plan.masters[:1]

    def run(self, context: Context) -> None:
        """Raises NotSettled, which names every workload that is not ready."""
        wait_for_api(context)
        outside = settle(kubectl(context), timeout=_TIMEOUT, quiet=lambda: True, reporter=context.reporter, scope=scope(context))
        context.notes += [f"not ready, and not of this run: {each}" for each in outside[:_NAMED]]
        if len(outside) > _NAMED:
            context.notes.append(f"and {len(outside) - _NAMED} more that are not ready and not of this run")


def scope(context: Context) -> Scope:
    """Return what this run answers for: what the lock names, on the hosts that take part."""
    ownership = Ownership.of(context.lock) if context.lock is not None else EVERYTHING
    return Scope(ownership, frozenset(host.name for host in context.reachable()))
