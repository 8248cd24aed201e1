"""Somebody writes to an object between our reading and our writing it: read, decide and write anew; what they wrote stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml

from installer_stub.errors import CommandFailed
from installer_stub.host.command import Command, CommandResult
from installer_stub.kube.kubectl import Kubectl
from installer_stub.kube.rewrite import CONFLICT, rewrite
from installer_stub.phases.label_nodes import LabelNodes
from installer_stub.phases.name_api import NameApi
from installer_stub.phases.point_proxy import PointProxy
from installer_stub.phases.start_first_master import stop_forwarding
from tests.fakes.membership import answers_membership, make_member
from tests.fakes.plans import M1, N1, make_context, make_plan, masters, nodes, scripted_hosts
from tests.fakes.scripted import ScriptedConnection, failed
from tests.fakes.sites import node, record

PLAN = make_plan(*masters(M1), *nodes(N1))
REFUSED = f'{CONFLICT}: Operation cannot be fulfilled on nodes "n5": the object has been modified; please apply your changes to the latest version and try again'


@dataclass
class Written:
    """An object in the API: others write to it after each of our first ``others`` looks; with an old version nobody writes."""

    value: dict[str, Any]
    others: int
    theirs: Callable[[dict[str, Any], int], None]
    listed: bool = False
    version: int = 7
    refused: int = 0
    written: list[dict[str, Any]] = field(default_factory=list)

    def shown(self, _: Command) -> CommandResult:
        value = json.loads(json.dumps(self.value))
        value["metadata"]["resourceVersion"] = str(self.version)
        if self.others:
            self.others, self.version = self.others - 1, self.version + 1
            self.theirs(self.value, self.version)
        return CommandResult(0, json.dumps({"items": [value]} if self.listed else value), "")

    def write(self, command: Command) -> CommandResult:
        value = json.loads(
            command.stdin
            if isinstance(command.stdin, bytes)
            else command.text.split("--patch=")[1].rstrip("'")
        )
        if value["metadata"]["resourceVersion"] != str(self.version):
            self.refused += 1
            return failed(1, REFUSED)
        self.written.append(value)
        return CommandResult(0, "", "")


@dataclass(frozen=True)
class Writer:
    """One of those that read, decide and write: of what, how it is asked for, and what it is told to do."""

    name: str
    asked: str
    writes: str
    value: dict[str, Any]
    act: Callable[[dict[str, ScriptedConnection]], None]
    listed: bool = False


def config(**data: str) -> dict[str, Any]:
    return {"kind": "ConfigMap", "metadata": {"name": "it"}, "data": data}


def label(hosts: dict[str, ScriptedConnection]) -> None:
    LabelNodes().run(
        make_context(
            PLAN, hosts, record=record(*record().site.hosts[:1], node(5, taints=("disk=slow:NoSchedule",)))
        )
    )


WRITERS = (
    Writer(
        "a node's taints",
        "get nodes",
        "patch node",
        {"metadata": {"name": "n5"}, "spec": {}},
        label,
        listed=True,
    ),
    Writer(
        "the Corefile",
        "configmap coredns",
        "replace -f",
        config(Corefile=".:53 {\n    forward . /etc/resolv.conf\n}\n"),
        lambda hosts: stop_forwarding(Kubectl(hosts[M1])),
    ),
    Writer(
        "kube-proxy's file",
        "configmap kube-proxy",
        "replace -f",
        config(**{"kubeconfig.conf": "clusters:\n- cluster:\n    server: https://a:6443\n"}),
        lambda hosts: PointProxy().run(make_context(PLAN, hosts)),
    ),
    Writer(
        "kubeadm's file",
        "configmap kubeadm-config",
        "replace -f",
        config(
            ClusterConfiguration=yaml.safe_dump(
                {"kind": "ClusterConfiguration", "apiServer": {"certSANs": ["a"]}}
            )
        ),
        lambda hosts: NameApi().run(make_context(PLAN, hosts)),
    ),
)


def theirs(value: dict[str, Any], version: int) -> None:
    """What others write: an annotation, and a taint to a node."""
    value["metadata"].setdefault("annotations", {})["theirs"] = str(version)
    if "spec" in value:
        value["spec"]["taints"] = [{"key": f"theirs-{version}", "effect": "NoSchedule"}]


@pytest.mark.parametrize("others", [0, 1, 3])
@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.name)
def test_what_others_write_in_between_stays_and_ours_is_written(
    writer: Writer, others: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("installer_stub.kube.rewrite._PAUSE", 0.0)
    hosts = scripted_hosts(PLAN)
    for host in hosts.values():
        answers_membership(host.on("").journals())
    make_member(hosts[M1])
    thing = Written(json.loads(json.dumps(writer.value)), others, theirs, writer.listed)
    hosts[M1].on("readyz", "ok").on(writer.asked, thing.shown).on(writer.writes, thing.write)
    writer.act(hosts)
    assert thing.refused == others
    (written,) = thing.written
    if writer.listed:
        keys = [taint["key"] for taint in written["spec"]["taints"]]
        assert keys == [*([f"theirs-{7 + others}"] if others else []), "disk"]
    else:
        assert written["metadata"].get("annotations", {}).get("theirs") == (
            str(7 + others) if others else None
        )
        assert written["data"] != writer.value["data"]


def conflicts(error: str) -> tuple[Callable[[], None], list[int]]:
    calls: list[int] = []

    def work() -> None:
        calls.append(1)
        raise CommandFailed("10.0.0.2", f"could not label node n5: {error}")

    return work, calls


def test_a_conflict_without_an_end_is_told_after_the_time() -> None:
    work, calls = conflicts(REFUSED)
    now = iter(range(100))
    with pytest.raises(CommandFailed, match="Conflict"):
        rewrite(work, seconds=5, clock=lambda: float(next(now)), sleep=lambda _: None)
    assert len(calls) == 5


@pytest.mark.parametrize(
    "other",
    [
        "Error from server (NotFound): nodes not found",
        "Error from server (Forbidden): no",
        "the object has been modified",
    ],
)
def test_any_other_error_at_once(other: str) -> None:
    work, calls = conflicts(other)
    with pytest.raises(CommandFailed):
        rewrite(work, seconds=5, sleep=lambda _: None)
    assert len(calls) == 1
