"""What is not ready, and why. One recording of a real v1.36.3 cluster with things broken on purpose, and tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from installer_stub.kube.pods import latest_warning, pod_reason
from installer_stub.kube.workloads import KINDS, Unready, failed_pods, unready

RECORDED = Path(__file__).parent / "recorded"
CLUSTER = json.loads((RECORDED / "cluster.json").read_text())["items"]
WARNINGS = json.loads((RECORDED / "warnings.json").read_text())["items"]


def thing(kind: str, *, spec: Any = None, status: Any = None, name: str = "web", **metadata: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}", "generation": 2, **metadata},
        "spec": spec or {},
        "status": {"observedGeneration": 2, **(status or {})},
    }


def reasons(*objects: dict[str, Any]) -> list[str]:
    return [each.reason for each in unready(objects)]


@pytest.fixture(scope="module")
def broken() -> dict[str, Unready]:
    return {each.name: each for each in unready(CLUSTER, WARNINGS)}


class TestRecordedCluster:
    def test_only_what_was_broken_is_unready(self, broken: dict[str, Unready]) -> None:
        assert sorted(broken) == ["broken", "data", "db", "failing"]

    def test_a_missing_image_names_the_pod_the_image_and_the_event_and_is_final(self, broken: dict[str, Unready]) -> None:
        text = str(broken["broken"])
        assert "Deployment default/broken: 0 of 1 pods ready: container nothere waits: ImagePullBackOff" in text
        assert "docker.io/library/nothere:1: not found" in text
        assert "; pod broken-" in text
        assert "; last event: Failed" in text
        assert broken["broken"].failed
        assert broken["broken"].remedy.startswith("kubectl -n default describe pod broken-")

    def test_a_pod_that_fits_nowhere_says_so_and_may_still_fit_later(self, broken: dict[str, Unready]) -> None:
        assert "not scheduled: 0/3 nodes are available" in broken["db"].reason
        assert broken["db"].event.startswith("FailedScheduling")
        assert not broken["db"].failed

    def test_a_failed_job_is_final_and_a_complete_one_is_done(self, broken: dict[str, Unready]) -> None:
        assert broken["failing"].failed
        assert "BackoffLimitExceeded" in broken["failing"].reason
        assert "good" not in broken

    def test_a_failed_pod_of_nobody_is_told_and_not_waited_for(self, broken: dict[str, Unready]) -> None:
        assert "lonely" not in broken
        (told,) = failed_pods(CLUSTER)
        assert (told.name, told.failed) == ("lonely", False)
        assert "ended with" in told.reason

    def test_a_claim_without_its_storage_class_says_so(self, broken: dict[str, Unready]) -> None:
        assert broken["data"].reason == "storage class fast does not exist"
        assert broken["data"].event.startswith("ProvisioningFailed")
        assert not broken["data"].failed

    def test_without_the_broken_things_the_cluster_is_ready(self) -> None:
        names = ("broken", "data", "db", "failing", "lonely")
        healthy = [item for item in CLUSTER if not item["metadata"]["name"].startswith(names)]
        assert len(healthy) > 15
        assert unready(healthy, WARNINGS) == ()

    def test_every_kind_that_is_judged_is_asked_for(self) -> None:
        asked = {kind.rstrip("s") for kind in KINDS.split(",")} | {"storageclass"}
        judged = {"node", "deployment", "statefulset", "daemonset", "replicaset", "job", "pod", "persistentvolumeclaim", "storageclass"}
        assert judged <= asked


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}, []),
        ({"replicas": 2, "updatedReplicas": 2, "availableReplicas": 1}, ["1 of 2 pods ready"]),
        ({"replicas": 2, "updatedReplicas": 2}, ["0 of 2 pods ready"]),
        ({"replicas": 2, "updatedReplicas": 1, "availableReplicas": 2}, ["1 of 2 pods made"]),
        ({"replicas": 3, "updatedReplicas": 2, "availableReplicas": 3}, ["1 old pods still to end"]),
        ({}, ["0 of 2 pods made"]),  # no pods yet
        ({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}, ["its controller has not seen it yet"]),
        (
            {"replicas": 2, "updatedReplicas": 2, "conditions": [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]},
            ["no progress within its deadline"],
        ),
    ],
)
def test_deployments(status: dict[str, Any], expected: list[str]) -> None:
    assert reasons(thing("Deployment", spec={"replicas": 2}, status=status)) == expected


def test_a_deployment_nobody_has_looked_at_yet_is_not_ready() -> None:
    item = thing("Deployment", spec={"replicas": 1})
    item["status"] = {}
    assert reasons(item) == ["its controller has not seen it yet"]


def test_a_deployment_scaled_to_nothing_is_ready() -> None:
    assert reasons(thing("Deployment", spec={"replicas": 0})) == []


@pytest.mark.parametrize(
    ("spec", "status", "expected"),
    [
        ({"replicas": 3}, {"readyReplicas": 3, "currentRevision": "a", "updateRevision": "a"}, []),
        ({"replicas": 3}, {"readyReplicas": 2}, ["2 of 3 pods ready"]),
        ({}, {}, ["0 of 1 pods ready"]),
        (
            {"replicas": 3},
            {"readyReplicas": 3, "updatedReplicas": 1, "currentRevision": "a", "updateRevision": "b"},
            ["1 of 3 pods updated"],
        ),
        (
            {"replicas": 3, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}},
            {"readyReplicas": 3, "updatedReplicas": 1, "currentRevision": "a", "updateRevision": "b"},
            [],
        ),
        (
            {"replicas": 3, "updateStrategy": {"type": "OnDelete"}},
            {"readyReplicas": 3, "currentRevision": "a", "updateRevision": "b"},
            [],
        ),
    ],
)
def test_stateful_sets(spec: dict[str, Any], status: dict[str, Any], expected: list[str]) -> None:
    assert reasons(thing("StatefulSet", spec=spec, status=status)) == expected


@pytest.mark.parametrize(
    ("spec", "status", "expected"),
    [
        ({}, {"desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberReady": 3, "numberAvailable": 3}, []),
        ({}, {"desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberReady": 2, "numberAvailable": 2}, ["2 of 3 pods ready"]),
        ({}, {"desiredNumberScheduled": 3, "updatedNumberScheduled": 1, "numberReady": 3, "numberAvailable": 3}, ["1 of 3 pods updated"]),
        ({"updateStrategy": {"type": "OnDelete"}}, {"desiredNumberScheduled": 3, "numberReady": 3, "numberAvailable": 3}, []),
        ({}, {}, []),  # no node fits it
        ({}, {"observedGeneration": 0}, ["its controller has not seen it yet"]),
    ],
)
def test_daemon_sets(spec: dict[str, Any], status: dict[str, Any], expected: list[str]) -> None:
    assert reasons(thing("DaemonSet", spec=spec, status=status)) == expected


@pytest.mark.parametrize(
    ("spec", "status", "owner", "expected", "failed"),
    [
        ({"completions": 2}, {"succeeded": 1}, None, ["1 of 2 completions"], False),
        ({}, {"conditions": [{"type": "Complete", "status": "True"}]}, None, [], False),
        ({}, {"conditions": [{"type": "Complete", "status": "False"}]}, None, ["0 of 1 completions"], False),
        ({}, {"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]}, None, ["failed: DeadlineExceeded"], True),
        ({"suspend": True}, {}, None, [], False),
        ({}, {}, "CronJob", [], False),
        ({}, {"conditions": [{"type": "Failed", "status": "True"}]}, "CronJob", [], False),
        ({}, {}, "SomeOperator", ["0 of 1 completions"], False),
    ],
)
def test_jobs(spec: Any, status: Any, owner: str | None, expected: list[str], *, failed: bool) -> None:
    metadata = {"ownerReferences": [{"kind": owner, "uid": "o", "controller": True}]} if owner else {}
    found = unready([thing("Job", spec=spec, status=status, **metadata)])
    assert [each.reason for each in found] == expected
    assert any(each.failed for each in found) is failed


def pod(phase: str = "Running", *, ready: str = "True", owner: str | None = None, restart: str = "Always", **status: Any) -> dict[str, Any]:
    item = thing("Pod", spec={"restartPolicy": restart}, status={"phase": phase, "conditions": [{"type": "Ready", "status": ready}], **status})
    if owner:
        item["metadata"]["ownerReferences"] = [{"kind": owner, "uid": "o", "controller": True}]
    return item


@pytest.mark.parametrize(
    ("item", "expected", "failed"),
    [
        (pod(), [], False),
        (pod("Succeeded", ready="False"), [], False),
        (pod(ready="False", owner="ReplicaSet"), [], False),  # judged through its Deployment
        (pod(ready="False", owner="Job"), [], False),
        (pod(ready="False", owner="Node"), ["phase Running"], False),  # a static pod: nobody else speaks for it
        (pod(ready="False", owner="PostgresCluster"), ["phase Running"], False),  # an operator's own kind
        (pod("Failed", ready="False", restart="Never"), [], False),  # nothing will change it: test_a_failed_pod_of_nobody
        (pod("Failed", ready="False", owner="Node", restart="Never"), ["phase Failed"], False),
        (pod("Pending", ready="False"), ["its containers are being made"], False),
    ],
)
def test_pods_that_no_controller_speaks_for(item: dict[str, Any], expected: list[str], *, failed: bool) -> None:
    found = unready([item])
    assert [each.reason for each in found] == expected
    assert any(each.failed for each in found) is failed


def test_a_bare_pod_on_its_way_out_is_waited_for() -> None:
    item = pod()
    item["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert reasons(item) == ["is being deleted"]


@pytest.mark.parametrize(
    ("phase", "used", "mode", "expected"),
    [
        ("Bound", False, "Immediate", []),
        ("Pending", False, "Immediate", ["no volume is bound"]),
        ("Pending", True, "WaitForFirstConsumer", ["no volume is bound"]),
        ("Pending", False, "WaitForFirstConsumer", []),  # right until a pod wants it
        ("Pending", True, None, ["storage class local does not exist"]),
    ],
)
def test_claims(phase: str, *, used: bool, mode: str | None, expected: list[str]) -> None:
    claim = thing("PersistentVolumeClaim", name="data", spec={"storageClassName": "local"}, status={"phase": phase})
    user = pod()
    user["spec"]["volumes"] = [{"persistentVolumeClaim": {"claimName": "data" if used else "other"}}]
    classes = [{"kind": "StorageClass", "metadata": {"name": "local"}, "volumeBindingMode": mode}] if mode else []
    assert reasons(claim, user, *classes) == expected


def test_a_lost_volume_is_final() -> None:
    (found,) = unready([thing("PersistentVolumeClaim", status={"phase": "Lost"})])
    assert found.failed


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([{"type": "Ready", "status": "True"}], []),
        ([{"type": "Ready", "status": "False", "message": "cni plugin not initialized"}], ["cni plugin not initialized"]),
        ([{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}], ["NodeStatusUnknown"]),
        ([], ["has not reported yet"]),
    ],
)
def test_nodes(conditions: list[Any], expected: list[str]) -> None:
    assert reasons(thing("Node", status={"conditions": conditions})) == expected


def test_a_replica_set_is_judged_only_where_no_deployment_owns_it() -> None:
    alone = thing("ReplicaSet", spec={"replicas": 1}, status={"readyReplicas": 0})
    owned = thing("ReplicaSet", spec={"replicas": 1}, ownerReferences=[{"kind": "Deployment", "uid": "d", "controller": True}])
    assert reasons(alone) == ["0 of 1 pods ready"]
    assert reasons(owned) == []


def test_a_pods_reason_is_the_container_that_holds_it_up() -> None:
    item = pod(
        "Pending",
        ready="False",
        initContainerStatuses=[{"name": "init", "state": {"terminated": {"exitCode": 0}}}],
        containerStatuses=[
            {"name": "app", "state": {"waiting": {"reason": "ContainerCreating"}}},
            {"name": "side", "state": {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "x"\n not found'}}},
        ],
    )
    assert pod_reason(item) == 'container side waits: CreateContainerConfigError (secret "x" not found)'


def test_the_last_warning_counts_whatever_field_its_time_is_in() -> None:
    def event(reason: str, **times: Any) -> dict[str, Any]:
        about = {"kind": "Pod", "name": "web", "namespace": "shop"}
        return {"type": "Warning", "reason": reason, "message": "m", "involvedObject": about, "metadata": {}, **times}

    events = [
        event("Old", lastTimestamp="2026-01-01T10:00:00Z"),
        event("New", lastTimestamp=None, eventTime="2026-01-01T12:00:00.000000Z"),
        event("Middle", lastTimestamp="2026-01-01T11:00:00Z"),
        {**event("Fine", lastTimestamp="2026-01-01T13:00:00Z"), "type": "Normal"},
    ]
    assert latest_warning(events, "Pod", "shop", "web") == "New: m"
    assert latest_warning(events, "Pod", "other", "web") == ""


@pytest.mark.parametrize(
    "event",
    ['Failed to create pod sandbox: rpc error: failed to get sandbox runtime: no runtime for "kata" is configured', 'pods "x-" is forbidden: pod rejected: RuntimeClass "kata" not found'],
)
def test_a_runtime_class_that_is_for_no_host_has_a_remedy_of_its_own(event: str) -> None:
    assert "runtimeClassName" in Unready("Deployment", "shop", "web", "0 of 1 ready", "web-1", event).remedy
