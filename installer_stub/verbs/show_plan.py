"""``plan``: what an installation would do, phase by phase and host by host. Looks only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from installer_stub.errors import InstallerError
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.copy_bundle import CopyBundle
from installer_stub.phases.copy_stub import CopyStub
from installer_stub.phases.install_files import InstallFiles
from installer_stub.phases.pipeline import INSTALL
from installer_stub.phases.run_commands import RunCommands
from installer_stub.plan.model import HostPlan
from installer_stub.ui.summary import plan_text, table
from installer_stub.ui.transfer import duration, size
from installer_stub.verbs.prepare import connected, context_of, prepare
from installer_stub.verbs.session import Session, result, verify

# Bytes a second from the operator's machine to one host, over SSH: a gigabit network, and one core that encrypts.
_BANDWIDTH: Final = 60e6
# Seconds, as measured on two slow cores (docs/benchmarks.md); a site's own hosts are rather faster.
_SECONDS: Final = {
    "StartFirstMaster": 15.0,
    "JoinMasters": 15.0,  # each, one after the other
    "JoinNodes": 10.0,
    "ConfigureRuntime": 3.0,
    "PrepareHosts": 2.0,
    "ServeImages": 3.0,
    "Balance": 10.0,
    "RunCommands": 10.0,  # each
    "Settle": 30.0,
}


# The lease is taken by every run and ends with it; the stub that it may put on a host stands in the plan as CopyStub's.
_LOOKS: Final = frozenset({"StartAgents", "Settle", "Accept"})


@dataclass(frozen=True, slots=True)
class PlannedPhase:
    """One phase: whether it is needed, on which hosts, and how much it moves. ``needed`` None: earlier phases decide.

    ``looks``: it runs every time, and changes nothing.
    """

    title: str
    needed: bool | None
    hosts: tuple[str, ...]
    bytes: int
    seconds: float
    looks: bool = False


def show_plan(run: Session) -> None:
    """Print it. Raises what preparing raises: SiteContradiction, PreflightFailed."""
    sha256 = verify(run)
    with connected(run) as connections:
        surveyed, plan = prepare(run, connections)
        phases = planned(context_of(run, surveyed, plan, sha256), INSTALL)
    steps = [
        {"phase": each.title, "needed": each.needed, "looks": each.looks, "hosts": list(each.hosts), "bytes": each.bytes, "seconds": round(each.seconds)}
        for each in phases
    ]
    text = f"{plan_text(plan)}\n\n{planned_text(phases)}"
    before = surveyed.before
    epoch = {"cluster": surveyed.record.cluster, "epoch": surveyed.record.epoch, "recorded": before.epoch if before else None}
    result(run, text, steps=steps, record=epoch, hosts=len(plan.hosts))


def planned(context: Context, phases: Sequence[Phase]) -> tuple[PlannedPhase, ...]:
    """Return every phase with what it would do. A phase that cannot tell before an earlier one ran is left to that one."""
    return tuple(_planned(context, phase) for phase in phases)


def planned_text(phases: Sequence[PlannedPhase]) -> str:
    """Return a table of all phases, and the sums."""
    rows = [("#", "phase", "does", "hosts", "bytes", "about")]
    for number, each in enumerate(phases, 1):
        does = "looks" if each.looks else {True: "yes", False: "nothing to do", None: "if earlier phases change anything"}[each.needed]
        hosts = ", ".join(each.hosts) if each.needed is not False else ""
        rows.append((str(number), each.title, does, hosts, size(each.bytes) if each.bytes else "", f"{each.seconds:.0f} s" if each.seconds >= 1 else ""))
    total, moved = sum(each.seconds for each in phases), sum(each.bytes for each in phases)
    if all(each.needed is False or each.looks for each in phases):
        return f"{table(rows)}\n\nNothing would be changed."
    return f"{table(rows)}\n\nIn all {size(moved)} to send, about {duration(total)}. Nothing was changed."


def _planned(context: Context, phase: Phase) -> PlannedPhase:
    needed: bool | None
    try:
        needed = phase.is_needed(context)
    except InstallerError:
        needed = None
    hosts = phase_hosts(context, phase)
    if needed is False:
        return PlannedPhase(phase.title, needed, tuple(host.name for host in hosts), 0, 0.0)
    moved = _bytes(context, phase, hosts)
    names = tuple(host.name for host in hosts)
    return PlannedPhase(phase.title, needed, names, moved, _seconds(context, phase, hosts, moved), type(phase).__name__ in _LOOKS)


def phase_hosts(context: Context, phase: Phase) -> tuple[HostPlan, ...]:
    """Return the hosts on which ``phase`` works."""
    plan, name = context.plan, type(phase).__name__
    if isinstance(phase, InstallFiles):
        return tuple(host for host in plan.hosts if f"{host.role.value}s" in phase.title)
    if name in {"CopyBundle", "ServeImages", "KeepRecord"}:
        return plan.masters
    if name in {"StartFirstMaster", "PointProxy", "LabelNodes", "SpreadDns", "RunCommands", "Settle", "Accept", "WriteKubeconfig"}:
        return plan.masters[:1]
    if name == "JoinMasters":
        return plan.masters[1:]
    return plan.nodes if name == "JoinNodes" else plan.hosts


def _bytes(context: Context, phase: Phase, hosts: Sequence[HostPlan]) -> int:
    """Return what the operator's machine sends, and for files what hosts fetch."""
    if isinstance(phase, CopyStub):
        return context.artifact.stub_size * len(hosts)
    if isinstance(phase, CopyBundle):
        return context.artifact.run_size * len(hosts)
    return context.plan.bundle.files_size * len(hosts) if isinstance(phase, InstallFiles) else 0


def _seconds(context: Context, phase: Phase, hosts: Sequence[HostPlan], moved: int) -> float:
    each = _SECONDS.get(type(phase).__name__, 0.0)
    if isinstance(phase, RunCommands):
        each *= len(context.plan.bundle.commands)
    if type(phase).__name__ == "JoinMasters":
        each *= len(hosts)
    return each + moved / _BANDWIDTH
