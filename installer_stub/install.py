"""``install``, ``check`` and ``reset``, from options to exit code. Read ``_install``: it is the order of things."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

from installer_stub.errors import (
    ClusterError,
    HostError,
    HostsFailed,
    HostsLeftOut,
    InstallerError,
    PreflightFailed,
    SiteContradiction,
)
from installer_stub.facts.gather import gather_all
from installer_stub.kube.kubectl import Kubectl
from installer_stub.kube.volumes import host_volumes
from installer_stub.ledger.report import Report
from installer_stub.options import InstallOptions, Verb
from installer_stub.phases import runner
from installer_stub.phases.base import Context
from installer_stub.phases.cluster_access import kubectl
from installer_stub.phases.pipeline import INSTALL
from installer_stub.phases.reset_hosts import require_complete, reset_hosts
from installer_stub.phases.start_agents import nobody_works, start_agents, working
from installer_stub.plan.decide import build_plan
from installer_stub.quiet.diagnosis import diagnosed
from installer_stub.site.find import with_marks
from installer_stub.site.whose import ResetChoices, agree, ours_only, whose
from installer_stub.ui.summary import closing, plan_text
from installer_stub.verbs.prepare import connected, context_of, prepare
from installer_stub.verbs.session import Session, artifact, close, connect_reachable, result, session, verify
from installer_stub.verbs.show_plan import show_plan


def main(options: InstallOptions) -> int:
    """Do what ``options.verb`` says. Return 0; every other exit code is that of an InstallerError, which is raised."""
    with session(options) as run:
        _VERBS[options.verb](run)
    return 0


def _install(run: Session) -> None:
    sha256 = verify(run)
    with connected(run) as connections:
        try:
            surveyed, plan = prepare(run, connections)
        except (ClusterError, HostError, HostsFailed, PreflightFailed, SiteContradiction):
            nobody_works(connections.values())
            raise
        context = context_of(run, surveyed, plan, sha256)
        context.alone, context.left_out, context.verb = True, dict(run.lost), run.options.verb.value
        with working(context):
            start_agents(context)
            with diagnosed(lambda: kubectl(context), lambda: [context.connection(host) for host in context.reachable()], context.secrets):
                runner.run(INSTALL, context)
    seconds = time.monotonic() - run.begun
    notes = [*context.notes, f"site registry: {', '.join(plan.images.endpoints)}, serving {run.bundle.lock.count}"]
    notes.append(f"its login: {plan.images.credential_path} on every host, for root")
    if context.left_out:
        plan = replace(plan, hosts=tuple(host for host in plan.hosts if host.address not in context.left_out))
    text = closing(plan, kubeconfig=str(run.options.kubeconfig), seconds=seconds, notes=notes, log=run.log)
    figures = {"hosts": len(plan.hosts), "images": len(run.bundle.lock.images), "seconds": round(seconds, 1)}
    if context.left_out:
        run.screen.step(text)
        raise HostsLeftOut(tuple(context.left_out.values()))
    result(run, text, **figures, kubeconfig=str(run.options.kubeconfig), notes=notes)


def _check(run: Session) -> None:
    verify(run)
    with connected(run) as connections:
        _, plan = prepare(run, connections)
    result(run, f"{plan_text(plan)}\n\nThe installation can begin; nothing was changed.", hosts=len(plan.hosts))


def _reset(run: Session) -> None:
    """Undo on every host that is ours and answers. Raises HostsFailed for those that do not, after the others."""
    connections, lost = connect_reachable(run, run.options.hosts)
    left: list[str] = []
    reports: dict[str, Report] = {}
    failures: dict[str, InstallerError] = {error.host: error for error in lost}
    try:
        facts = with_marks(gather_all(connections), belonging := whose(connections))
        ours = ours_only(run.options.hosts, facts, belonging.marks)
        agree(run.options, run.bundle.info.name, belonging, ours)
        for host in run.options.hosts:
            if host.address in connections and host not in ours:
                run.screen.step(f"{host.address}: nothing of ours is there")
        if ours:
            plan = build_plan(ResetChoices(ours), facts, run.bundle.info)
            mine = {host.address: connections[host.address] for host in ours}
            with working(Context(plan, mine, artifact(run), run.screen, verb="reset")) as context:
                start_agents(context, needed=False)
                left += _volumes_left(context)
                reports, failed = reset_hosts(context, run.options.abandon)
                failures |= failed
    finally:
        close(connections)
    for address, report in reports.items():
        run.screen.step(f"{address}: {report.text()}")
    require_complete(reports, failures)
    names = ", ".join(host.address for host in ours) or "no host"
    notes = "".join(f"\n  - {note}" for note in left)
    differences = {address: report.difference for address, report in reports.items()}
    text = f"{names}: every change is undone" + (f"; what stays:{notes}" if notes else "")
    result(run, text, hosts=len(ours), left=left, difference=differences)


def _volumes_left(context: Context) -> list[str]:
    """Return where the application's data lies on the hosts. The cluster may be half made or dead: then nobody knows."""
    masters = context.reachable(context.plan.masters)
    master = Kubectl(context.connection(masters[0])) if masters else None
    if master is None or not master.api_ready():
        return ["the cluster does not answer: volumes on the hosts' disks, if there are any, cannot be listed; they stay"]
    try:
        return [f"the application's data stays on {volume}" for volume in host_volumes(master.items("persistentvolumes"))]
    except InstallerError as error:
        return [f"volumes on the hosts' disks stay; they cannot be listed: {error.problem}"]


_VERBS: Final = {
    Verb.INSTALL: _install,
    Verb.JOIN: _install,
    Verb.CHECK: _check,
    Verb.PLAN: show_plan,
    Verb.RESET: _reset,
}
