"""Hosts that answer the question of membership as real ones do, from files in memory and what a test says lies there."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Iterable
from typing import Any

from installer_stub.host.command import Command, CommandResult
from installer_stub.membership import record
from installer_stub.membership.evidence import EARLIER_MARK
from installer_stub.membership.record import Record, Stage
from tests.fakes.certificate import self_signed
from tests.fakes.scripted import ScriptedConnection, succeeded

QUESTION = "all-asked"
CLUSTER_CA = "/etc/kubernetes/pki/ca.crt"
KUBELET_CONF = "/etc/kubernetes/kubelet.conf"


def machine_id(address: str) -> str:
    return f"machine-{address}"


def answers_membership(host: ScriptedConnection) -> ScriptedConnection:
    """Let ``host`` answer the question of membership from its ``files``."""

    def answer(command: Command) -> CommandResult:
        words = shlex.split(command.text)
        looks = words[words.index("sh") + 1 :]
        lines = [_line(host, *looks[at : at + 3]) for at in range(0, len(looks), 3)]
        return succeeded("\n".join([*lines, "all-asked"]) + "\n")

    host.files.setdefault("/etc/machine-id", machine_id(host.host.address).encode())
    return host.on(QUESTION, answer)


def _line(host: ScriptedConnection, kind: str, name: str, path: str) -> str:
    content = host.files.get(path)
    if content is None:
        return f"{name} no"
    return f"{name} yes {len(content)} {base64.b64encode(content).decode()}" if kind == "hold" else f"{name} yes"


def make_member(host: ScriptedConnection, stage: Stage = Stage.MEMBER, *, authority: str = "") -> None:
    """Let everything lie on ``host`` that a member has; ``stage`` is what its record says."""
    host.files[record.PATH] = record.render(Record(stage, authority))
    host.files[CLUSTER_CA] = self_signed()
    host.files[KUBELET_CONF] = b"kubeconfig"


def lose_record(host: ScriptedConnection) -> None:
    host.files.pop(record.PATH, None)
    host.files.pop(EARLIER_MARK, None)


def node(name: str, address: str, *, ready: bool = True, control_plane: bool = False, machine: str | None = None) -> dict[str, Any]:
    """Return a Node object as the API has it."""
    labels = {"node-role.kubernetes.io/control-plane": ""} if control_plane else {}
    return {
        "metadata": {"name": name, "labels": labels},
        "status": {
            "conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}],
            "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
            "nodeInfo": {"machineID": machine_id(address) if machine is None else machine, "kubeletVersion": "v1.36.3"},
        },
    }


def node_list(items: Iterable[dict[str, Any]]) -> str:
    return json.dumps({"kind": "List", "items": list(items)})
