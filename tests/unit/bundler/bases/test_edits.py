"""Flannel's manifest is made fit for a site, and one of another form is refused instead of half edited."""

from __future__ import annotations

import json

import pytest
import yaml

from bundler.bases.edits import flannel
from bundler.errors import RecipeError

# The form of flannel v0.28.10's manifest, with what the edit looks at.
MANIFEST = """\
---
kind: Namespace
apiVersion: v1
metadata: {name: kube-flannel}
---
kind: ConfigMap
apiVersion: v1
metadata: {name: kube-flannel-cfg, namespace: kube-flannel}
data:
  cni-conf.json: |
    {"name": "cbr0", "cniVersion": "1.0.0", "plugins": [{"type": "flannel"}, {"type": "portmap"}]}
  net-conf.json: |
    {"Network": "10.244.0.0/16", "EnableNFTables": false, "Backend": {"Type": "vxlan"}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: kube-flannel-ds, namespace: kube-flannel}
spec:
  template:
    spec:
      initContainers:
      - {name: install-cni, image: "ghcr.io/flannel-io/flannel:v0.28.10"}
      containers:
      - name: kube-flannel
        image: ghcr.io/flannel-io/flannel:v0.28.10
        args: [--ip-masq, --kube-subnet-mgr]
        env:
        - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: EVENT_QUEUE_DEPTH, value: "5000"}
"""


def test_it_asks_no_default_route_and_speaks_the_older_cni() -> None:
    documents = list(yaml.safe_load_all(flannel(MANIFEST)))
    assert [document["kind"] for document in documents] == ["Namespace", "ConfigMap", "DaemonSet"]
    assert json.loads(documents[1]["data"]["cni-conf.json"])["cniVersion"] == "0.3.1"
    assert json.loads(documents[1]["data"]["net-conf.json"])["Network"] == "10.244.0.0/16"
    container = documents[2]["spec"]["template"]["spec"]["containers"][0]
    assert container["args"] == ["--ip-masq", "--kube-subnet-mgr", "--iface=$(NODE_IP)"]
    assert container["env"][-1] == {"name": "NODE_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}
    assert container["env"][1]["value"] == "5000"


def test_a_second_edit_changes_nothing() -> None:
    assert flannel(flannel(MANIFEST)) == flannel(MANIFEST)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("10.244.0.0/16", "10.42.0.0/16"),
        ("kind: DaemonSet", "kind: Deployment"),
        ("cni-conf.json", "conf.json"),
        ('{"name": "cbr0"', '"name": "cbr0"'),
        ("      - name: kube-flannel\n", "      - name: another\n      - name: kube-flannel\n"),
        ("args:", "arguments:"),
        ("kind: Namespace", "kind: [Namespace"),
    ],
)
def test_another_form_is_refused(old: str, new: str) -> None:
    with pytest.raises(RecipeError, match="has changed its form"):
        flannel(MANIFEST.replace(old, new))
