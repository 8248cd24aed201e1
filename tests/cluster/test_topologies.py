"""What one host does not satisfy is recorded on as many as it wants."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.demo.shop import ROOT
from tests.testbed.cache import Cache

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("only_builder")]

# As charts with a quorum have it: never two on one host; and a DaemonSet that wants workers alone.
QUORUM = """\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: quorum, namespace: default}
spec:
  replicas: 3
  podManagementPolicy: Parallel
  serviceName: quorum
  selector: {matchLabels: {app: quorum}}
  template:
    metadata: {labels: {app: quorum}}
    spec:
      tolerations: [{operator: Exists}]
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            - {labelSelector: {matchLabels: {app: quorum}}, topologyKey: kubernetes.io/hostname}
      containers:
        - {name: main, image: "docker.io/library/busybox:1.36", command: [sh, -c, "sleep 1000000"]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: workers, namespace: default}
spec:
  selector: {matchLabels: {app: workers}}
  template:
    metadata: {labels: {app: workers}}
    spec:
      containers:
        - {name: main, image: "docker.io/library/nginx:1.27", command: [sleep, "1000000"]}
"""


def test_an_application_for_three_hosts_is_recorded_on_three(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text(QUORUM)
    (tmp_path / "Kubefile").write_text("FROM kubernetes:v1.36.3\nCOPY app.yaml /cluster/manifests/app.yaml\nCMD kubectl apply -f manifests/app.yaml\n")
    command = [
        sys.executable, "-m", "bundler", "build", "-t", "quorum:1.0.0", "-o", str(tmp_path / "quorum.run"), "--record", "1+2", "--skip-rehearsal",
        "--settle-timeout", "240", "--accept-publisher-checksums", "--mirrors", str(cache.mirrors), "--docker-config", str(cache.docker_config), str(tmp_path),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=800, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    images = subprocess.run([tmp_path / "quorum.run", "images"], capture_output=True, text=True, check=True).stdout
    assert "nginx:1.27" in images
    assert "haproxy" in images, "what nodes reach the API by"
    assert "NOT rehearsed" in subprocess.run([tmp_path / "quorum.run", "inspect"], capture_output=True, text=True, check=True).stdout
