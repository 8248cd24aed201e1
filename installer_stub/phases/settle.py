"""Wait until the application stands, and nothing happens any more."""

from __future__ import annotations

from typing import ClassVar, Final

from installer_stub.bundle.model import ClusterCommand
from installer_stub.host.command import Command, CommandResult
from installer_stub.host.connection import Connection
from installer_stub.kube.scope import EVERYTHING, Ownership, Scope
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.cluster_access import speaker, wait_for_api
from installer_stub.phases.run_commands import script
from installer_stub.plan.model import HostPlan, Plan
from installer_stub.quiet.declared import FILE, NOTHING, Declared, parse
from installer_stub.quiet.judge import Wishes
from installer_stub.quiet.settle import Runs, Settling, settle
from installer_stub.site.model import BundleState

_TIMEOUT: Final = 1800.0  # seconds: gigabytes of images over a slow network
_ALIVE: Final = Command.of("true")
_ANSWER: Final = 60.0  # seconds for a host to answer that
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
        """Raises NotSettled, which names every workload that is not ready, and HostUnreachable for a host that dies meanwhile.

        A node that may fail alone is left out then, and nobody waits for what wants to run on it.
        """
        wait_for_api(context)
        master = speaker(context)
        declared = declared_on(master.connection, context.plan)

        def wishes() -> Wishes:
            return Wishes(scope=scope(context), excused=declared.excused, images=_images(context))

        def anew() -> Wishes:
            context.each(context.plan.hosts, lambda _host, connection: connection.run(_ALIVE, timeout=_ANSWER))
            return wishes()

        runs = runner_of(master.connection, context.plan)
        work = Settling(master.kubectl, _TIMEOUT, wishes(), context.reporter, declared, runs, anew=anew, patient=not _stands(context), secrets=context.secrets)
        settled = settle(work)
        context.notes += settled.lines()
        context.notes += [f"not ready, and not waited for: {each}" for each in settled.outside[:_NAMED]]
        if len(settled.outside) > _NAMED:
            context.notes.append(f"and {len(settled.outside) - _NAMED} more that are not ready and were not waited for")


def scope(context: Context) -> Scope:
    """Return what this run answers for: what the lock names, on the hosts that take part."""
    ownership = Ownership.of(context.lock) if context.lock is not None else EVERYTHING
    return Scope(ownership, frozenset(host.name for host in context.reachable()))


def declared_on(connection: Connection, plan: Plan) -> Declared:
    """Return what the bundle on this host declares. Raises UsageError for a file that a build would have refused."""
    raw = connection.read(f"{plan.cluster_directory}/{FILE}")
    return NOTHING if raw is None else parse(raw)


def runner_of(connection: Connection, plan: Plan) -> Runs:
    """Return what runs a command of the bundle on this host as its CMDs run: same directory, same environment."""

    def runs(argv: tuple[str, ...], timeout: float) -> CommandResult:
        text = script(plan, ClusterCommand(argv))
        return connection.run(Command.shell(text), check=False, timeout=timeout)

    return runs


def _images(context: Context) -> frozenset[str] | None:
    return None if context.lock is None else frozenset(str(image.reference) for image in context.lock.images)


def _stands(context: Context) -> bool:
    """Tell whether this very bundle was accepted before, and this run has changed nothing."""
    bundles = context.record.site.bundles if context.record is not None else ()
    accepted = any(each.name == context.plan.bundle.name and each.state is BundleState.INSTALLED for each in bundles)
    return accepted and not context.worked
