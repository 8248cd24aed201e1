"""Each host is undone by itself: what one has left is said, holds up no other, and is an error at the end."""

from __future__ import annotations

import pytest

from installer_stub.errors import HostError, HostsFailed
from installer_stub.host.command import CommandResult
from installer_stub.ledger.report import Left, Report
from installer_stub.phases.reset_hosts import require_complete, reset_hosts
from installer_stub.plan.model import STUB
from tests.fakes.plans import LOOK, M1, M2, N1, make_context, make_plan, masters, nodes, scripted_hosts
from tests.fakes.scripted import failed

PLAN = make_plan(*masters(M1, M2), *nodes(N1))
DONE = Report(undone=["file /etc/a"], complete=True, measured=True)
LEFT = Report(undone=["file /etc/a"], left=[Left("/etc/b", "it is immutable", "chattr -i /etc/b")])


def test_every_host_gets_this_stub_and_undoes_itself() -> None:
    hosts = scripted_hosts(PLAN)
    for host in hosts.values():
        host.on(LOOK, failed(1)).on("host undo", f"{DONE.to_json()}\n")
    reports, failures = reset_hosts(make_context(PLAN, hosts), ["/etc/my file"])
    assert reports == {M1: DONE, M2: DONE, N1: DONE}
    assert failures == {}
    require_complete(reports, failures)
    for host in hosts.values():
        assert STUB in host.files
        (undo,) = host.ran("host undo")
        assert undo.text == f"{STUB} host undo --yes --json --abandon '/etc/my file'"
        assert host.changes[1:] == [f"write {STUB}", "put the host back as it was"]  # the first: beside the one that is there


def test_what_is_left_on_one_host_is_named_and_the_others_are_done() -> None:
    hosts = scripted_hosts(PLAN)
    for host in hosts.values():
        host.on(LOOK, failed(1)).on("host undo", f"{DONE.to_json()}\n")
    hosts[M2].on("host undo", CommandResult(8, f"{LEFT.to_json()}\n", "stopping kubelet.service\n"))
    reports, failures = reset_hosts(make_context(PLAN, hosts))
    assert reports[N1].complete
    with pytest.raises(HostError) as caught:
        require_complete(reports, failures)
    assert caught.value.host == M2
    assert "/etc/b: it is immutable" in caught.value.problem
    assert "--abandon NAME" in caught.value.remedy
    assert caught.value.exit_code != 0


def test_an_error_of_a_host_is_told_from_its_beginning() -> None:
    hosts = scripted_hosts(PLAN)
    for host in hosts.values():
        host.on(LOOK, failed(1)).on("host undo", CommandResult(8, "", f"stopping kubelet.service\nerror: the lock is held {'by another ' * 60}\nwhat to do: see"))
    _, failures = reset_hosts(make_context(PLAN, hosts))
    assert "undoing ended with status 8: the lock is held by another" in failures[M1].problem
    assert failures[M1].problem.endswith("what to do: see")


@pytest.mark.parametrize("answer", [CommandResult(8, "", "error: log is damaged"), CommandResult(0, "not json", ""), CommandResult(137, "", "Killed")])
def test_a_host_without_a_report_is_not_done(answer: CommandResult) -> None:
    hosts = scripted_hosts(PLAN)
    for host in hosts.values():
        host.on(LOOK, failed(1)).on("host undo", f"{DONE.to_json()}\n")
    hosts[M1].on("host undo", answer)
    hosts[N1].on("host undo", answer)
    reports, failures = reset_hosts(make_context(PLAN, hosts))
    assert set(reports) == {M2}
    with pytest.raises(HostsFailed) as caught:
        require_complete(reports, failures)
    assert {failure.host for failure in caught.value.failures if isinstance(failure, HostError)} == {M1, N1}
