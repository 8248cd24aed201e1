"""What the cluster says of itself: nodes, etcd's members, workloads; and since when its parts run."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.demo.shop import ADMIN
from tests.soak.facts import Facts
from tests.testbed.cache import TestBedError
from tests.testbed.hosts import BlankHost, TestBed

TOKEN_LIVES = dt.timedelta(minutes=15)
_ETCDCTL = (
    "etcdctl --endpoints https://127.0.0.1:2379 --cacert /etc/kubernetes/pki/etcd/ca.crt "
    "--cert /etc/kubernetes/pki/etcd/server.crt --key /etc/kubernetes/pki/etcd/server.key"
)


def kubectl(master: BlankHost, words: str, *, timeout: float = 60) -> Any:
    """Return the JSON that kubectl answers on ``master``. Raises TestBedError."""
    said = master.run(f"kubectl {ADMIN} --request-timeout=20s {words} -o json", timeout=timeout).stdout
    return json.loads(said)


def cluster_state(bed: TestBed, names: dict[str, str]) -> Facts:
    """Return the cluster's own word on what it consists of, asked of the first master that answers."""
    master = answering(bed)
    kinds = {
        "node": {node["metadata"]["name"]: _node(node, names) for node in kubectl(master, "get nodes")["items"]},
        "etcd": etcd_members(master),
        "join secret": {
            secret["metadata"]["name"]: "left"
            for secret in kubectl(master, "-n kube-system get secrets")["items"]
            if ("bootstrap-token" in secret["metadata"]["name"] and not ends_soon(secret)) or secret["metadata"]["name"] == "kubeadm-certs"
        },
        "workload": _workloads(kubectl(master, "get deployments,daemonsets,statefulsets -A")["items"]),
    }
    return Facts("cluster", kinds)


def ends_soon(token: dict[str, Any]) -> bool:
    """Tell whether a join token ends by itself within the quarter of an hour that a token of a run that died may live."""
    said = base64.b64decode(token.get("data", {}).get("expiration", "")).decode()
    return bool(said) and dt.datetime.fromisoformat(said) - dt.datetime.now(dt.UTC) <= TOKEN_LIVES


def answering(bed: TestBed) -> BlankHost:
    """Return the first master whose API answers. Raises TestBedError when none does."""
    for master in bed.masters:
        try:
            if master.run(f"kubectl {ADMIN} --request-timeout=5s get --raw /readyz", check=False, timeout=15).stdout == "ok":
                return master
        except Exception:  # noqa: BLE001, S112 - off, or without a cable: the next one
            continue
    raise TestBedError(f"no master of bed {bed.name} has an API that answers")


def etcd_members(master: BlankHost) -> dict[str, str]:
    """Return etcd's members by name. Raises TestBedError."""
    pod = f"etcd-{master.name}"
    said = master.run(f"kubectl {ADMIN} -n kube-system exec {pod} -- {_ETCDCTL} member list -w json", timeout=60).stdout
    return {member.get("name") or "(unnamed)": "learner" if member.get("isLearner") else "voting" for member in json.loads(said)["members"]}


@dataclass(frozen=True)
class Alive:
    """Since when what must never be wiped runs. Equal before and after: nothing was."""

    nodes: dict[str, str]
    """UIDs of the Node objects, by name."""
    members: dict[str, str]
    containers: dict[str, str]
    """``m1 etcd`` -> id and start time of the container, as containerd has them."""
    units: dict[str, str]

    @classmethod
    def of(cls, bed: TestBed, *, without: Sequence[str] = ()) -> Alive:
        """Ask the cluster and every host, but for those that are not in it."""
        master = answering(bed)
        nodes = {node["metadata"]["name"]: node["metadata"]["uid"] for node in kubectl(master, "get nodes")["items"]}
        containers: dict[str, str] = {}
        units: dict[str, str] = {}
        for pod in kubectl(master, "-n kube-system get pods -l tier=control-plane")["items"]:
            for status in pod["status"].get("containerStatuses", []):
                started = status.get("state", {}).get("running", {}).get("startedAt", "not running")
                containers[f"{pod['spec']['nodeName']} {status['name']}"] = f"{status.get('containerID')} {started}"
        for host in [host for host in bed.hosts if host.name not in without]:
            shown = host.run("systemctl show containerd kubelet -p Id -p ExecMainStartTimestampMonotonic -p ActiveState").stdout
            for block in shown.strip().split("\n\n"):
                words = dict(line.split("=", 1) for line in block.splitlines())
                units[f"{host.name} {words.pop('Id')}"] = " ".join(sorted(words.values()))
        return cls(nodes, etcd_members(master), containers, units)

    def harmed(self, later: Alive, *, units: bool = True) -> list[str]:
        """Return what is gone or another one in ``later``. What is new was not harmed."""
        parts = [("node", self.nodes, later.nodes), ("etcd member", self.members, later.members), ("container", self.containers, later.containers)]
        parts += [("unit", self.units, later.units)] if units else []
        return [
            f"{kind} {name}: {value} -> {now.get(name, 'gone')}"
            for kind, was, now in parts
            for name, value in sorted(was.items())
            if now.get(name) != value
        ]


def not_ready(master: BlankHost) -> list[str]:
    """Return the nodes that are not Ready, and the workloads that miss replicas."""
    nodes = [node["metadata"]["name"] for node in kubectl(master, "get nodes")["items"] if not _ready(node)]
    workloads = _workloads(kubectl(master, "get deployments,daemonsets,statefulsets -A")["items"])
    return nodes + [f"{name}: {state}" for name, state in workloads.items() if len(set(state.split("/"))) > 1]


def _ready(node: dict[str, Any]) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"].get("conditions", []))


def _node(node: dict[str, Any], names: dict[str, str]) -> str:
    addresses = [names.get(one["address"], one["address"]) for one in node["status"].get("addresses", [])]
    roles = sorted(label.partition("/")[2] for label in node["metadata"]["labels"] if label.startswith("node-role.kubernetes.io/"))
    taints = sorted(f"{taint['key']}:{taint['effect']}" for taint in node["spec"].get("taints", []))
    version = node["status"].get("nodeInfo", {}).get("kubeletVersion")
    return f"{'Ready' if _ready(node) else 'NotReady'} {version} {addresses} roles {roles} taints {taints}"


def _workloads(items: list[dict[str, Any]]) -> dict[str, str]:
    found = {}
    for item in items:
        status, meta = item["status"], item["metadata"]
        wanted = item["spec"].get("replicas", status.get("desiredNumberScheduled"))
        ready = status.get("readyReplicas", status.get("numberReady", 0))
        found[f"{item['kind']} {meta['namespace']}/{meta['name']}"] = f"{ready or 0}/{wanted or 0}"
    return found
