"""What would be done, on which hosts, how much of it; what looks only is no change."""

from __future__ import annotations

from typing import ClassVar

from installer_stub.errors import HostError, HostInDoubt
from installer_stub.host.command import Command
from installer_stub.host.model import Role
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.copy_bundle import CopyBundle
from installer_stub.phases.copy_stub import CopyStub
from installer_stub.phases.install_files import InstallFiles
from installer_stub.phases.join_masters import JoinMasters
from installer_stub.phases.pipeline import INSTALL
from installer_stub.phases.schedule import schedule_of
from installer_stub.phases.settle import Settle
from installer_stub.ui.transfer import size
from installer_stub.verbs.show_plan import PlannedStep, planned, planned_text
from tests.fakes.plans import LOOK, M1, M2, M3, N1, STUB, make_context, make_plan, masters, nodes


class Done(Phase):
    title: ClassVar[str] = "Something that is done"

    def is_needed(self, context: Context) -> bool:
        return False


class Unknown(Phase):
    title: ClassVar[str] = "Something that needs what is not there yet"

    def is_needed(self, context: Context) -> bool:
        raise HostError(M1, "there is no stub yet")


class Needed(Phase):
    title: ClassVar[str] = "Something to do"


def context() -> Context:
    return make_context(make_plan(*masters(M1, M2, M3), *nodes(N1)))


def plan_of(known: Context, *phases: Phase) -> tuple[tuple[PlannedStep, ...], str]:
    schedule = schedule_of(phases, known.plan, known.artifact)
    steps = planned(known, schedule)
    return steps, planned_text(steps, schedule)


def test_a_phase_is_needed_or_not_or_waits_for_others() -> None:
    (done, unknown, needed, looks), text = plan_of(context(), Done(), Unknown(), Needed(), Settle())
    assert (done.needed, unknown.needed, needed.needed) == (False, None, True)
    assert (looks.changes, needed.changes, done.changes) == (False, True, False)
    assert "nothing to do" in text
    assert "Nothing was changed." in text


def test_what_cannot_be_told_is_decided_by_what_is_done_before_it_or_is_said_with_its_reason() -> None:
    _, text = plan_of(context(), Needed(), Unknown())
    assert "if earlier phases change anything" in text
    assert "there is no stub yet" not in text
    (_, unknown), text = plan_of(context(), Done(), Unknown())
    assert "cannot be told" in text
    assert f"Something that needs what is not there yet: {M1}: there is no stub yet" in text
    assert unknown.to_json()["unknown"] == f"{M1}: there is no stub yet"
    assert "Nothing would be changed." not in text


def test_a_host_in_doubt_is_said_whatever_else_is_to_be_done() -> None:
    class Doubtful(Phase):
        title: ClassVar[str] = "Something about a host in doubt"

        def is_needed(self, context: Context) -> bool:
            raise HostInDoubt(N1, "cannot tell whether it is part of the cluster")

    _, text = plan_of(context(), Needed(), Unknown(), Doubtful())
    assert f"Something about a host in doubt: {N1}: cannot tell whether it is part of the cluster" in text
    assert "there is no stub yet" not in text


def test_a_finished_site_has_nothing_to_change() -> None:
    _, text = plan_of(context(), Done(), Settle())
    assert text.endswith("Nothing would be changed.")
    assert "looks" in text


def test_looking_may_not_change_anything() -> None:
    class Careless(Phase):
        title: ClassVar[str] = "Something that does not only look"

        def is_needed(self, context: Context) -> bool:
            context.first.run(Command.of("touch", "/x", changes="touch /x"))
            return True

    known = context()
    (careless,), _ = plan_of(known, Careless())
    assert careless.needed is None
    assert known.first.commands == []  # type: ignore[attr-defined]


def test_bytes_and_hosts() -> None:
    known = context()
    for host in known.connections.values():
        host.on(LOOK, "other  x\n")  # type: ignore[attr-defined]
    steps, text = plan_of(known, CopyStub())
    assert [(each.step.bytes, each.hosts) for each in steps] == [(len(STUB), (host.name,)) for host in known.plan.hosts]
    assert f"In all {size(4 * len(STUB))} to send" in text
    hosts = {type(phase).__name__: [step.hosts for step in schedule_of((phase,), known.plan, known.artifact).steps] for phase in (JoinMasters(), InstallFiles(Role.NODE), CopyBundle())}
    assert hosts == {"JoinMasters": [(M2,), (M3,)], "InstallFiles": [(N1,)], "CopyBundle": [(M1,), (M2,), (M3,)]}


def test_machines_read_what_each_step_waits_for() -> None:
    known = context()
    steps = schedule_of((Needed(), JoinMasters()), known.plan, known.artifact).steps
    read = [PlannedStep(step, needed=True, hosts=()).to_json() for step in steps]
    assert [each["step"] for each in read] == ["1", f"2:{M2}", f"2:{M3}"]
    assert [each["after"] for each in read] == [[], [], [f"2:{M2}"]]  # masters one by one
    assert M1 in read[1]["touches"]  # type: ignore[operator]


def test_every_phase_of_an_installation_can_be_planned() -> None:
    known = context()
    schedule = schedule_of(INSTALL, known.plan, known.artifact)
    assert {step.key.phase for step in schedule.steps} == set(range(1, len(INSTALL) + 1))
