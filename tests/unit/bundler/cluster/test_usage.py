"""Who uses which image is said by the names that people gave, not by those a controller made up."""

from __future__ import annotations

from typing import Any

from bundler.cluster.usage import usage
from registry_snapshot.oci.reference import Reference

DIGEST = f"sha256:{'a' * 64}"


def pod(name: str, owner: tuple[str, str, str] | None, *images: str, init: str = "") -> dict[str, Any]:
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    metadata: dict[str, Any] = {"name": name, "namespace": "shop", "uid": f"uid-{name}"}
    if owner:
        metadata["ownerReferences"] = [dict(zip(("kind", "name", "uid"), owner, strict=True))]
    spec = {"containers": containers, "initContainers": [{"name": "init", "image": init}] if init else []}
    return {"kind": "Pod", "metadata": metadata, "spec": spec}


def controller(kind: str, name: str, uid: str, owner: tuple[str, str, str] | None = None) -> dict[str, Any]:
    item = pod(name, owner)
    return {"kind": kind, "metadata": {**item["metadata"], "uid": uid}}


def said(*objects: dict[str, Any], events: tuple[dict[str, Any], ...] = ()) -> dict[str, list[str]]:
    return {str(reference): sorted(map(str, why)) for reference, why in usage(objects, events).reasons.items()}


def test_a_deployment_stands_for_its_pods() -> None:
    replicas = controller("ReplicaSet", "api-7d4b9", "rs-1", ("Deployment", "api", "d-1"))
    pods = [pod(f"api-7d4b9-{end}", ("ReplicaSet", "api-7d4b9", "rs-1"), "busybox:1.36", init="busybox") for end in ("x", "y")]
    assert said(replicas, *pods) == {
        "docker.io/library/busybox:1.36": ["Deployment shop/api, container c0"],
        "docker.io/library/busybox:latest": ["Deployment shop/api, container init"],
    }


def test_a_cron_job_stands_for_its_jobs() -> None:
    job = controller("Job", "backup-123", "job-1", ("CronJob", "backup", "cron-1"))
    assert said(job, pod("backup-123-x", ("Job", "backup-123", "job-1"), "quay.io/a/b:1")) == {
        "quay.io/a/b:1": ["CronJob shop/backup, container c0"]
    }


def test_static_and_lonely_pods() -> None:
    static = pod("etcd-build", ("Node", "build", "n-1"), "registry.k8s.io/etcd:3")
    assert said(static, pod("alone", None, "busybox")) == {
        "registry.k8s.io/etcd:3": ["static pod shop/etcd, container c0"],
        "docker.io/library/busybox:latest": ["Pod shop/alone, container c0"],
    }


def test_a_tag_beside_a_digest_is_dropped_as_in_the_recording() -> None:
    used = usage([pod("alone", None, f"busybox:1.36@{DIGEST}")], ())
    assert list(used.reasons) == [Reference.parse(f"docker.io/library/busybox@{DIGEST}")]


def test_pods_that_are_gone_left_events() -> None:
    def event(name: str, message: str, kind: str = "Pod") -> dict[str, Any]:
        return {"message": message, "involvedObject": {"kind": kind, "name": name, "namespace": "storage"}}

    name = "helper-pod-create-pvc-0a1b2c3d-0000-1111-2222-333344445555"
    events = (
        event(name, 'Pulling image "busybox"'),
        event(name, 'Successfully pulled image "busybox" in 1s'),
        event("alone", 'Pulling image "nginx"'),
        event("schema-x7k2p", 'Pulling image "schema:1"'),
        event("schema-mount", 'Pulling image "schema:2"'),
        event("x", 'Pulling image "nginx"', kind="Node"),
        event("y", "Created container c"),
    )
    assert said(pod("alone", None, "redis"), events=events) == {
        "docker.io/library/redis:latest": ["Pod shop/alone, container c0"],
        "docker.io/library/busybox:latest": ["a pod that is gone, storage/helper-pod-create-pvc-…"],
        "docker.io/library/schema:1": ["a pod that is gone, storage/schema-…"],
        "docker.io/library/schema:2": ["a pod that is gone, storage/schema-mount"],
    }


def test_an_image_volume_is_pulled_like_a_container() -> None:
    item = pod("alone", None, "busybox")
    item["spec"]["volumes"] = [{"name": "model", "image": {"reference": "quay.io/models/x:1"}}, {"name": "empty", "emptyDir": {}}]
    assert said(item)["quay.io/models/x:1"] == ["Pod shop/alone, container volume model"]


def test_names_that_are_no_references() -> None:
    assert usage([pod("alone", None, "Not An Image", "")], ()).unreadable == ["Not An Image", ""]
