"""What is collected when a cluster fails: the scripts run in a real shell, against a kubectl that says what it was asked."""

from __future__ import annotations

import logging
import os
import subprocess
from pathlib import Path

import pytest

from installer_stub.errors import (
    ClusterError,
    CommandFailed,
    HostsFailed,
    HostUnreachable,
    InstallerError,
    Interrupted,
    NotSettled,
)
from installer_stub.host.command import Command, CommandResult, Secret
from installer_stub.kube.kubectl import Kubectl
from installer_stub.kube.workloads import Unready
from installer_stub.quiet.diagnosis import collect, diagnosed, logs_of
from tests.fakes.scripted import ScriptedConnection, failed

_KUBECTL = """#!/bin/sh
case "$*" in
*"get pods --all-namespaces --no-headers"*) printf 'shop web-1 0/1 CrashLoopBackOff 4 2m\\nshop db-0 1/1 Running 0 2m\\nshop job 0/1 Completed 0 2m\\n' ;;
*"logs fresh"*--previous=true*) echo 'error: previous terminated container "main" not found' ;;
*logs*--previous=true*) for line in 1 2 3; do echo "[pod/web-1/main] panic $line"; done ;;
*) echo "asked: $*" ;;
esac
"""
_JOURNALCTL = "#!/bin/sh\necho journal of the unit: $*\n"


@pytest.fixture
def connection(tmp_path: Path) -> ScriptedConnection:
    for name, text in (("kubectl", _KUBECTL), ("journalctl", _JOURNALCTL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    def run(command: Command) -> CommandResult:
        text = command.text.replace("PATH=/usr/local/sbin", f"PATH={tmp_path}:/usr/local/sbin")
        environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        done = subprocess.run(["/bin/sh", "-c", text], capture_output=True, text=True, check=False, env=environment)
        return CommandResult(done.returncode, done.stdout, done.stderr)

    return ScriptedConnection().on("", run)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "airseal")
    return caplog


def test_the_run_before_says_why_a_container_ended(connection: ScriptedConnection) -> None:
    said = logs_of(Kubectl(connection), Unready("Deployment", "shop", "web", "x", pod="web-1"))
    assert said == "".join(f"\n      | [pod/web-1/main] panic {line}" for line in (1, 2, 3))
    assert "asked: " in logs_of(Kubectl(connection), Unready("Pod", "shop", "fresh", "x", pod="fresh"))  # it has none: the present one
    assert logs_of(Kubectl(connection), Unready("Node", "", "m1", "x")) == ""


def test_states_events_logs_of_the_unready_and_journals_are_collected(connection: ScriptedConnection, log: pytest.LogCaptureFixture) -> None:
    collect(Kubectl(connection), [connection])
    text = log.text
    for part in ("== nodes", "== events", "== describe pod shop/web-1", "== log of shop/web-1, the run before", "== journal of kubelet", "== journal of containerd"):
        assert part in text
    assert "db-0, the run before" not in text
    assert "shop/job" not in text


def test_what_an_application_prints_of_its_secrets_is_masked(connection: ScriptedConnection, log: pytest.LogCaptureFixture) -> None:
    web = '{"items": [{"kind": "Pod", "metadata": {"name": "web-1", "namespace": "shop", "uid": "u"}, "status": {"phase": "Pending"}}]}'
    connection.on("get nodes,", web)
    secrets = [Secret("panic 2"), Secret("journal of the unit")]
    with pytest.raises(ClusterError) as caught, diagnosed(lambda: Kubectl(connection), lambda: [connection], secrets):
        raise ClusterError("CMD failed")
    assert "panic 1" in caught.value.problem
    for text in (caught.value.problem, log.text):
        assert "panic 2" not in text
        assert "journal of the unit" not in text


def test_who_cannot_be_asked_is_said_and_nothing_is_raised(log: pytest.LogCaptureFixture) -> None:
    def gone(_command: Command) -> CommandResult:
        raise CommandFailed("10.0.0.2", "the connection was lost")

    dead = ScriptedConnection().on("", gone)
    collect(Kubectl(dead), [dead])
    assert log.text.count("could not be asked when it failed") == 2


def test_an_error_about_something_else_says_what_is_not_ready(connection: ScriptedConnection, log: pytest.LogCaptureFixture) -> None:
    waiting = '{"items": [{"kind": "Node", "metadata": {"name": "m1"}, "status": {}}]}'
    connection.on("get nodes", waiting)
    with pytest.raises(ClusterError) as caught, diagnosed(lambda: Kubectl(connection), lambda: [connection]):
        raise ClusterError("line 3 of the Kubefile: helm upgrade ended with status 1")
    assert caught.value.problem == "line 3 of the Kubefile: helm upgrade ended with status 1\nnot ready at that moment:\n  - Node m1: has not reported yet"
    assert "== journal of kubelet" in log.text


@pytest.mark.parametrize(("error", "collected"), [(NotSettled("not ready after 10 s"), True), (CommandFailed("10.0.0.2", "kubeadm init"), True), (Interrupted("stopped"), False), (HostsFailed([HostUnreachable("10.0.0.2", "lost")]), False), (HostsFailed([CommandFailed("10.0.0.2", "x")]), True)])
def test_nothing_is_added_to_what_says_it_already_and_nothing_collected_for_a_person(
    connection: ScriptedConnection, log: pytest.LogCaptureFixture, error: InstallerError, *, collected: bool
) -> None:
    before = error.problem

    def nobody() -> Kubectl:
        raise ClusterError("no master answers")

    with pytest.raises(type(error)), diagnosed(nobody, lambda: [connection]):
        raise error
    assert error.problem == before
    assert ("== journal" in log.text) is collected


def test_a_cluster_that_does_not_answer_hides_no_error() -> None:
    silent = ScriptedConnection().on("", failed(1, "refused"))
    with pytest.raises(ClusterError, match=r"^CMD failed$"), diagnosed(lambda: Kubectl(silent), lambda: [silent]):
        raise ClusterError("CMD failed")
