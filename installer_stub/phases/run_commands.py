"""The Kubefile's CMDs, in order, on a master: what makes a cluster an application."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import ClassVar, Final

from installer_stub.bundle.model import ClusterCommand
from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.distro.units import PATH
from installer_stub.errors import ClusterError
from installer_stub.host.command import Command, masked
from installer_stub.host.connection import Connection
from installer_stub.kube.helm import pending_since, take_away
from installer_stub.kube.workloads import unready
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.cluster_access import kubectl, speaker, wait_for_api
from installer_stub.phases.command_environment import plan_environment
from installer_stub.phases.journal import Journal
from installer_stub.phases.task import Task, TaskFailed, look_at, run_task, stop_task
from installer_stub.plan.model import HOME, STATE, HostPlan, Plan
from installer_stub.ui.output import pass_on

OLDER: Final = f"{STATE}/commands.json"  # where an older airseal wrote down what is a fact in the ledger now
_FACT: Final = "command:"  # and the key: done for the cluster whose CA is the value
_IN_THE_IMAGE: Final = re.compile(r"(?<![\w.$}/:-])/cluster(?=/)")  # a path that is right in the image alone
_SHOWN: Final = 120  # characters of a command
_NODES_TIMEOUT: Final = 120.0  # seconds


def key(plan: Plan, index: int) -> str:
    """Return what names one command of one bundle: another text, place, value or bundle is another command."""
    bundle, command = plan.bundle, plan.bundle.commands[index]
    identity = [str(bundle.cluster.digest), index, list(command.argv), sorted(bundle.environment.items())]
    identity += [plan.values_identity] if plan.values_identity else []
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def script(plan: Plan, command: ClusterCommand) -> str:
    """Return the shell text that runs ``command`` as the build ran it."""
    bundle, directory = plan.bundle, plan.cluster_directory
    environment = {
        "HOME": HOME,
        **bundle.environment,
        **plan_environment(plan),
        "KUBECONFIG": KUBEADM.kubeconfig,
    }
    path = [f"{directory}/bin", *bundle.environment.get("PATH", "").split(":"), *PATH.split(":")]
    environment["PATH"] = ":".join(dict.fromkeys(part for part in path if part))
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())
    return f"{exports}mkdir -p {shlex.quote(environment['HOME'])}\ncd {shlex.quote(directory)}\nexec {shlex.join(command.argv)}\n"


class RunCommands(Phase):
    """What has ended well is a fact in every master's ledger, with the CA it was done for: it is not done again.

    One that still runs since an earlier run is attached to, one that ended well while nobody looked is not run again. A
    command that was cut runs again from its beginning, so it has to bear that, as kubectl apply and helm upgrade --install
    do, the latter with our help (kube/helm.py).
    """

    title: ClassVar[str] = "Run the application's commands"
    acts_on_cluster: ClassVar[bool] = True

    def hosts(self, plan: Plan) -> tuple[HostPlan, ...]:
        """A master, whichever is ready."""
        return plan.masters

    def duration(self, plan: Plan) -> float:
        """Each takes its time."""
        return 10.0 * len(plan.bundle.commands)

    def is_needed(self, context: Context) -> bool:
        """Compare the bundle's commands with those that every master knows to be done: one that has joined since knows of none."""
        bundle = context.plan.bundle
        wanted = {key(context.plan, index) for index in range(len(bundle.commands))}
        return not all(wanted <= known for known in _done(context).values())

    def run(self, context: Context) -> None:
        """Run those that are left, in order. Raises ClusterError naming the Kubefile's line."""
        bundle = context.plan.bundle
        authority = _authority(context)
        _take_over(context, authority)
        done = frozenset[str]().union(*_done(context).values())
        _write_down(context, authority, done)
        wait_for_api(context)
        given_up = frozenset[str]()
        for index, command in enumerate(bundle.commands):
            if key(context.plan, index) in done:
                continue
            if index > 0:
                # The first command brings the network, and no node is ready without one.
                given_up |= wait_for_nodes(context, given_up)
            context.reporter.step(f"command {index + 1} of {len(bundle.commands)}: {_short(command)}")
            _run(context, index, command, authority)
            _write_down(context, authority, [key(context.plan, index)])
            # Only now: until it is written down on the masters, the command's own result says that it is done.
            _forget(context, f"command-{index + 1}")


def wait_for_nodes(
    context: Context,
    given_up: Collection[str] = (),
    *,
    timeout: float = _NODES_TIMEOUT,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> frozenset[str]:
    """Wait until the nodes of all hosts that take part are ready, but not for ever: a network may come with a later command.

    Return the names of those that were waited for in vain; ``given_up`` are such names from before, which are not waited for again:
    a host that is off would cost every command as much. Settling judges.
    """
    deadline = clock() + timeout
    names = {host.name for host in context.reachable()} - set(given_up)
    while True:
        nodes = kubectl(context).items("nodes")
        found = unready(node for node in nodes if str(node["metadata"]["name"]) in names)
        if not found:
            return frozenset()
        if clock() >= deadline:
            context.reporter.step(f"going on although not every node is ready: {', '.join(map(str, found))}")
            return frozenset(each.name for each in found)
        sleep(1.0)


def _short(command: ClusterCommand) -> str:
    text = " ".join(command.text().split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _run(context: Context, index: int, command: ClusterCommand, authority: str) -> None:
    """Run one, or go on with what an earlier run began: on whichever master that was."""
    text = script(context.plan, command)
    task = Task(f"command-{index + 1}", text, f"{authority} {key(context.plan, index)}", command.timeout)
    states = context.each(context.reachable(context.plan.masters), lambda _host, connection: look_at(connection, task))
    there = [address for address, state in states.items() if state.concerns(task.digest)]
    master = context.connections[there[0]] if there else speaker(context).connection
    cut = [since for state in states.values() if (since := state.interrupted(task.digest)) is not None]
    if cut and not there:
        _recover(context, min(cut))

    def said(line: str) -> None:
        pass_on(context.reporter, f"command {index + 1}", masked(line, context.secrets))

    try:
        run_task(master, task, once=True, said=said)
    except TaskFailed as error:
        where = f"line {command.line} of the Kubefile" if command.line else f"command {index + 1} of the bundle"
        remedy = f"{error.remedy} (on {master.host.address})"
        if context.plan.recording:  # the host is gone in a moment, and everything it said was shown
            remedy = "correct the command or what it names and build again; the build's log has all that it said"
        if error.how.startswith("did not end"):
            remedy = f"CMD --timeout={2 * command.timeout // 60 or 1}m gives it longer; {remedy}"
        if _IN_THE_IMAGE.search(command.text()):
            remedy = f"what is /cluster in the image is {context.plan.cluster_directory} on hosts: name files from there (manifests/x.yaml), or by $AIRSEAL_CLUSTER_DIR; {remedy}"
        tail = masked(error.tail, context.secrets)
        raise ClusterError(f"{where}: {_short(command)}\n{error.how}:\n{tail}", remedy) from error


def _recover(context: Context, since: float) -> None:
    """Make a cluster fit for a second try of a command that was cut."""
    context.reporter.step("an earlier run of this command was cut before its end; it runs again")
    found = pending_since(kubectl(context), since)
    for each in found:
        context.reporter.step(f"helm {each} was left by it and would refuse every further try: taking helm's note of it away")
    take_away(kubectl(context), found)


def _authority(context: Context) -> str:
    return hashlib.sha256(speaker(context).connection.read(KUBEADM.authority) or b"").hexdigest()


def _done(context: Context) -> dict[str, frozenset[str]]:
    """Return the commands that each master knows to be done in this cluster, by the masters' addresses."""
    authority = _authority(context)

    def read(_host: HostPlan, connection: Connection) -> frozenset[str]:
        facts = Journal(connection).facts()
        return frozenset(name.removeprefix(_FACT) for name, value in facts.items() if name.startswith(_FACT) and value == authority)

    return context.each(context.reachable(context.plan.masters), read)


def _take_over(context: Context, authority: str) -> None:
    """Take over what an older airseal wrote down, for the masters' ledgers; a torn file said nothing."""

    def take(_host: HostPlan, connection: Connection) -> None:
        data = connection.read(OLDER)
        if data is None:
            return
        with suppress(ValueError, AttributeError):
            record = json.loads(data)
            if record.get("authority") == authority:
                Journal(connection).hold({f"{_FACT}{each}": authority for each in record.get("done", [])})
        connection.run(Command.of("rm", "-f", OLDER, changes=f"remove {OLDER}"))

    context.each(context.reachable(context.plan.masters), take)


def _forget(context: Context, name: str) -> None:
    context.each(context.reachable(context.plan.masters), lambda _host, connection: stop_task(connection, name))


def _write_down(context: Context, authority: str, done: Iterable[str]) -> None:
    facts = {f"{_FACT}{each}": authority for each in done}
    context.each(context.reachable(context.plan.masters), lambda _host, connection: Journal(connection).hold(facts))
