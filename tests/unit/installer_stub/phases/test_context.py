"""Who takes part: masters are strict, a node may fail alone."""

from __future__ import annotations

import pytest

from installer_stub.errors import HostError, HostsFailed, HostUnreachable, UsageError
from installer_stub.host.connection import Connection
from installer_stub.phases.base import Context
from installer_stub.plan.model import HostPlan
from tests.fakes.plans import M1, M2, N1, N2, make_context, make_plan, masters, nodes

PLAN = make_plan(*masters(M1, M2), *nodes(N1, N2))


def failing(*addresses: str, error: type[HostError] = HostUnreachable) -> object:
    def work(host: HostPlan, _connection: Connection) -> str:
        if host.address in addresses:
            raise error(host.address, "is gone")
        return host.name

    return work


def lenient() -> Context:
    return make_context(PLAN, alone=True)


def test_a_node_that_fails_is_left_out_and_the_others_go_on() -> None:
    context = lenient()
    assert list(context.each(PLAN.hosts, failing(N1))) == [M1, M2, N2]  # type: ignore[arg-type]
    assert list(context.left_out) == [N1]
    assert list(context.each(PLAN.nodes, failing())) == [N2]  # type: ignore[arg-type]
    assert [host.address for host in context.reachable()] == [M1, M2, N2]
    assert any("going on without" in step for step in context.reporter.steps)  # type: ignore[attr-defined]


@pytest.mark.parametrize("gone", [(M2,), (M1, N1), (M2, N1, N2)])
def test_a_master_that_fails_ends_the_run(gone: tuple[str, ...]) -> None:
    context = lenient()
    with pytest.raises((HostError, HostsFailed)):
        context.each(PLAN.hosts, failing(*gone))  # type: ignore[arg-type]
    assert context.left_out == {}


def test_the_last_node_is_not_left_out() -> None:
    context = lenient()
    with pytest.raises(HostsFailed):
        context.each(PLAN.hosts, failing(N1, N2))  # type: ignore[arg-type]
    context = lenient()
    context.each(PLAN.hosts, failing(N1))  # type: ignore[arg-type]
    with pytest.raises(HostError):
        context.each(PLAN.hosts, failing(N2))  # type: ignore[arg-type]


def test_what_is_not_the_hosts_fault_ends_the_run() -> None:
    context = lenient()

    def work(host: HostPlan, _connection: Connection) -> None:
        if host.address == N1:
            raise UsageError("no")

    with pytest.raises(UsageError):
        context.each(PLAN.hosts, work)


def test_where_nothing_else_was_said_every_host_is_strict() -> None:
    with pytest.raises(HostError):
        make_context(PLAN).each(PLAN.hosts, failing(N1))  # type: ignore[arg-type]
