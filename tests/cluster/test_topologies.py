"""What one host does not satisfy is recorded on as many as it wants, with the labels and taints of a Clusterfile."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from installer_stub.bundle.reader import Bundle
from tests.demo.shop import ROOT
from tests.testbed.build_command import build_command
from tests.testbed.cache import Cache

pytestmark = pytest.mark.cluster

# As charts with a quorum have it: never two on one host. A DaemonSet that wants workers alone; what wants a labelled, tainted
# host; what no host here satisfies; and somebody who wants to leave.
APPLICATION = """\
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
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: fast, namespace: default}
spec:
  selector: {matchLabels: {app: fast}}
  template:
    metadata: {labels: {app: fast}}
    spec:
      nodeSelector: {disk: ssd}
      tolerations: [{key: dedicated, operator: Exists}]
      containers:
        - {name: main, image: "docker.io/library/busybox:1.36-glibc", command: [sh, -c, "nc -w 2 192.0.2.7 443 </dev/null; sleep 1000000"]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: gpu, namespace: default}
spec:
  selector: {matchLabels: {app: gpu}}
  template:
    metadata: {labels: {app: gpu}}
    spec:
      nodeSelector: {gpu: "yes"}
      containers:
        - {name: main, image: "quay.io/library/busybox:1.36", command: [sh, -c, "sleep 1000000"]}
"""
CONDITIONS = """\
may-stay-unready:
  - {kind: Deployment, namespace: default, name: gpu, because: no host of the build has a GPU}
"""
KUBEFILE = """\
FROM kubernetes:v1.36.3
COPY app.yaml /cluster/manifests/app.yaml
COPY conditions.yaml /cluster/conditions.yaml
CMD kubectl apply -f manifests/app.yaml
"""
CLUSTERFILE = """\
apiVersion: airseal/v1
kind: Cluster
hosts:
  - {address: 10.0.0.2, role: master}
  - {address: 10.0.0.5, role: node, labels: {disk: ssd}, taints: ["dedicated=db:NoSchedule"]}
  - {address: 10.0.0.6, role: node}
"""


def test_an_application_for_three_hosts_is_recorded_on_the_hosts_of_a_clusterfile(cache: Cache, tmp_path: Path) -> None:
    context, target, clusterfile = tmp_path / "context", tmp_path / "quorum.run", tmp_path / "Clusterfile"
    context.mkdir()
    for path, text in {context / "app.yaml": APPLICATION, context / "conditions.yaml": CONDITIONS, context / "Kubefile": KUBEFILE, clusterfile: CLUSTERFILE}.items():
        path.write_text(text)
    more = ("--record", str(clusterfile), "--skip-rehearsal", "--quiet-period", "20", "--settle-timeout", "300")
    command = build_command(cache, "quorum:1.0.0", target, context, *more)
    done = subprocess.run(command, capture_output=True, text=True, timeout=800, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "not ready, and not waited for: Deployment default/gpu" in done.stderr
    assert "192.0.2.7 port 443/tcp, wanted by Deployment default/fast" in done.stderr
    with Bundle.open(target) as bundle:
        why = {str(image.reference): {type(reason).__name__ for reason in image.reasons} for image in bundle.lock.images}
    assert "Recorded" in why["docker.io/library/nginx:1.27"], "workers ran it"
    assert "Recorded" in why["docker.io/library/busybox:1.36-glibc"], "so did the labelled host"
    assert "quay.io/library/busybox:1.36" in why, "nobody could run it here"
    assert any(name.startswith("docker.io/library/haproxy:") and "Recorded" in reasons for name, reasons in why.items()), "what nodes reach the API by"
