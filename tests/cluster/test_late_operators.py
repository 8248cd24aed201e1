"""Operators that take their time: their operands are in the file. And what never comes up ends a build at once, with its reason."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.demo.shop import ROOT
from tests.testbed.build_command import build_command
from tests.testbed.cache import Cache

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("only_builder")]

OPERAND = "docker.io/library/nginx:1.27"  # nothing else of these bundles uses it
# "Ready" at once, as operators are; what it does then stands in its ConfigMap, with the host's kubectl at hand as k.
OPERATOR = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: operator, namespace: default}
data:
  lease.sh: |
    printf 'apiVersion: coordination.k8s.io/v1\\nkind: Lease\\nmetadata: {name: operator, namespace: default}\\nspec: {holderIdentity: %s, leaseDurationSeconds: %s, renewTime: "%s"}\\n' \\
        "$1" "$2" "$(date -u +%Y-%m-%dT%H:%M:%S.000000Z)" | k apply -f - >/dev/null
  operand.yaml: |
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: operand, namespace: default}
    spec:
      selector: {matchLabels: {app: operand}}
      template:
        metadata: {labels: {app: operand}}
        spec:
          tolerations: [{operator: Exists}]
          containers: [{name: main, image: "OPERAND", command: [sleep, "100000"]}]
  main.sh: |
    k() { chroot /host /usr/local/bin/kubectl --kubeconfig /etc/kubernetes/admin.conf "$@"; }
    lease() { . /operator/lease.sh; }
WORK
    while sleep 1000; do :; done
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: operator, namespace: default}
spec:
  selector: {matchLabels: {app: operator}}
  template:
    metadata: {labels: {app: operator}}
    spec:
      hostNetwork: true
      tolerations: [{operator: Exists}]
      containers:
        - name: manager
          image: docker.io/library/busybox:1.36
          command: [sh, /operator/main.sh]
          volumeMounts: [{name: host, mountPath: /host}, {name: operator, mountPath: /operator}]
      volumes:
        - {name: host, hostPath: {path: /}}
        - {name: operator, configMap: {name: operator}}
"""
WORKS = {
    "after-45-s": ("sleep 45; k apply -f - < /operator/operand.yaml", ()),
    "after-45-s-with-a-lease-in-its-hand": (
        "lease me 60; for n in 1 2 3; do sleep 15; lease me 60; done; k apply -f - < /operator/operand.yaml; while sleep 15; do lease me 60; done",
        ("--quiet-period", "5"),
    ),
    "after-a-lease-that-a-dead-one-held": (
        "lease dead-one 40; sleep 43; lease me 15; sleep 2; k apply -f - < /operator/operand.yaml; while sleep 4; do lease me 15; done",
        ("--quiet-period", "5"),
    ),
}


def build(cache: Cache, where: Path, manifest: str, *more: str, files: str = "") -> subprocess.CompletedProcess[str]:
    (where / "app.yaml").write_text(manifest)
    (where / "Kubefile").write_text(f"FROM kubernetes:v1.36.3\nCOPY app.yaml /cluster/manifests/app.yaml\n{files}CMD kubectl apply -f manifests/app.yaml\n")
    command = build_command(cache, "late:1.0.0", where / "late.run", where, "--skip-rehearsal", *more)
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, cwd=ROOT, env={**os.environ})


@pytest.mark.parametrize("work", WORKS)
def test_the_operand_of_an_operator_that_takes_its_time_is_in_the_file(cache: Cache, tmp_path: Path, work: str) -> None:
    script, more = WORKS[work]
    done = build(cache, tmp_path, OPERATOR.replace("OPERAND", OPERAND).replace("WORK", f"    {script}"), *more)
    assert done.returncode == 0, done.stderr[-3000:]
    images = subprocess.run([tmp_path / "late.run", "images"], capture_output=True, text=True, check=True).stdout
    assert "Deployment default/operand, container main" in images  # it ran: a scan alone would have found it in the ConfigMap
    assert "nothing happened for " in done.stderr
    assert "3 Deployments" in done.stderr  # cluster DNS, the operator, its operand


CRASH = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: crashing, namespace: default}
spec:
  selector: {matchLabels: {app: crashing}}
  template:
    metadata: {labels: {app: crashing}}
    spec:
      tolerations: [{operator: Exists}]
      containers: [{name: main, image: "docker.io/library/busybox:1.36", command: [sh, -c, "echo no such table: orders; exit 3"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: test, namespace: default}
spec:
  restartPolicy: Never
  tolerations: [{operator: Exists}]
  containers: [{name: main, image: "docker.io/library/busybox:1.36", command: ["false"]}]
"""


def test_a_crash_loop_ends_the_build_with_its_last_words_and_all_is_in_the_log(cache: Cache, tmp_path: Path) -> None:
    done = build(cache, tmp_path, CRASH)
    assert done.returncode != 0
    assert re.search(r"Deployment default/crashing: container main crashed \d times, with status 3 at last", done.stderr)
    assert "| [pod/crashing-" in done.stderr
    assert "no such table: orders" in done.stderr
    assert "Pod default/test" not in done.stderr  # failed, and nobody's
    log = next(tmp_path.glob("late*.log")).read_text()
    for part in ("== events", "== describe pod default/crashing-", "the run before", "== journal of kubelet", "== journal of containerd"):
        assert part in log
