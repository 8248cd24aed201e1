"""``install``, ``check`` and ``reset``, from options to exit code. Read ``_install``: it is the order of things."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from installer_stub.bundle.reader import Bundle
from installer_stub.decide import build_plan
from installer_stub.errors import (
    ClusterError,
    HostsFailed,
    HostUnreachable,
    InstallerError,
    Interrupted,
    UsageError,
)
from installer_stub.facts.gather import HostFacts, gather_all
from installer_stub.host.command import Secret
from installer_stub.host.connect import connect_all
from installer_stub.host.connection import Connection
from installer_stub.host.known_hosts import HostKeyPolicy
from installer_stub.host.login import Login
from installer_stub.host.model import Host
from installer_stub.kube.kubectl import Kubectl
from installer_stub.kube.volumes import host_volumes
from installer_stub.options import InstallOptions, Verb
from installer_stub.phases import runner
from installer_stub.phases.base import Artifact, Context
from installer_stub.phases.pipeline import INSTALL
from installer_stub.plan import Plan
from installer_stub.preflight.checks import check_all, require
from installer_stub.preflight.finding import Site
from installer_stub.ui import prompts
from installer_stub.ui.console import Console, console
from installer_stub.ui.logfile import log_file
from installer_stub.ui.summary import closing, findings_text, plan_text
from installer_stub.ui.transfer import size

_FIREWALL: Final = (
    "rules that kube-proxy and the network made in iptables go at the next restart of a host; kubeadm leaves them too"
)


@dataclass(frozen=True, slots=True)
class _Run:
    """What all three verbs work with."""

    options: InstallOptions
    bundle: Bundle
    screen: Console
    login: Login
    log: str
    begun: float
    secrets: list[Secret]


def main(options: InstallOptions) -> int:
    """Do what ``options.verb`` says. Return 0; every other exit code is that of an InstallerError, which is raised."""
    begun = time.monotonic()
    secrets: list[Secret] = []
    with Bundle.open(options.bundle) as bundle, log_file(f"airseal-{options.verb}", secrets) as log:
        screen = console(json_events=options.json)
        try:
            login = _login(options)
            secrets += [secret for secret in (login.password, login.become_password) if secret is not None]
            run = _Run(options, bundle, screen, login, str(log), begun, secrets)
            {Verb.INSTALL: _install, Verb.CHECK: _check, Verb.RESET: _reset}[options.verb](run)
        except InstallerError as error:
            error.remedy = f"{error.remedy}\n  full log: {log}".lstrip()
            if options.json:
                screen.event("error", error.problem, remedy=error.remedy, exit_code=error.exit_code)
            raise
        finally:
            screen.close()
    return 0


def _install(run: _Run) -> None:
    _verify(run)
    connections = _connect(run, run.options.hosts)
    try:
        plan = _survey(run, connections)
        context = Context(
            plan=plan,
            connections=dict(connections),
            artifact=_artifact(run),
            reporter=run.screen,
            kubeconfig=str(run.options.kubeconfig),
            lock=run.bundle.lock,
            secrets=run.secrets,
        )
        runner.run(INSTALL, context)
    finally:
        _close(connections)
    seconds = time.monotonic() - run.begun
    notes = [*context.notes, f"site registry: {', '.join(plan.images.endpoints)}, serving {len(run.bundle.lock.images)} images"]
    notes.append(f"its login: {plan.images.credential_path} on every host, for root")
    text = closing(plan, kubeconfig=str(run.options.kubeconfig), seconds=seconds, notes=notes, log=run.log)
    figures = {"hosts": len(plan.hosts), "images": len(run.bundle.lock.images), "seconds": round(seconds, 1)}
    _result(run, text, **figures, kubeconfig=str(run.options.kubeconfig), notes=notes)


def _check(run: _Run) -> None:
    _verify(run)
    connections = _connect(run, run.options.hosts)
    try:
        plan = _survey(run, connections)
    finally:
        _close(connections)
    _result(run, f"{plan_text(plan)}\n\nThe installation can begin; nothing was changed.", hosts=len(plan.hosts))


def _reset(run: _Run) -> None:
    """Undo on every host that is ours and answers. Raises HostsFailed for those that do not, after the others."""
    _agree(run.options)
    connections, lost = _connect_reachable(run)
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
            context = Context(plan, mine, _artifact(run), run.screen)
            left += _volumes_left(context)
            runner.undo_all(INSTALL, context)
    finally:
        _close(connections)
    if lost:
        raise lost[0] if len(lost) == 1 else HostsFailed(lost)
    names = ", ".join(host.address for host in ours) or "no host"
    notes = "".join(f"\n  - {note}" for note in left)
    _result(run, f"{names}: as before the installation, but for what is listed here.{notes}", hosts=len(ours), left=left)


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


def _login(options: InstallOptions) -> Login:
    return Login(
        identities=(str(options.identity),) if options.identity is not None else (),
        password=prompts.ask_secret("SSH password") if options.ask_pass else None,
        become_password=prompts.ask_secret("sudo password") if options.ask_become_pass else None,
    )


def _verify(run: _Run) -> None:
    run.screen.step(f"{run.bundle.info.title}: verifying {size(run.bundle.size)}")
    what = "verify"
    run.bundle.verify(lambda count: run.screen.moved(what, count, run.bundle.size))


def _connect(run: _Run, hosts: Sequence[Host]) -> dict[str, Connection]:
    options = run.options
    known = str(options.known_hosts) if options.known_hosts is not None else None
    policy = HostKeyPolicy.of(known, options.kubeconfig.parent, prompts.host_keys(accept=options.yes))
    run.screen.step(f"connecting to {len(hosts)} host{'s' if len(hosts) > 1 else ''}")
    return dict(connect_all(hosts, run.login, policy, ask_passphrase=prompts.ask_passphrase))


def _connect_reachable(run: _Run) -> tuple[dict[str, Connection], list[HostUnreachable]]:
    """Return connections to the hosts that answer, and why the others do not. Any other failure is raised."""
    hosts, lost = run.options.hosts, list[HostUnreachable]()
    while hosts:
        try:
            return _connect(run, hosts), lost
        except (HostUnreachable, HostsFailed) as error:
            failures = error.failures if isinstance(error, HostsFailed) else (error,)
            silent = [failure for failure in failures if isinstance(failure, HostUnreachable)]
            if len(silent) < len(failures):
                raise
            lost += silent
            gone = {failure.host for failure in silent}
            hosts = tuple(host for host in hosts if host.address not in gone)
            for failure in silent:
                run.screen.step(f"going on without {failure.problem}")
    raise lost[0] if len(lost) == 1 else HostsFailed(lost)


def _survey(run: _Run, connections: Mapping[str, Connection]) -> Plan:
    """Read all facts, decide the plan, show every finding. Raises PreflightFailed; nothing has changed until here."""
    options = run.options
    facts = gather_all(connections)
    plan = build_plan(options, facts, run.bundle.info, certificate_validity=options.certificate_validity)
    site = Site(options.hosts, facts, run.bundle.info, options.pod_cidr, options.service_cidr, run.bundle.size)
    findings = check_all(site)
    if options.json:
        for finding in findings:
            fields = {"severity": finding.severity.value, "host": finding.host, "remedy": finding.remedy}
            run.screen.event("finding", finding.problem, **fields)
    else:
        run.screen.step(findings_text(findings))
    require(findings)
    return plan


def _artifact(run: _Run) -> Artifact:
    return Artifact(
        stub_size=run.bundle.stub_size,
        open_stub=run.bundle.stub_stream,
        stub_digest=run.bundle.stub_digest,
        run_path=str(run.options.bundle or run.bundle.path),
        run_size=run.bundle.size,
        run_digest=str(run.bundle.digest),
    )


def _close(connections: Mapping[str, Connection]) -> None:
    for connection in connections.values():
        connection.close()


def _result(run: _Run, text: str, **fields: object) -> None:
    if run.options.json:
        run.screen.event("done", text, **fields)
    else:
        run.screen.close()
        print(text, flush=True)

