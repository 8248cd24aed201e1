"""Settling: quiet for long enough, its own conditions, and an end that says what is wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from installer_stub.cel.condition import Expression
from installer_stub.errors import HostUnreachable, NotSettled
from installer_stub.host.command import Command, CommandResult
from installer_stub.kube.kubectl import Kubectl
from installer_stub.quiet.declared import Condition, Declared
from installer_stub.quiet.judge import Wishes
from installer_stub.quiet.settle import Settled, Settling, settle
from tests.fakes.plans import RecordingReporter
from tests.fakes.scripted import ScriptedConnection, failed
from tests.unit.installer_stub.quiet.things import BEGAN, crashing, deployment, lease, pod, thing

FAILED_JOB = thing("Job", "migrate", spec={}, status={"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]})
READY, WAITING = [deployment()], [deployment(available=0)]
AWAY = failed(1, "connection refused")


@dataclass
class Cluster:
    """What is there, look by look, the last one for ever; a clock that sleeping moves, for us and for the host."""

    looks: list[Any]
    now: float = 0.0
    reporter: RecordingReporter = field(default_factory=RecordingReporter)
    counted: int = 0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def answer(self, _command: Command) -> CommandResult:
        here = self.looks[min(self.counted, len(self.looks) - 1)]
        self.counted += 1
        if isinstance(here, CommandResult):
            return here
        return CommandResult(0, "\x1e".join((f"{BEGAN + self.now}", json.dumps({"items": here}), "", "")), "")

    def settle(self, *, floor: float = 10.0, timeout: float = 60.0, connection: ScriptedConnection | None = None, **more: Any) -> Settled:
        connection = (connection or ScriptedConnection()).on("get events", '{"items": []}').on("logs", "panic: no database\n").on("api-resources", self.answer)
        work = Settling(Kubectl(connection), timeout, Wishes(floor), self.reporter, clock=lambda: self.now, sleep=self.sleep, **more)
        return settle(work)


def test_it_ends_when_nothing_has_happened_for_so_long_and_says_what_was_watched() -> None:
    cluster = Cluster([WAITING, READY])
    settled = cluster.settle(floor=10)
    assert settled.quiet > settled.needed == 10
    assert settled.lines() == (f"nothing happened for {settled.quiet:.0f} s (10 s were asked for); watched: 1 Deployment",)


def test_what_appears_late_is_waited_for_anew() -> None:
    late = deployment("operand", available=0)
    cluster = Cluster([WAITING, READY, READY, [*READY, late], [*READY, deployment("operand")]])
    settled = cluster.settle(floor=10)
    assert "2 Deployments" in settled.watched
    assert any("waiting for Deployment operand" in step for step in cluster.reporter.steps)


def test_the_longest_lease_is_waited_out() -> None:
    class Living(Cluster):
        def answer(self, command: Command) -> CommandResult:
            self.looks = [[deployment(at=self.now if self.counted < 2 else 2.0), lease(renewed=self.now, lasts=35)]]
            return super().answer(command)

    assert Living([]).settle(floor=0).needed == 39


def test_a_finished_site_is_looked_at_once_and_an_unquiet_one_twice() -> None:
    old, young = Cluster([READY], now=1000.0), Cluster([[*READY, lease()]], now=2.0)
    assert old.settle(floor=0, patient=False).quiet == 1000
    young.settle(floor=0, patient=False)
    assert (old.counted, young.counted) == (1, 2)
    assert young.now == 4.0, "two seconds between them, whatever its leases would ask of a patient one"


def test_pulls_have_to_be_over_for_as_long() -> None:
    cluster = Cluster([READY], now=1000.0)
    settled = cluster.settle(floor=10, pulls=lambda: max(0.0, cluster.now - 1008.0))
    assert settled.quiet > 10
    assert any("pulled" in step for step in cluster.reporter.steps)


@pytest.mark.parametrize("patient", [False, True])
def test_pulls_that_never_end_are_said(*, patient: bool) -> None:
    with pytest.raises(NotSettled, match="no quiet within 10 s: everything is ready; waiting until nothing has been pulled"):
        Cluster([READY], now=1000.0).settle(timeout=10, pulls=lambda: 0.0, patient=patient)


def test_what_keeps_happening_is_named_in_the_end() -> None:
    looks = [[*READY, thing("ConfigMap", f"n{number}")] for number in range(40)]
    with pytest.raises(NotSettled, match=r"no quiet within 30 s: .*; last: ConfigMap shop/n\d+ appeared"):
        Cluster(looks).settle(timeout=30)


def test_what_is_waited_for_is_said_once_until_it_changes() -> None:
    cluster = Cluster([WAITING, WAITING, WAITING, READY])
    cluster.settle()
    assert cluster.reporter.steps[0] == "waiting for Deployment web (0 of 1 pods ready)"
    assert len(cluster.reporter.steps) == len(set(cluster.reporter.steps))


def test_what_is_waited_for_for_long_is_said_again_with_the_time() -> None:
    cluster = Cluster([WAITING])
    with pytest.raises(NotSettled):
        cluster.settle(timeout=130)
    assert cluster.reporter.steps[1:] == [f"{cluster.reporter.steps[0]} ({passed} of 2 min 10 s)" for passed in ("1 min 0 s", "2 min 0 s")]


def test_the_scheduler_s_words_are_shown_while_waiting() -> None:
    web = deployment(available=0)
    nowhere = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 didn't match pod anti-affinity rules."}
    waiting = pod(owner=web, ready=None, phase="Pending")
    waiting["status"]["conditions"].append(nowhere)
    cluster = Cluster([[web, waiting], READY])
    cluster.settle()
    assert "didn't match pod anti-affinity rules" in cluster.reporter.steps[0]


def test_the_end_of_the_time_names_everything_that_is_not_ready() -> None:
    cluster = Cluster([WAITING])
    with pytest.raises(NotSettled, match=r"not ready after 10 s:\n  - Deployment shop/web: 0 of 1 pods ready") as caught:
        cluster.settle(timeout=10)
    assert "kubectl -n shop describe deployment web" in caught.value.remedy
    assert 10 <= cluster.now <= 12


def test_what_has_failed_for_good_is_not_waited_for() -> None:
    cluster = Cluster([[*WAITING, FAILED_JOB]])
    with pytest.raises(NotSettled, match="Job shop/migrate: failed: BackoffLimitExceeded") as caught:
        cluster.settle(timeout=1000)
    assert cluster.now == 0
    assert "web" not in caught.value.problem  # that one only waits


def test_a_crash_loop_ends_it_with_the_last_lines_of_its_log() -> None:
    web = deployment(available=0)
    cluster = Cluster([[web, crashing(owner=web)]], now=70.0)
    with pytest.raises(NotSettled, match=r"container main crashed 4 times, with status 1 at last.*\n      \| panic: no database"):
        cluster.settle(timeout=1000)
    assert cluster.counted == 1


def test_an_api_server_that_is_away_for_a_moment_is_borne() -> None:
    cluster = Cluster([READY, AWAY, READY])
    cluster.settle()
    assert any("connection refused" in step for step in cluster.reporter.steps)


@pytest.mark.parametrize("answer", [AWAY, CommandResult(0, "no look", ""), CommandResult(0, "1\x1eno json\x1e\x1e", "")])
def test_an_api_server_that_stays_away_is_not_a_settled_cluster(answer: CommandResult) -> None:
    with pytest.raises(NotSettled, match="does not answer"):
        Cluster([answer]).settle(timeout=10)


PHASE = Declared((Condition("the database runs", 20.0, (), "databases", "shop", "main", "{.status.phase}", "Running"),))
PROBE = Declared((Condition("the shop answers", 20.0, ("probe", "--once")),))


def test_a_jsonpath_has_to_have_the_wanted_value() -> None:
    connection = ScriptedConnection().on("get databases main --namespace=shop .*--output=jsonpath", "Creating", "Running")
    cluster = Cluster([READY], now=1000.0)
    assert cluster.settle(connection=connection, declared=PHASE).lines()[1] == "conditions that hold: the database runs"
    assert cluster.reporter.steps == ["waiting for condition 'the database runs': {.status.phase} of databases main is 'Creating', not 'Running'"]


def test_a_cel_expression_is_asked_of_the_whole_object_until_it_holds() -> None:
    declared = Declared((Condition("it has replicas", 20.0, (), "deployment", "shop", "web", cel=Expression.read("object.status.readyReplicas >= 1")),))
    answers = (failed(1, "NotFound"), '{"status": {}}', '{"status": {"readyReplicas": 0}}', '{"status": {"readyReplicas": 1}}')
    cluster = Cluster([READY], now=1000.0)
    cluster.settle(connection=ScriptedConnection().on("get deployment web --namespace=shop .*--output=json", *answers), declared=declared)
    assert [step.partition("': ")[2] for step in cluster.reporter.steps] == [
        "deployment web: NotFound",
        "object.status.readyReplicas >= 1 has no value: no such key: readyReplicas (of deployment web)",
        "object.status.readyReplicas >= 1 is false: object.status.readyReplicas is 0 (of deployment web)",
    ]


@pytest.mark.parametrize("more", [{"jsonpath": "{.data.password}", "wanted": "x"}, {"cel": Expression.read("object.data.password == 'x'")}])
def test_what_stands_in_a_secret_is_not_told(more: dict[str, Any]) -> None:
    declared = Declared((Condition("the password is there", 20.0, (), "secret", "shop", "db", **more),))
    connection = ScriptedConnection().on("get secret", '{"data": {"password": "hidden"}}')
    cluster = Cluster([READY], now=1000.0)
    with pytest.raises(NotSettled) as caught:
        cluster.settle(timeout=1000, connection=connection, declared=declared)
    assert "the password is there" in caught.value.problem
    assert "hidden" not in "".join([caught.value.problem, *cluster.reporter.steps])


@pytest.mark.parametrize(
    ("declared", "said"),
    [(PHASE, r"condition 'the database runs' of conditions.yaml did not hold within 20 s: .* is 'Creating', not 'Running'"), (PROBE, "probe --once ended with 7: no shop")],
)
def test_a_condition_that_does_not_hold_in_its_time_is_named(declared: Declared, said: str) -> None:
    connection = ScriptedConnection().on("get databases", "Creating")
    cluster = Cluster([READY], now=1000.0)
    with pytest.raises(NotSettled, match=said):
        cluster.settle(timeout=1000, connection=connection, declared=declared, runs=lambda _argv, _timeout: CommandResult(7, "", "no shop"))
    assert 1020 <= cluster.now <= 1030


def test_hosts_are_looked_at_while_something_is_waited_for_and_a_dead_one_ends_it() -> None:
    cluster, asked = Cluster([WAITING]), list[float]()

    def anew() -> Wishes:
        asked.append(cluster.now)
        if len(asked) == 2:
            raise HostUnreachable("10.0.1.1", "it does not answer")
        return Wishes(10.0)

    with pytest.raises(HostUnreachable):
        cluster.settle(timeout=1800, anew=anew)
    assert 30 <= asked[0] < 40
    assert 60 <= asked[1] < 80, "not after half an hour"


def test_what_wants_to_run_on_a_host_that_was_left_out_is_not_waited_for() -> None:
    cluster = Cluster([WAITING])
    settled = cluster.settle(timeout=1800, anew=lambda: Wishes(10.0, excused={("Deployment", "shop", "web")}))
    assert [each.name for each in settled.outside] == ["web"]
    assert cluster.now < 60


def test_a_cluster_that_is_ready_asks_no_host() -> None:
    asked: list[float] = []
    Cluster([READY]).settle(floor=60, timeout=120, anew=lambda: asked.append(1.0) or Wishes(60.0))  # type: ignore[func-returns-value]
    assert asked == []
