"""How long a site is looked at: as long as its leases ask for after anything was done, once where nothing was."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from installer_stub.host.command import Command, CommandResult
from installer_stub.phases import settle as phase
from installer_stub.phases.base import Context
from installer_stub.phases.settle import Settle
from installer_stub.quiet.settle import Settled, Settling
from installer_stub.site.model import BundleState, SiteRecord
from tests.fakes.membership import answers_membership
from tests.fakes.plans import M1, make_context, make_plan, masters, scripted_hosts
from tests.fakes.sites import site_record
from tests.unit.installer_stub.quiet.things import BEGAN, deployment, lease

PLAN = make_plan(*masters(M1))


def record(state: BundleState) -> SiteRecord:
    made = site_record(PLAN)
    return replace(made, site=replace(made.site, bundles=tuple(replace(each, state=state) for each in made.site.bundles)))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Settling]:
    """What the phase asks settling for; nothing is waited for."""
    works: list[Settling] = []

    def settle(work: Settling) -> Settled:
        works.append(work)
        return Settled(20.0, 19.0, (), "1 Deployment")

    monkeypatch.setattr(phase, "settle", settle)
    return works


def context(**changes: Any) -> Context:
    hosts = scripted_hosts(PLAN)
    hosts[M1].on("readyz", "ok")
    hosts[M1].files[f"{PLAN.cluster_directory}/conditions.yaml"] = b"conditions: [{name: the shop answers, command: [probe, --once]}]"
    answers_membership(hosts[M1])
    return make_context(PLAN, hosts, **changes)


@pytest.mark.parametrize(
    ("changes", "patient"),
    [
        ({"record": record(BundleState.INSTALLED)}, False),
        ({"record": record(BundleState.INSTALLED), "worked": ["Join the nodes"]}, True),
        ({"record": record(BundleState.INSTALLING)}, True),  # an earlier run ended before it was accepted
        ({"record": None}, True),
    ],
)
def test_who_has_to_be_patient(asked: list[Settling], changes: dict[str, Any], *, patient: bool) -> None:
    made = context(**changes)
    Settle().run(made)
    assert asked[0].patient is patient
    assert made.notes[0].startswith("nothing happened for 20 s")


def test_the_bundle_s_conditions_run_as_its_commands_do(asked: list[Settling]) -> None:
    made = context(record=None)
    texts: list[Command] = []

    def probe(command: Command) -> CommandResult:
        texts.append(command)
        return CommandResult(0, "", "")

    made.connections[M1].on("probe --once", probe)  # type: ignore[attr-defined]
    Settle().run(made)
    (condition,) = asked[0].declared.conditions
    assert asked[0].runs is not None
    assert asked[0].runs(condition.command, 5.0).ok
    assert f"cd {PLAN.cluster_directory}" in texts[0].text
    assert not texts[0].changes  # the phase only looks


def test_a_finished_site_is_left_after_one_look() -> None:
    made = context(record=record(BundleState.INSTALLED))
    looks: list[Command] = []

    def look(command: Command) -> CommandResult:
        looks.append(command)
        return CommandResult(0, "\x1e".join((str(BEGAN + 1000), json.dumps({"items": [deployment(), lease(renewed=999.0)]}), "", "")), "")

    made.connections[M1].on("probe --once", "").on("api-resources", look)  # type: ignore[attr-defined]
    Settle().run(made)
    assert len(looks) == 1
    assert not looks[0].changes
    assert made.notes == [
        "nothing happened for 16 min 40 s; watched: 1 Deployment, 1 Lease",
        "conditions that hold: the shop answers",
    ]
