"""What a reset leaves on disks is named."""

from __future__ import annotations

from typing import Any

import pytest

from installer_stub.kube.volumes import host_volumes


def on_node(name: str, **source: Any) -> dict[str, Any]:
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [name]}
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
    return {"spec": {**source, "nodeAffinity": affinity, "claimRef": {"namespace": "shop", "name": "data-db-0"}}}


@pytest.mark.parametrize(
    ("volumes", "expected"),
    [
        ([], ()),
        ([on_node("n5", hostPath={"path": "/opt/pvc-1"})], ("n5: /opt/pvc-1 (shop/data-db-0)",)),
        ([on_node("n5", local={"path": "/mnt/disk"})], ("n5: /mnt/disk (shop/data-db-0)",)),
        ([{"spec": {"hostPath": {"path": "/data"}}}], ("any host: /data",)),
        ([{"spec": {"nfs": {"server": "x", "path": "/export"}}}], ()),
    ],
)
def test_directories_on_hosts(volumes: list[Any], expected: tuple[str, ...]) -> None:
    assert host_volumes(volumes) == expected
