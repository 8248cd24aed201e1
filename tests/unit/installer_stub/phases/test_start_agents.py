"""From plain connections to agents under a lease."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from installer_stub.agent.client import LeaseAnswer
from installer_stub.agent.host_lease import LEASE
from installer_stub.errors import HostUnreachable, SiteBusy
from installer_stub.host.exchange import Channel
from installer_stub.host.model import Host, Role
from installer_stub.phases import start_agents
from installer_stub.phases.base import Context
from installer_stub.site.codec import encode_record
from installer_stub.site.store import RECORD
from tests.fakes.plans import (
    IDENTITY,
    LOOK,
    M1,
    N1,
    STUB,
    RecordingReporter,
    make_context,
    make_plan,
    masters,
    nodes,
)
from tests.fakes.scripted import ScriptedConnection, failed
from tests.fakes.sites import CHANGE, record

LEASED = json.dumps({"run": "theirs", "who": "bob@desk", "verb": "upgrade", "since": 0.0, "heard": 1.0, "pid": 77}).encode()
PLAN = make_plan(*masters(M1), *nodes(N1))


class Reached(ScriptedConnection):
    def duplex(self, text: str) -> tuple[Channel, bytes]:
        raise AssertionError("start_agent is replaced")


@dataclass
class FakeAgent:
    host: Host
    granted: bool = True
    program: str = IDENTITY
    closed: int = 0
    leases: list[tuple[str, str, str]] = field(default_factory=list)

    def take_lease(self, run: str, who: str, verb: str) -> LeaseAnswer:
        self.leases.append((run, who, verb))
        return LeaseAnswer(self.granted, None, None, 0.0)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def agents(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeAgent]:
    made = {address: FakeAgent(Host(address, Role.MASTER)) for address in (M1, N1)}

    def start(connection: Reached, run: str, *, said: object) -> FakeAgent:
        if connection.files.get("no agent"):
            raise HostUnreachable(connection.host.address, "the agent did not start")
        return made[connection.host.address]

    monkeypatch.setattr(start_agents, "start_agent", start)
    return made


def context_of(*broken: str, verb: str = "install") -> Context:
    hosts = {address: Reached(Host(address, Role.MASTER)) for address in (M1, N1)}
    for host in hosts.values():
        host.on(LOOK, f"{IDENTITY}\n")
    for address in broken:
        hosts[address].files["no agent"] = b"1"
    return make_context(PLAN, hosts, verb=verb)


def test_every_host_is_worked_on_by_its_agent_under_one_lease(agents: dict[str, FakeAgent]) -> None:
    context = context_of()
    start_agents.start_agents(context)
    assert context.connections == agents
    (run, who, verb), other = agents[M1].leases[0], agents[N1].leases[0]
    assert other == (run, who, verb)
    assert verb == "install"
    assert run.isalnum()
    start_agents.end_agents(context.agents)
    assert [agent.closed for agent in agents.values()] == [1, 1]


def test_a_busy_site_stops_the_run_and_gives_back_what_it_took(agents: dict[str, FakeAgent], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("installer_stub.agent.lease.PATIENCE_SECONDS", -1.0)
    agents[N1].granted = False
    context = context_of()
    with pytest.raises(SiteBusy):
        start_agents.start_agents(context)
    start_agents.end_agents(context.agents)
    assert [agent.closed for agent in agents.values()] == [1, 1]


def test_an_installation_needs_agents_and_a_reset_goes_on_without(agents: dict[str, FakeAgent]) -> None:
    with pytest.raises(HostUnreachable, match="did not start"):
        start_agents.start_agents(context_of(M1))
    context = context_of(M1, verb="reset")
    start_agents.start_agents(context, needed=False)
    assert isinstance(context.connections[M1], Reached)
    assert context.connections[N1] is agents[N1]  # type: ignore[comparison-overlap]
    assert isinstance(context.reporter, RecordingReporter)
    assert context.reporter.steps == [f"going on without an agent: {M1}: the agent did not start"]
    assert agents[N1].leases[0][2] == "reset"


def test_the_stub_comes_first_but_not_under_an_agent_at_work(agents: dict[str, FakeAgent]) -> None:
    context = context_of()
    host = context.connections[M1]
    assert isinstance(host, Reached)
    host.on(LOOK, failed(1))
    start_agents.start_agents(context)
    assert host.files["/opt/airseal/bin/airseal"] == STUB

    context = context_of()
    host = context.connections[M1]
    assert isinstance(host, Reached)
    host.files[str(LEASE)] = LEASED
    host.on(LOOK, failed(1)).on("kill -0.* 77", "")
    with pytest.raises(SiteBusy, match="upgrade by bob@desk"):
        start_agents.start_agents(context)
    assert "/opt/airseal/bin/airseal" not in host.files
    host.on("kill -0.* 77", failed(1))  # it died, and its file is no more than a memory
    start_agents.start_agents(context)
    assert host.files["/opt/airseal/bin/airseal"] == STUB


def test_a_verb_of_its_own_connections_holds_the_lease_while_it_works(agents: dict[str, FakeAgent]) -> None:
    context = context_of()
    with start_agents.leased(context.connections.values(), context.artifact, "remove", context.reporter):
        assert [agent.leases[0][2] for agent in agents.values()] == ["remove", "remove"]
        assert [agent.closed for agent in agents.values()] == [0, 0]
    assert [agent.closed for agent in agents.values()] == [1, 1]


def test_several_busy_hosts_are_one_busy_site(agents: dict[str, FakeAgent]) -> None:
    context = context_of()
    for host in context.connections.values():
        assert isinstance(host, Reached)
        host.files[str(LEASE)] = LEASED
        host.on(LOOK, failed(1)).on("kill -0.* 77", "")
    with pytest.raises(SiteBusy, match="upgrade by bob@desk") as caught:
        start_agents.start_agents(context)
    assert caught.value.exit_code == 10
    with pytest.raises(SiteBusy), start_agents.leased(context.connections.values(), context.artifact, "certs", context.reporter):
        pass
    assert not agents[M1].leases


def test_another_program_than_ours_is_not_worked_with(agents: dict[str, FakeAgent]) -> None:
    agents[N1].program = "0" * 64
    with pytest.raises(SiteBusy, match=f"{N1}: an installer of another version"):
        start_agents.start_agents(context_of())
    assert agents[N1].closed == 1


@pytest.mark.parametrize(
    ("there", "stale"),
    [
        (None, False),
        ({}, False),  # as we want it to be
        ({"epoch": 1, "changed": replace(CHANGE, verb="join")}, False),  # the one that ours follows
        ({"changed": replace(CHANGE, verb="join")}, True),  # another one of this epoch
        ({"epoch": 3}, True),
        ({"cluster": "c2", "epoch": 1}, True),  # two began on blank hosts, and the other one has just ended
    ],
)
def test_what_changed_between_the_look_and_the_lease_is_another_runs_doing(
    agents: dict[str, FakeAgent], monkeypatch: pytest.MonkeyPatch, there: dict[str, Any] | None, *, stale: bool
) -> None:
    wanted = record(epoch=2)
    files = {} if there is None else {RECORD: encode_record(replace(wanted, **there))}
    for agent in agents.values():
        monkeypatch.setattr(agent, "read", files.get, raising=False)
    context = context_of()
    context.record = wanted
    if not stale:
        start_agents.start_agents(context)
        return
    with pytest.raises(SiteBusy, match="engineer@laptop changed this site after this run had looked at it"):
        start_agents.start_agents(context)


def test_what_is_odd_while_another_run_works_is_no_finding() -> None:
    quiet, busy, lost = (ScriptedConnection(Host(address, Role.MASTER)) for address in (M1, N1, "10.0.0.9"))
    lost.on("", failed(255))
    busy.files[str(LEASE)] = LEASED
    start_agents.nobody_works([quiet, lost])
    with pytest.raises(SiteBusy, match=f"{N1}: upgrade by bob@desk"):
        start_agents.nobody_works([quiet, busy.on("kill -0.* 77", "")])
