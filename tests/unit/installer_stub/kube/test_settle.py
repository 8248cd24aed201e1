"""Settling: twice in a row, with the pulls quiet; and an end that says what is wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from installer_stub.errors import NotSettled
from installer_stub.kube.kubectl import Kubectl
from installer_stub.kube.settle import settle
from tests.fakes.plans import RecordingReporter
from tests.fakes.scripted import ScriptedConnection, failed


def deployment(ready: int) -> dict[str, Any]:
    status = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": ready}
    return {"kind": "Deployment", "metadata": {"name": "web", "namespace": "shop", "generation": 1}, "spec": {"replicas": 1}, "status": status}


FAILED_JOB = {
    "kind": "Job",
    "metadata": {"name": "migrate", "namespace": "shop"},
    "status": {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]},
}


def items(*objects: dict[str, Any]) -> str:
    return json.dumps({"items": list(objects)})


READY, WAITING = items(deployment(1)), items(deployment(0))


@dataclass
class Watch:
    """A clock that sleeping moves."""

    now: float = 0.0
    reporter: RecordingReporter = field(default_factory=RecordingReporter)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def run(connection: ScriptedConnection, watch: Watch, *, timeout: float = 60.0, quiet: Any = lambda: True) -> None:
    settle(Kubectl(connection), timeout=timeout, quiet=quiet, reporter=watch.reporter, clock=lambda: watch.now, sleep=watch.sleep)


def cluster(*looks: Any) -> ScriptedConnection:
    return ScriptedConnection().on("get nodes", *looks).on("get events", items())


def test_it_ends_after_two_good_looks_in_a_row() -> None:
    connection, watch = cluster(WAITING, READY, WAITING, READY, READY), Watch()
    run(connection, watch)
    assert len(connection.ran("get nodes")) == 5


def test_it_asks_for_all_kinds_in_all_namespaces() -> None:
    connection = cluster(READY)
    run(connection, Watch())
    text = connection.commands[0].text
    assert "--all-namespaces" in text
    for kind in ("deployments", "statefulsets", "daemonsets", "jobs", "pods", "persistentvolumeclaims"):
        assert kind in text


def test_pulls_must_be_quiet_in_both_looks() -> None:
    answers = [False, True, False, True, True]
    asked: list[bool] = []

    def quiet() -> bool:
        asked.append(answers[len(asked)])
        return asked[-1]

    watch = Watch()
    run(cluster(READY), watch, quiet=quiet)
    assert asked == answers
    assert "waiting until no more images are pulled" in watch.reporter.steps


def test_what_is_waited_for_is_said_once_until_it_changes() -> None:
    watch = Watch()
    run(cluster(WAITING, WAITING, WAITING, READY, READY), watch)
    assert watch.reporter.steps == ["waiting for Deployment web (0 of 1 pods ready)"]


def test_the_end_of_the_time_names_everything_that_is_not_ready() -> None:
    watch = Watch()
    with pytest.raises(NotSettled, match=r"not ready after 10 s:\n  - Deployment shop/web: 0 of 1 pods ready") as caught:
        run(cluster(WAITING), watch, timeout=10)
    assert "kubectl -n shop describe deployment web" in caught.value.remedy
    assert 10 <= watch.now <= 12


def test_what_has_failed_for_good_is_not_waited_for() -> None:
    watch = Watch()
    with pytest.raises(NotSettled, match="Job shop/migrate: failed: BackoffLimitExceeded") as caught:
        run(cluster(items(deployment(0), FAILED_JOB)), watch, timeout=1000)
    assert watch.now == 0
    assert "web" not in caught.value.problem  # that one only waits


def test_an_api_server_that_is_away_for_a_moment_is_borne() -> None:
    watch = Watch()
    run(cluster(READY, failed(1, "connection refused"), READY, READY), watch)
    assert any("connection refused" in step for step in watch.reporter.steps)


@pytest.mark.parametrize("answer", [failed(1, "connection refused"), "no json", "[]"])
def test_an_api_server_that_stays_away_is_not_a_settled_cluster(answer: Any) -> None:
    with pytest.raises(NotSettled, match="does not answer"):
        run(cluster(answer), Watch(), timeout=10)


def test_pulls_that_never_end_are_said() -> None:
    with pytest.raises(NotSettled, match="still pulled after 10 s"):
        run(cluster(READY), Watch(), timeout=10, quiet=lambda: False)
