"""``install``, ``check`` and ``reset``, from options to exit code. Read ``_install``: it is the order of things."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from installer_stub.decide import build_plan
from installer_stub.errors import (
    ClusterError,
    HostsFailed,
    InstallerError,
    Interrupted,
    NodesLeftOut,
    UsageError,
)
from installer_stub.facts.cluster import ClusterFacts, gather
from installer_stub.facts.gather import HostFacts, gather_all
from installer_stub.host.connection import Connection
from installer_stub.host.model import Host, Role
from installer_stub.kube.kubectl import Kubectl
from installer_stub.kube.volumes import host_volumes
from installer_stub.options import InstallOptions, Verb
from installer_stub.phases import runner
from installer_stub.phases.base import Context
from installer_stub.phases.pipeline import INSTALL
from installer_stub.plan import Plan
from installer_stub.preflight.checks import check_all, require
from installer_stub.preflight.finding import Site
from installer_stub.ui import prompts
from installer_stub.ui.summary import closing, findings_text, plan_text
from installer_stub.verbs.session import (
    Session,
    artifact,
    close,
    connect,
    connect_reachable,
    result,
    session,
    verify,
)

_FIREWALL: Final = (
    "rules that kube-proxy and the network made in iptables go at the next restart of a host; kubeadm leaves them too"
)


def main(options: InstallOptions) -> int:
    """Do what ``options.verb`` says. Return 0; every other exit code is that of an InstallerError, which is raised."""
    with session(options) as run:
        {Verb.INSTALL: _install, Verb.CHECK: _check, Verb.RESET: _reset}[options.verb](run)
    return 0


def _install(run: Session) -> None:
    verify(run)
    connections = connect(run, run.options.hosts)
    try:
        plan, facts = _survey(run, connections)
        context = Context(
            plan=plan,
            connections=dict(connections),
            artifact=artifact(run),
            reporter=run.screen,
            kubeconfig=str(run.options.kubeconfig),
            lock=run.bundle.lock,
            secrets=run.secrets,
            take=run.options.take,
            leftovers={address: tuple(left.path for left in found.leftovers) for address, found in facts.items()},
            force_rejoin=run.options.force_rejoin,
            alone=True,
        )
        runner.run(INSTALL, context)
    finally:
        close(connections)
    seconds = time.monotonic() - run.begun
    notes = [*context.notes, f"site registry: {', '.join(plan.images.endpoints)}, serving {len(run.bundle.lock.images)} images"]
    notes.append(f"its login: {plan.images.credential_path} on every host, for root")
    if context.left_out:
        plan = replace(plan, hosts=tuple(host for host in plan.hosts if host.address not in context.left_out))
    text = closing(plan, kubeconfig=str(run.options.kubeconfig), seconds=seconds, notes=notes, log=run.log)
    figures = {"hosts": len(plan.hosts), "images": len(run.bundle.lock.images), "seconds": round(seconds, 1)}
    if context.left_out:
        run.screen.step(text)
        raise NodesLeftOut(tuple(context.left_out.values()))
    result(run, text, **figures, kubeconfig=str(run.options.kubeconfig), notes=notes)


def _check(run: Session) -> None:
    verify(run)
    connections = connect(run, run.options.hosts)
    try:
        plan, _ = _survey(run, connections)
    finally:
        close(connections)
    result(run, f"{plan_text(plan)}\n\nThe installation can begin; nothing was changed.", hosts=len(plan.hosts))


def _reset(run: Session) -> None:
    """Undo on every host that is ours and answers. Raises HostsFailed for those that do not, after the others."""
    _agree(run.options)
    connections, lost = connect_reachable(run, run.options.hosts)
    left = [_FIREWALL]
    try:
        facts = gather_all(connections)
        ours = ours_only(run.options.hosts, facts)
        for host in run.options.hosts:
            if host.address in connections and host not in ours:
                run.screen.step(f"{host.address}: nothing of ours is there")
        if ours:
            options = replace(run.options, hosts=ours)
            plan = build_plan(options, facts, run.bundle.info)
            mine = {host.address: connections[host.address] for host in ours}
            context = Context(plan, mine, artifact(run), run.screen)
            left += _volumes_left(context)
            runner.undo_all(INSTALL, context)
    finally:
        close(connections)
    if lost:
        raise lost[0] if len(lost) == 1 else HostsFailed(lost)
    names = ", ".join(host.address for host in ours) or "no host"
    notes = "".join(f"\n  - {note}" for note in left)
    result(run, f"{names}: as before the installation, but for what is listed here.{notes}", hosts=len(ours), left=left)


def _volumes_left(context: Context) -> list[str]:
    """Return where the application's data lies on the hosts. The cluster may be half made or dead: then nobody knows."""
    masters = context.reachable(context.plan.masters)
    kubectl = Kubectl(context.connection(masters[0])) if masters else None
    if kubectl is None or not kubectl.api_ready():
        return ["the cluster does not answer: volumes on the hosts' disks, if there are any, cannot be listed; they stay"]
    try:
        return [f"the application's data stays on {volume}" for volume in host_volumes(kubectl.items("persistentvolumes"))]
    except InstallerError as error:
        return [f"volumes on the hosts' disks stay; they cannot be listed: {error.problem}"]


def ours_only(hosts: Sequence[Host], facts: Mapping[str, HostFacts]) -> tuple[Host, ...]:
    """Return the hosts that carry our mark. Raises ClusterError for one that is in a cluster we did not make."""
    foreign = [
        host.address
        for host in hosts
        if host.address in facts and facts[host.address].membership.joined and not facts[host.address].membership.ours
    ]
    if foreign:
        raise ClusterError(
            f"{', '.join(foreign)}: in a cluster that airseal did not install",
            "leave these hosts out; what others installed is not ours to remove",
        )
    return tuple(host for host in hosts if host.address in facts and facts[host.address].membership.ours)


def _agree(options: InstallOptions) -> None:
    if options.yes:
        return
    if not prompts.is_interactive():
        raise UsageError("reset removes the cluster and its data, and nobody can be asked here", "add --yes")
    names = ", ".join(host.address for host in options.hosts)
    if not prompts.confirm(f"Remove the cluster from {names}? Volumes on the hosts' own disks stay."):
        raise Interrupted("nothing was changed")


def _survey(run: Session, connections: Mapping[str, Connection]) -> tuple[Plan, Mapping[str, HostFacts]]:
    """Read all facts, decide the plan, show every finding. Raises PreflightFailed; nothing has changed until here."""
    options = run.options
    facts = gather_all(connections)
    plan = build_plan(options, facts, run.bundle.info, certificate_validity=options.certificate_validity, access=options.access)
    site = Site(options.hosts, facts, run.bundle.info, options.pod_cidr, options.service_cidr, run.bundle.size, options.take, _cluster(connections, options.hosts, facts))
    findings = check_all(site)
    if options.json:
        for finding in findings:
            fields = {"severity": finding.severity.value, "host": finding.host, "remedy": finding.remedy}
            run.screen.event("finding", finding.problem, **fields)
    else:
        run.screen.step(findings_text(findings))
    require(findings)
    return plan, facts


def _cluster(connections: Mapping[str, Connection], hosts: Sequence[Host], facts: Mapping[str, HostFacts]) -> ClusterFacts | None:
    """Return what the cluster that is there already says of its nodes; None where there is none, or nobody answers yet.

    What this finds early is asked again, and then has to be answered, before a host joins.
    """
    for host in hosts:
        member = facts[host.address].membership
        if host.role is Role.MASTER and member.joined and member.ours:
            with contextlib.suppress(InstallerError):
                return gather(Kubectl(connections[host.address]))
    return None
