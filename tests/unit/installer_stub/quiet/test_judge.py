"""The verdict, on tables: what waits, what is final, what is only told; and what counts as something happening."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from installer_stub.kube.scope import Ownership, Scope
from installer_stub.quiet.history import RESTLESS
from installer_stub.quiet.judge import Verdict, Wishes, judge
from installer_stub.quiet.look import Look
from tests.unit.installer_stub.quiet.things import (
    crashing,
    custom,
    deployment,
    glimpse,
    lease,
    pod,
    seen,
    stamp,
    thing,
)


def verdict(*objects: dict[str, Any], at: float = 1000.0, **wishes: Any) -> Verdict:
    return judge(seen(*objects, at=at), None, Wishes(**wishes))


WEBHOOK = thing("MutatingWebhookConfiguration", "injector", "", webhooks=[{"name": "in.example", "clientConfig": {"service": {"namespace": "shop", "name": "hook"}}}])
NEVER_PULLED = {"name": "main", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "rpc error: code = NotFound desc = x: not found"}}}


def slice_of(service: str, **conditions: bool) -> dict[str, Any]:
    return thing("EndpointSlice", f"{service}-1", metadata={"labels": {"kubernetes.io/service-name": service}}, endpoints=[{"conditions": conditions}])


def release(revision: int, status: str) -> dict[str, Any]:
    return thing("Secret", f"sh.helm.release.v1.web.v{revision}", metadata={"labels": {"owner": "helm", "name": "web", "version": str(revision), "status": status}})


def api(status: str) -> dict[str, Any]:
    spec = {"service": {"namespace": "shop", "name": "adapter"}}
    return thing("APIService", "v1.custom.metrics.k8s.io", "", spec=spec, status={"conditions": [{"type": "Available", "status": status, "message": "no endpoints"}]})


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        ([deployment(available=0)], "0 of 1 pods ready"),
        ([WEBHOOK], "service shop/hook has no endpoint that is ready"),
        ([WEBHOOK, slice_of("hook", ready=False)], "no endpoint that is ready"),
        ([WEBHOOK, slice_of("other", ready=True)], "no endpoint that is ready"),
        ([api("False")], "no endpoints"),
        ([release(1, "deployed"), release(2, "pending-upgrade")], "revision 2 is pending-upgrade"),
        ([custom([{"type": "Ready", "status": "False", "reason": "Creating", "message": "2 of 3"}])], r"Ready is False \(Creating: 2 of 3\)"),
        ([custom([{"type": "Available", "status": "Unknown"}])], "Available is Unknown"),
        ([custom(observedGeneration=1)], "has seen generation 1 of 2"),
        ([custom([{"type": "Ready", "status": "True", "observedGeneration": 1}])], "about generation 1 of 2"),
        ([lease(renewed=960.0)], "operator-1 has not renewed it in time"),
        ([lease(renewed=990.0, holder="", lasts=1)], "has given it back"),
        ([thing("CustomResourceDefinition", "d", "", api="apiextensions.k8s.io/v1", status={"conditions": [{"type": "Established", "status": "False"}]})], "Established is False"),
    ],
)
def test_what_is_waited_for(objects: list[dict[str, Any]], reason: str) -> None:
    (found,) = verdict(*objects).waiting
    assert not found.failed
    assert re.search(reason, str(found)), str(found)


@pytest.mark.parametrize(
    "objects",
    [
        [deployment()],
        [WEBHOOK, slice_of("hook", ready=True)],
        [WEBHOOK, slice_of("hook")],  # not said: ready
        [thing("ValidatingWebhookConfiguration", "outside", "", webhooks=[{"name": "x", "clientConfig": {"url": "https://10.0.0.9/"}}])],
        [api("True")],
        [release(1, "superseded"), release(2, "deployed")],
        [release(1, "failed"), release(2, "deployed")],
        [release(10, "deployed"), release(9, "failed")],  # as numbers, not as texts
        [custom()],  # says nothing
        [custom([{"type": "Ready", "status": "True"}, {"type": "Degraded", "status": "False"}])],
        [custom([{"type": "Paused", "status": "False"}], observedGeneration=2)],
        [thing("FlowSchema", "x", "", api="flowcontrol.apiserver.k8s.io/v1", metadata={"generation": 2}, status={"conditions": [{"type": "Ready", "status": "False"}]})],
        [lease(renewed=990.0)],
        [lease(renewed=0.0)],  # what is left of something: nobody took it for a long time
        [lease("n1", renewed=900.0, lasts=40, namespace="kube-node-lease")],
    ],
    ids=lambda objects: str([(each["kind"], each["metadata"]["name"]) for each in objects])[:60],
)
def test_what_is_as_it_is_wanted(objects: list[dict[str, Any]]) -> None:
    assert verdict(*objects).waiting == ()


def test_a_failed_release_is_final() -> None:
    assert [str(each) for each in verdict(release(1, "deployed"), release(2, "failed")).failed] == ["Release shop/web: helm's revision 2 is failed"]


def test_a_failed_pod_of_nobody_is_told_and_one_of_an_operator_is_waited_for() -> None:
    mine = pod("test", ready=None, phase="Failed")
    theirs = pod("db-0", owner=custom(), ready=None, phase="Failed")
    found = verdict(mine, theirs, deployment())
    assert [each.name for each in found.outside] == ["test"]
    assert [(each.name, each.failed) for each in found.waiting] == [("db-0", False)]


def left_ended(item: dict[str, Any]) -> dict[str, Any]:
    """Return the pod with its container's end as its state, and the end before as the last one."""
    (status,) = item["status"]["containerStatuses"]
    before = {"terminated": {**status["lastState"]["terminated"], "startedAt": stamp(1)}}
    return {**item, "status": {**item["status"], "containerStatuses": [{**status, "state": status["lastState"], "lastState": before}]}}


WEB, DB = deployment(available=0), deployment("db", available=0)


@pytest.mark.parametrize(
    ("objects", "at", "final"),
    [
        ([WEB, crashing(owner=WEB)], 62.0, True),  # three restarts
        ([WEB, crashing(owner=WEB, restarts=2)], 62.0, False),
        ([WEB, crashing(owner=WEB, restarts=1)], 130.0, True),  # two minutes
        ([WEB, crashing(owner=WEB, restarts=5), pod("db-0", ready=70.0)], 75.0, False),  # crashed before the database was there
        ([WEB, crashing(owner=WEB, restarts=6, ran=80.0), pod("db-0", ready=70.0)], 85.0, True),  # and again when it was
        ([WEB, crashing(owner=WEB, restarts=5), DB], 90.0, False),  # the database is on its way
        ([WEB, crashing(owner=WEB, restarts=9), DB], 301.0, True),  # but not for ever
        ([WEB, crashing(owner=WEB, restarts=9), thing("Job", "import", spec={}, status={"active": 1})], 301.0, False),  # a Job ends by itself
        ([crashing("alone")], 62.0, True),
        ([WEB, left_ended(crashing(owner=WEB))], 62.0, True),  # as v1.36 shows it
        ([WEB, left_ended(crashing(owner=WEB)), pod("db-0", ready=70.0)], 75.0, False),
        ([WEB, left_ended(crashing(owner=WEB, restarts=0))], 900.0, False),  # it has ended for the first time
        ([thing("Job", "import", spec={}, status={"active": 1}), crashing("import-x", owner=thing("Job", "import"))], 900.0, False),  # it counts its own
        # A host that went down and came again: the pod is old, its sandbox new, and the ends before it were not the container's own.
        ([WEB, left_ended(crashing(owner=WEB, restarts=1, status=255, reason="Unknown"))], 900.0, False),
        ([WEB, left_ended(crashing(owner=WEB, restarts=5, status=255, reason="Unknown"))], 900.0, False),
        ([WEB, left_ended(crashing(owner=WEB, restarts=5, status=137, reason="ContainerStatusUnknown"))], 900.0, False),
        ([WEB, left_ended(crashing(owner=WEB, restarts=5, status=143, sandbox=890.0))], 900.0, False),  # ended in order with its host
        ([WEB, left_ended(crashing(owner=WEB, restarts=5, status=143, sandbox=None))], 900.0, False),  # and its sandbox is still to come
        ([WEB, crashing(owner=WEB, restarts=5, ran=895.0, sandbox=890.0)], 900.0, False),  # once in the new one
        ([WEB, crashing(owner=WEB, restarts=6, ran=990.0, sandbox=890.0)], 1015.0, True),  # and two minutes on it still does
        ([WEB, crashing(owner=WEB, restarts=9, ran=990.0, sandbox=890.0), DB], 1015.0, False),
        ([WEB, crashing(owner=WEB, restarts=9, ran=1180.0, sandbox=890.0), DB], 1191.0, True),  # but not for ever
        ([WEB, crashing(owner=WEB, restarts=3, sandbox=17.0)], 62.0, True),  # a first sandbox that was told late
        ([WEB, left_ended(crashing(owner=WEB, restarts=4, ran=10.0, lasted=3600.0))], 3612.0, False),  # kubelet starts it again at once
    ],
)
def test_a_crash_loop_is_final_when_nothing_that_is_missing_can_be_its_reason(objects: list[dict[str, Any]], at: float, *, final: bool) -> None:
    found = verdict(*objects, at=at)
    assert bool(found.failed) is final
    if final:
        assert "crashed" in found.failed[0].reason
        assert found.failed[0].pod


@pytest.mark.parametrize(("images", "final", "said"), [(None, True, ""), (frozenset({"docker.io/library/app:1"}), False, ""), (frozenset(), True, "not in the bundle: docker.io/library/app:1")])
def test_an_image_that_the_bundle_has_is_pulled_at_the_next_try(images: Any, said: str, *, final: bool) -> None:
    waiting = pod(owner=WEB, ready=None, phase="Pending", containerStatuses=[NEVER_PULLED])
    waiting["spec"] = {"containers": [{"name": "main", "image": "app:1"}]}
    found = verdict(WEB, waiting, images=images)
    assert bool(found.failed) is final
    assert said in found.waiting[0].reason


def test_what_cannot_be_looked_at_is_waited_for() -> None:
    found = judge(seen(deployment(), at=1.0, doubt="the server is currently unable to handle the request"), None, Wishes())
    assert [each.kind for each in found.waiting] == ["API"]


def test_an_api_that_is_away_and_another_s_hides_nothing_of_ours() -> None:
    scope = Scope(Ownership(frozenset({"Deployment crm/server"}), frozenset({"crm"})))
    doubt = "error: unable to retrieve the complete list of server APIs: custom.metrics.k8s.io/v1: unable to handle the request"
    assert judge(seen(api("False"), at=1.0, doubt=doubt), None, Wishes(scope=scope)).waiting == ()
    assert [each.kind for each in judge(seen(api("True"), at=1.0, doubt=doubt), None, Wishes(scope=scope)).waiting] == ["API"]


def test_what_the_bundle_excuses_is_told() -> None:
    found = verdict(deployment("gpu", available=0), excused={("Deployment", "shop", "gpu")})
    assert (found.waiting, [each.name for each in found.outside]) == ((), ["gpu"])


def test_a_site_s_own_webhook_and_release_are_told() -> None:
    scope = Scope(Ownership(frozenset({"Deployment crm/server"}), frozenset({"crm"})))
    found = verdict(WEBHOOK, release(1, "failed"), api("False"), custom([{"type": "Ready", "status": "False"}]), scope=scope)
    assert found.waiting == ()
    assert sorted(each.kind for each in found.outside) == ["APIService", "Database", "MutatingWebhookConfiguration", "Release"]


@pytest.mark.parametrize(
    ("leases", "floor", "needed"),
    [
        ([], 0.0, 4.0),
        ([], 60.0, 60.0),
        ([lease(renewed=999.0), lease("flux", renewed=999.0, lasts=35)], 0.0, 39.0),
        ([lease(renewed=0.0, lasts=100)], 20.0, 20.0),  # nobody holds it
        ([lease(renewed=999.0, lasts=3600)], 0.0, 124.0),  # bounded
        ([lease("kube-scheduler", renewed=999.0, metadata={"namespace": "kube-system"})], 0.0, 4.0),  # what it has to do shows
        ([lease("kube-scheduler", renewed=999.0, lasts=15)], 0.0, 19.0),  # of somebody who calls himself so
        ([lease("apiserver", renewed=999.0, lasts=3600, metadata={"labels": {"apiserver.kubernetes.io/identity": "kube-apiserver"}})], 0.0, 4.0),
    ],
)
def test_quiet_lasts_longer_than_the_longest_lease_that_somebody_holds(leases: list[dict[str, Any]], floor: float, needed: float) -> None:
    assert verdict(*leases, floor=floor).needed == needed


def test_one_look_at_an_old_cluster_tells_for_how_long_nothing_happened() -> None:
    node = thing("Node", "m1", "", at=10.0, metadata={"managedFields": [{"time": stamp(10)}, {"time": stamp(999), "subresource": "status"}]}, status={"conditions": [{"type": "Ready", "status": "True"}]})
    found = verdict(node, deployment(at=300.0), lease(renewed=999.0, at=5.0))
    assert (found.quiet, found.history.what) == (700.0, "Deployment shop/web was written")


def test_what_the_api_has_no_time_for_may_have_changed_just_now() -> None:
    assert verdict(thing("ConfigMap", "x", at=None)).quiet == 0.0


def test_a_real_cluster_s_first_look() -> None:
    """Recorded: v1.36.3 half a minute after its network came, before anything else was asked of it."""
    seen_there = json.loads((Path(__file__).parent / "recorded" / "look.json").read_text())
    found = judge(Look(seen_there["now"], tuple(seen_there["objects"]), ()), None, Wishes())
    assert found.waiting == ()
    assert (found.quiet, found.needed) == (19.0, 4.0)  # no operator leads here: the control plane's own leases, the API server's hour and heartbeats are none
    assert any(not item["metadata"].get("managedFields") for item in seen_there["objects"])


CRON = thing("CronJob", "tick", api="batch/v1", metadata={"generation": 1}, spec={}, status={})
TICK = thing("Job", "tick-1", api="batch/v1", metadata={"generation": 1, "ownerReferences": [{"kind": "CronJob", "name": "tick", "uid": CRON["metadata"]["uid"]}]}, status={})


def changed(item: dict[str, Any], *, metadata: Any = None, **more: Any) -> dict[str, Any]:
    new = copy.deepcopy(item)
    new["metadata"].update({"resourceVersion": "2", **(metadata or {})})
    return {**new, **more}


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        ([], [thing("ConfigMap", "new")], "ConfigMap shop/new appeared"),
        ([thing("Database", "new", api="db.example.org/v1")], [], "Database shop/new went away"),
        ([thing("Secret", "s")], [changed(thing("Secret", "s"))], "Secret shop/s changed"),
        ([deployment()], [changed(deployment(), metadata={"generation": 2})], "Deployment shop/web changed"),
        ([custom(phase="one")], [changed(custom(phase="two"))], "Database shop/main changed"),
        ([custom()], [changed(custom(), metadata={"deletionTimestamp": stamp(1)})], "Database shop/main changed"),
        ([lease(holder="a")], [changed(lease(holder="b"))], "Lease shop/leader changed"),
        ([lease(renewed=1)], [changed(lease(renewed=9))], ""),
        ([custom(lastSyncTime=stamp(1))], [changed(custom(lastSyncTime=stamp(9)))], ""),
        ([deployment()], [changed(deployment(), metadata={"annotations": {"seen": "9"}})], ""),
        # What kubelet notes of a pod's resources a minute after its start, v1.36.3; the same words of another kind are a change.
        ([pod(containerStatuses=[{"name": "main"}])], [pod(resources={"limits": {"memory": "1Ki"}}, containerStatuses=[{"name": "main", "allocatedResources": {"cpu": "1"}}])], ""),
        ([pod(containerStatuses=[{"name": "main"}])], [pod(containerStatuses=[{"name": "main", "restartCount": 1, "resources": {}}])], "Pod shop/web-1 changed"),
        ([pod()], [changed(pod(), metadata={"generation": 2})], "Pod shop/web-1 changed"),  # its resources are to be others
        ([custom()], [custom(resources={"ready": 1})], "Database shop/main changed"),
        ([CRON], [CRON, TICK], ""),
        ([CRON, TICK], [CRON, TICK, pod("tick-1-x", owner=TICK)], ""),
        ([thing("Job", "other", api="batch/v1")], [thing("Job", "other", api="batch/v1"), pod("other-x", owner=thing("Job", "other"))], "Pod shop/other-x appeared"),
        (
            [thing("ConfigMap", "lock", metadata={"annotations": {"control-plane.alpha.kubernetes.io/leader": '{"holderIdentity":"a","renewTime":"1"}'}})],
            [changed(thing("ConfigMap", "lock"), metadata={"annotations": {"control-plane.alpha.kubernetes.io/leader": '{"holderIdentity":"a","renewTime":"2"}'}})],
            "",
        ),
        (
            [thing("Node", "m1", "", status={"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": stamp(1)}]})],
            [changed(thing("Node", "m1", ""), status={"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": stamp(9)}]})],
            "",
        ),
    ],
)
def test_what_counts_as_something_that_happened(before: list[dict[str, Any]], after: list[dict[str, Any]], what: str) -> None:
    first = judge(seen(*before, at=1000.0), None, Wishes())
    found = judge(seen(*after, at=1002.0), first.history, Wishes())
    if what:
        assert (found.quiet, found.history.what) == (0.0, what)
    else:
        assert found.quiet == first.quiet + 2.0


@pytest.mark.parametrize(
    ("name", "what"),
    [("helper-pod-create-x", "Pod shop/helper-pod-create-x came and went"), ("web-1", ""), ("tick-29012345-abcde", "")],
)
def test_a_pod_that_lived_between_two_looks_left_an_event(name: str, what: str) -> None:
    first = judge(seen(CRON, pod(), at=1000.0, glimpses=(glimpse("long-ago", "e0"),)), None, Wishes())
    found = judge(seen(CRON, pod(), at=1002.0, glimpses=(glimpse("long-ago", "e0"), glimpse(name))), first.history, Wishes())
    assert found.quiet == (0.0 if what else first.quiet + 2)
    assert not what or found.history.what == what


def test_a_status_that_never_rests_is_named_and_not_waited_for() -> None:
    history, quiet = None, []
    for number in range(RESTLESS + 4):
        found = judge(seen(custom(load=number), at=1000.0 + 2 * number), history, Wishes())
        history = found.history
        quiet.append(found.quiet)
    assert quiet[1:RESTLESS] == [0.0] * (RESTLESS - 1)
    assert quiet[-1] > quiet[-2] > 0
    assert found.history.endless() == ("Database shop/main",)


def test_a_status_that_changes_while_things_come_and_go_is_progress() -> None:
    history = None
    for number in range(2 * RESTLESS):
        pods = [pod(f"db-{each}") for each in range(number // 4)]
        found = judge(seen(custom(members=number), *pods, at=1000.0 + 2 * number), history, Wishes())
        history = found.history
    assert (found.quiet, history.endless()) == (0.0, ())


def test_a_clock_that_is_set_back_begins_anew() -> None:
    first = judge(seen(deployment(), at=1000.0), None, Wishes())
    assert judge(seen(deployment(), at=400.0), first.history, Wishes()).quiet == 0.0


def test_the_summary_counts_what_was_watched() -> None:
    text = verdict(deployment(), pod(), pod("web-2"), thing("Secret", "a"), custom()).summary()
    assert text == "2 Pods, 1 Deployment, 2 objects of 2 other kinds"
