"""Order of phases, what an error says, and undoing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from installer_stub.errors import ClusterError, HostUnreachable, Interrupted
from installer_stub.host.model import Role
from installer_stub.phases import runner
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.install_files import InstallFiles
from installer_stub.phases.pipeline import INSTALL, RECORD, RECORD_TOPOLOGY
from installer_stub.phases.schedule import schedule_of
from installer_stub.phases.start_first_master import StartFirstMaster
from installer_stub.plan.model import HostPlan
from installer_stub.plan.step import Key
from tests.fakes.plans import M1, M2, M3, N1, RecordingReporter, make_context, make_plan, masters, nodes


@dataclass
class Told(Phase):
    title: str  # type: ignore[misc]
    log: list[str]
    needed: bool = True
    error: BaseException | None = None
    contexts: list[Context] = field(default_factory=list)

    def is_needed(self, context: Context) -> bool:
        self.log.append(f"{self.title}?")
        return self.needed

    def run(self, context: Context) -> None:
        self.log.append(self.title)
        if self.error is not None:
            raise self.error



def context() -> Context:
    return make_context(make_plan(*masters(M1)))


def test_phases_run_in_order_and_only_those_that_are_needed() -> None:
    log: list[str] = []
    here = context()
    runner.run((Told("one", log), Told("two", log, needed=False), Told("three", log)), here)
    assert log == ["one?", "one", "two?", "three?", "three"]
    assert isinstance(here.reporter, RecordingReporter)
    assert here.reporter.steps == ["[1/3] one", "[2/3] two: nothing to do", "[3/3] three"]


def test_an_error_names_its_phase_says_to_run_again_and_undoes_nothing() -> None:
    log: list[str] = []
    with pytest.raises(ClusterError) as caught:
        runner.run((Told("one", log), Told("two", log, error=ClusterError("it broke", "mend it")), Told("three", log)), context())
    assert caught.value.problem == "two: it broke"
    assert caught.value.remedy == f"mend it; then {runner.AGAIN}"
    assert log == ["one?", "one", "two?", "two"]


@pytest.mark.parametrize("remedy", ["run the same command again", "wait until it has ended, and run the same command again"])
def test_that_the_command_is_to_be_run_again_is_said_once(remedy: str) -> None:
    with pytest.raises(ClusterError) as caught:
        runner.run((Told("one", [], error=ClusterError("it broke", remedy)),), context())
    assert caught.value.remedy == remedy


def test_an_error_while_looking_names_its_phase_too() -> None:
    class Lost(Told):
        def is_needed(self, context: Context) -> bool:
            raise HostUnreachable(M1, "no answer")

    with pytest.raises(HostUnreachable, match=f"^look: {M1}: no answer"):
        runner.run((Lost("look", []),), context())


def test_ctrl_c_is_an_interruption_with_its_own_exit_code() -> None:
    with pytest.raises(Interrupted, match="two") as caught:
        runner.run((Told("one", []), Told("two", [], error=KeyboardInterrupt())), context())
    assert caught.value.exit_code == 130
    assert runner.AGAIN in str(caught.value)


def test_a_mistake_of_ours_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        runner.run((Told("two", [], error=ZeroDivisionError()),), context())
    assert caught.value.__notes__ == ["during: two"]


def position(phases: tuple[Phase, ...], name: str, role: Role | None = None) -> int:
    for place, phase in enumerate(phases):
        if type(phase).__name__ == name and (role is None or (isinstance(phase, InstallFiles) and phase._role is role)):
            return place
    raise AssertionError(f"{name} is missing")


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (("CopyStub",), ("CopyBundle",)),
        (("CopyBundle",), ("InstallFiles", Role.MASTER)),  # masters unpack their own artifact
        (("CopyStub",), ("CreateAuthority",)),  # the stub makes the CA
        (("CreateAuthority",), ("ServeImages",)),  # with its certificate
        (("CopyStub",), ("CreateCredential",)),  # and the login
        (("CreateCredential",), ("ServeImages",)),  # which asks for it
        (("ServeImages",), ("InstallFiles", Role.NODE)),  # nodes fetch from there
        (("InstallFiles", Role.NODE), ("ConfigureRuntime",)),
        (("ConfigureRuntime",), ("StartFirstMaster",)),
        (("ConfigureRuntime",), ("PullImages",)),  # by containerd, from the site registry
        (("PullImages",), ("JoinMasters",)),
        (("StartFirstMaster",), ("JoinMasters",)),
        (("JoinMasters",), ("JoinNodes",)),
        (("JoinNodes",), ("RunCommands",)),
        (("RunCommands",), ("Settle",)),
        (("Settle",), ("Accept",)),
        (("Accept",), ("WriteKubeconfig",)),  # nobody gets a kubeconfig of a cluster that was not looked at
    ],
)
def test_install_has_each_phase_after_what_it_leans_on(earlier: Any, later: Any) -> None:
    assert position(INSTALL, *earlier) < position(INSTALL, *later)


@pytest.mark.parametrize("recording", [RECORD, RECORD_TOPOLOGY])
def test_a_recording_runs_phases_of_the_installation_in_its_order(recording: tuple[Phase, ...]) -> None:
    names = [phase.title for phase in INSTALL]
    places = [names.index(phase.title) for phase in recording]
    assert places == sorted(places)
    assert "Copy the bundle to the masters" not in {phase.title for phase in recording}


@pytest.mark.parametrize("table", [INSTALL, RECORD, RECORD_TOPOLOGY])
@pytest.mark.parametrize("hosts", [masters(M1), (*masters(M1), *nodes(N1)), (*masters(M1, M2, M3), *nodes(N1))])
def test_nothing_works_on_a_cluster_that_does_not_stand(table: tuple[Phase, ...], hosts: tuple[HostPlan, ...]) -> None:
    """Seen: a table without KeepRecord let nodes join beside kubeadm init, which then took their token back; they waited for ever."""
    plan = make_plan(*hosts)
    steps = schedule_of(table, plan, make_context(plan, {}).artifact).steps
    after: dict[Key, set[Key]] = {}
    lanes: dict[str, Key] = {}
    for step in steps:
        direct = {*step.needs, *(lanes[host] for host in step.hosts if host in lanes)}
        after[step.key] = direct.union(*(after[key] for key in direct))
        lanes |= dict.fromkeys(step.hosts, step.key)
    (stands,) = (step.key for step in steps if step.title == StartFirstMaster.title)
    early = {step.title for step in steps if stands not in after[step.key] and table[step.key.phase - 1].acts_on_cluster}
    assert not early
