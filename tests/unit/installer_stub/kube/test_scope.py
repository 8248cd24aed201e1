"""What a run answers for, and what is the site's own: named in the lock, looked after in the bundle's namespaces, or neither."""

from __future__ import annotations

from typing import Any

import pytest

from installer_stub.bundle.model import ImageLock, LockedImage
from installer_stub.bundle.reasons import Gone, Listed, Pulled, Recorded
from installer_stub.errors import NotAccepted
from installer_stub.kube.acceptance import accept
from installer_stub.kube.scope import Ownership, Scope
from installer_stub.kube.workloads import unready
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference

SEALED, OTHER = Digest.of(b"sealed"), Digest.of(b"other")
REASONS = (
    Recorded("Deployment shop/api", "api"),
    Recorded("Job shop/schema", "schema"),
    Recorded("DaemonSet kube-flannel/kube-flannel-ds", "kube-flannel"),
    Recorded("static pod kube-system/etcd", "etcd"),
    Gone("local-path-storage", "helper-pod-create-…"),
    Listed("images.txt:3"),
    Pulled(),
)
LOCK = ImageLock((LockedImage(Reference.parse("docker.io/library/app:1"), Descriptor("x", SEALED, 1), (SEALED,), REASONS),))
OWNERSHIP = Ownership.of(LOCK)


def thing(kind: str, namespace: str, name: str, *owners: dict[str, Any], **more: Any) -> dict[str, Any]:
    metadata = {"namespace": namespace, "name": name, "uid": f"{kind}/{namespace}/{name}", "ownerReferences": list(owners)}
    return {"kind": kind, "metadata": metadata, **more}


def owner(item: dict[str, Any]) -> dict[str, Any]:
    return {"kind": item["kind"], "name": item["metadata"]["name"], "uid": item["metadata"]["uid"], "controller": True}


def pod(namespace: str, name: str, *owners: dict[str, Any], node: str = "", phase: str = "Running", **more: Any) -> dict[str, Any]:
    status = {"phase": phase, "conditions": [{"type": "Ready", "status": "False"}]}
    return thing("Pod", namespace, name, *owners, spec={"nodeName": node, "restartPolicy": "Never"}, status={**status, **more})


def node(name: str, *, ready: bool = True) -> dict[str, Any]:
    return {"kind": "Node", "metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": str(ready)}]}}


def failed_job(namespace: str, name: str) -> dict[str, Any]:
    return thing("Job", namespace, name, spec={}, status={"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]})


def deployment(namespace: str, name: str, *, available: int = 0, replicas: int = 1) -> dict[str, Any]:
    status = {"observedGeneration": 1, "updatedReplicas": replicas, "replicas": replicas, "availableReplicas": available}
    return thing("Deployment", namespace, name, spec={"replicas": replicas}, status=status)


def split(*objects: dict[str, Any], scope: Scope | None = None) -> tuple[list[str], list[str]]:
    judged, reported = (scope or Scope(OWNERSHIP)).split(unready(objects), objects)
    return [f"{each.kind} {each.name}" for each in judged], [f"{each.kind} {each.name}" for each in reported]


@pytest.mark.parametrize(
    "mine",
    [
        deployment("shop", "api"),
        failed_job("shop", "schema"),  # a Job that the bundle's commands make
        deployment("shop", "made-up-by-an-operator-x7k2"),
        thing("PersistentVolumeClaim", "shop", "data", spec={}, status={"phase": "Pending"}),
        deployment("local-path-storage", "provisioner"),
    ],
    ids=lambda item: f"{item['kind']} {item['metadata']['namespace']}/{item['metadata']['name']}",
)
def test_what_the_bundle_owns_has_to_become_ready(mine: dict[str, Any]) -> None:
    judged, reported = split(mine)
    assert (len(judged), reported) == (1, [])


@pytest.mark.parametrize(
    "theirs",
    [
        pod("shop", "debug", phase="Pending"),  # kubectl run, in the application's own namespace
        pod("default", "debug", phase="Pending"),
        failed_job("shop", "backup-by-hand"),
        failed_job("crm", "report"),
        deployment("crm", "server"),
        thing("PersistentVolumeClaim", "crm", "data", spec={}, status={"phase": "Pending"}),
    ],
    ids=lambda item: f"{item['kind']} {item['metadata']['namespace']}/{item['metadata']['name']}",
)
def test_what_is_the_site_s_own_is_reported(theirs: dict[str, Any]) -> None:
    judged, reported = split(theirs)
    assert (judged, len(reported)) == ([], 1)


def test_a_pod_goes_by_its_topmost_owner() -> None:
    api = deployment("shop", "api", available=1)
    between = thing("ReplicaSet", "shop", "api-5d9", owner(api))
    known = {item["metadata"]["uid"]: item for item in (api, between)}
    assert OWNERSHIP.owns(pod("shop", "api-5d9-abc", owner(between)), known)
    elsewhere = thing("ReplicaSet", "crm", "server-1", {"kind": "Deployment", "name": "server", "uid": "gone"})
    assert not OWNERSHIP.owns(pod("crm", "server-1-x", owner(elsewhere)), {"ReplicaSet/crm/server-1": elsewhere})


def test_a_lock_without_reasons_makes_everything_the_bundle_s() -> None:
    silent = Ownership.of(ImageLock(()))
    assert silent.owns(pod("default", "debug"), {})
    assert split(pod("default", "debug", phase="Pending"), scope=Scope(silent)) == (["Pod debug"], [])


THREE = Scope(OWNERSHIP, frozenset({"m2", "m3", "n5"}))


def test_a_host_that_is_off_is_reported_with_what_waits_for_it_alone() -> None:
    flannel = thing("DaemonSet", "kube-flannel", "kube-flannel-ds", spec={}, status={"desiredNumberScheduled": 4, "updatedNumberScheduled": 4, "numberReady": 3, "numberAvailable": 3})
    mirror = pod("kube-system", "etcd-m1", {"kind": "Node", "name": "m1", "uid": "m1"}, node="m1")
    objects = (node("m1", ready=False), node("m2"), flannel, pod("kube-flannel", "kube-flannel-ds-a", owner(flannel), node="m1"), mirror)
    judged, reported = split(*objects, scope=THREE)
    assert judged == []
    assert reported == ["Node m1", "DaemonSet kube-flannel-ds", "Pod etcd-m1"]


def test_what_fails_on_a_living_host_is_judged_whichever_host_is_off() -> None:
    api = deployment("shop", "api", replicas=2)
    between = thing("ReplicaSet", "shop", "api-5d9", owner(api))
    pods = [pod("shop", "api-5d9-a", owner(between), node="m1"), pod("shop", "api-5d9-b", owner(between), node="m2")]
    judged, _ = split(node("m1", ready=False), node("m2"), api, between, *pods, scope=THREE)
    assert judged == ["Deployment api"]


@pytest.mark.parametrize(("m1", "judged"), [(False, []), (True, ["Deployment api"])])
def test_a_pod_without_a_place_waits_for_the_host_that_is_off_if_one_is(*, m1: bool, judged: list[str]) -> None:
    api = deployment("shop", "api")
    between = thing("ReplicaSet", "shop", "api-5d9", owner(api))
    waiting = pod("shop", "api-5d9-a", owner(between), phase="Pending", conditions=[{"type": "PodScheduled", "status": "False", "message": "volume node affinity conflict"}])
    assert split(node("m1", ready=m1), api, between, waiting, scope=THREE)[0] == judged


def test_a_node_of_this_run_that_is_not_ready_is_judged() -> None:
    assert split(node("m2", ready=False), scope=THREE) == (["Node m2"], [])


def running(item: dict[str, Any], digest: Digest) -> dict[str, Any]:
    container = {"name": "c", "image": "app:1"}
    status = {"containerStatuses": [{"name": "c", "image": "app:1", "imageID": f"docker.io/library/app@{digest}"}]}
    return {**item, "spec": {"containers": [container]}, "status": status}


def test_images_of_the_site_s_own_pods_are_told_and_refused_by_nobody() -> None:
    api = deployment("shop", "api", available=1)
    ours = running(pod("shop", "api-1", owner(api)), SEALED)
    figures = accept([ours, api, running(pod("crm", "server"), OTHER), running(pod("shop", "debug"), SEALED)], LOCK, OWNERSHIP)
    assert (figures.pods, [each.pod for each in figures.others]) == (1, ["server"])


def test_a_foreign_image_in_a_pod_of_the_bundle_is_refused() -> None:
    api = deployment("shop", "api", available=1)
    with pytest.raises(NotAccepted, match="shop/api-1"):
        accept([api, running(pod("shop", "api-1", owner(api)), OTHER)], LOCK, OWNERSHIP)
