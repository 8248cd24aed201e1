"""Each of three masters off in turn, under traffic: how long what stands still."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Self

from tests.demo.shop import ADMIN, NODE_PORT, order_something
from tests.soak.cluster_state import Alive, answering
from tests.soak.installer import Failed
from tests.soak.restarts import whole
from tests.soak.scenario import Desk, Scenario, Trial, must_be_none
from tests.testbed.cache import Cache
from tests.testbed.hosts import BlankHost
from tests.testbed.parts import Parts

OFF = 120
"""Seconds without a master: more than the 50 s after which a node that cannot report is NotReady (kube-controller-manager)."""

NEVER_PULLED = "docker.io/library/busybox:1.36-glibc"


class Probe:
    """Asks again and again, and remembers for how long nobody answered."""

    def __init__(self, name: str, ask: Callable[[], object]) -> None:
        self.name, self._ask = name, ask
        self.asked = self.failed = 0
        self.longest = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        good = time.monotonic()
        while not self._stop.is_set():
            self.asked += 1
            try:
                self._ask()
                good = time.monotonic()
            except Exception:  # noqa: BLE001 - whatever it was, it was no answer
                self.failed += 1
            self.longest = max(self.longest, time.monotonic() - good)
            self._stop.wait(0.5)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def __str__(self) -> str:
        return f"{self.name}: {self.failed} of {self.asked} failed, longest gap {self.longest:.1f} s"


def masters_off(desk: Desk) -> None:
    """Each master off for two minutes: API, scheduling, pulls, DNS and the application go on; it comes back by itself."""
    wrong: list[str] = []
    with desk.trial(3, 1) as trial:
        trial.install().expect(0)
        for master in trial.bed.masters:
            members = Alive.of(trial.bed).members
            wrong += [f"{master.name} off: {line}" for line in _without(desk, trial, master)]
            master.power_on()
            desk.figures[f"{master.name} back"] = f"whole after {whole(trial.bed):.0f} s"
            must_be_none([] if Alive.of(trial.bed).members == members else [Alive.of(trial.bed).members], "etcd's members are others")
    if wrong:
        raise Failed("\n".join(wrong))


def _without(desk: Desk, trial: Trial, master: BlankHost) -> list[str]:
    node = trial.bed.nodes[0]
    kubectl = Parts(Cache.default()).out("kubernetes") / "kubectl"
    order = order_something(answering(trial.bed), node).placed["id"]
    wrong = []
    with (
        Probe("application", lambda: _get(f"http://{node.address}:{NODE_PORT}/orders/{order}")) as application,
        Probe("API by the kubeconfig that was handed out", lambda: _api(kubectl, trial.directory / "kubeconfig")) as api,
    ):
        master.power_off()
        began = time.monotonic()
        time.sleep(60)
        try:
            _pod(answering(trial.bed), node, f"while-{master.name}-off")
        except Exception as error:  # noqa: BLE001 - one finding among others
            wrong.append(f"no new pod on {node.name}, of an image that was never pulled before: {str(error)[-600:]}")
        time.sleep(max(0.0, OFF - (time.monotonic() - began)))
        ready = answering(trial.bed).run(f"kubectl {ADMIN} get nodes --no-headers").stdout
        wrong += [f"{line.split()[0]} is {line.split()[1]}" for line in ready.splitlines() if line.split()[0] != master.name and line.split()[1] != "Ready"]
    for probe in (application, api):
        desk.figures[f"{master.name} off, {probe.name}"] = str(probe).partition(": ")[2]
    return wrong


def _pod(master: BlankHost, node: BlankHost, name: str) -> None:
    """Start a pod with DNS on ``node``, of an image that no host has, and wait for its answer."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "restartPolicy": "Never",
            "nodeSelector": {"kubernetes.io/hostname": node.name},
            "containers": [
                {"name": "main", "image": NEVER_PULLED, "imagePullPolicy": "Always",
                 "command": ["sh", "-c", "nslookup kubernetes.default.svc.cluster.local"]}
            ],
        },
    }  # fmt: skip
    master.run(f"kubectl {ADMIN} apply -f - <<'P'\n{json.dumps(pod)}\nP")
    wait = f"kubectl {ADMIN} wait --for=jsonpath='{{.status.phase}}'=Succeeded pod/{name} --timeout=45s"
    done = master.run(wait, check=False)
    if done.returncode:
        shown = master.run(f"kubectl {ADMIN} get pod {name} -o wide; kubectl {ADMIN} get events --field-selector involvedObject.name={name} | tail -5; kubectl {ADMIN} logs {name} --tail 5", check=False)
        raise Failed(done.stderr + shown.stdout + shown.stderr)


def _get(url: str) -> None:
    with urllib.request.urlopen(url, timeout=3) as answer:  # noqa: S310 - an address of our own
        answer.read()


def _api(kubectl: Path, kubeconfig: Path) -> None:
    subprocess.run([kubectl, "--kubeconfig", kubeconfig, "--request-timeout=3s", "get", "--raw", "/readyz"], check=True, capture_output=True, timeout=10)


def scenarios() -> tuple[Scenario, ...]:
    """Return it."""
    return (Scenario("masters-off-3+1", 30, masters_off),)
