"""What a rehearsal concludes from what a cluster says: an image that nobody has is red, with its owner; the rest is a note."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from bundler.errors import RehearsalFailed
from bundler.lab.whose import owners_by_address
from bundler.rehearsal import force
from bundler.rehearsal.force import Forcing
from bundler.rehearsal.judge import LABEL, job_of, misses, outcome
from installer_stub.bundle.receipt import Forced
from installer_stub.host.command import Command, CommandResult
from installer_stub.quiet.declared import parse
from installer_stub.quiet.settle import Settling
from tests.fakes.scripted import ScriptedConnection, failed, succeeded
from tests.unit.bundler.reporter import Remembering

CRON = {"kind": "CronJob", "metadata": {"name": "report", "namespace": "shop"}, "spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [{"image": "a"}]}}}}}}


def pod(*, waiting: str = "", owner: str = "Job", ip: str = "", host_network: bool = False) -> dict[str, Any]:
    state = {"waiting": {"reason": waiting}} if waiting else {"running": {}}
    owners = [{"kind": owner, "name": "rehearsal-0", "controller": True}] if owner else []
    return {
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "shop", "ownerReferences": owners},
        "spec": {"hostNetwork": host_network},
        "status": {"podIP": ip, "containerStatuses": [{"name": "c", "image": "quay.io/x/y:1", "state": state}]},
    }


def job(condition: str = "") -> dict[str, Any]:
    conditions = [{"type": condition, "status": "True"}] if condition else []
    return {"kind": "Job", "metadata": {"name": "rehearsal-0", "namespace": "shop", "labels": {LABEL: "forced"}}, "status": {"conditions": conditions}}


class Site:
    """A master that has the objects it is given, and writes down what is created."""

    def __init__(self, objects: list[dict[str, Any]], ran: list[list[dict[str, Any]]]) -> None:
        self.made: list[dict[str, Any]] = []
        self.master = ScriptedConnection().on("readyz", "ok").on("get cronjobs,jobs", items(objects)).on("create -f -", self.create).on("delete jobs")
        self.master.on("get jobs,pods", *map(items, ran)).on("get pods", items([]))
        self.now = 0.0
        master = SimpleNamespace(name="m1", connection=self.master)
        lab: Any = SimpleNamespace(masters=[master], nodes=[], hosts=[master])
        self.forcing = Forcing(lab, Remembering(), 60, 120, clock=lambda: self.now, sleep=self.sleep)

    def create(self, command: Command) -> CommandResult:
        assert isinstance(command.stdin, bytes)
        self.made += json.loads(command.stdin)["items"]
        return succeeded()

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def items(objects: list[dict[str, Any]]) -> str:
    return json.dumps({"items": objects})


def test_cronjobs_and_suspended_jobs_run_once_and_others_are_left_alone() -> None:
    suspended = {"kind": "Job", "metadata": {"name": "later", "namespace": "shop"}, "spec": {"suspend": True, "template": {"metadata": {}, "spec": {}}}}
    done = {"kind": "Job", "metadata": {"name": "done", "namespace": "shop"}, "spec": {"template": {}}}
    second = {**job("Complete"), "metadata": {"name": "rehearsal-1", "namespace": "shop"}}
    site = Site([CRON, suspended, done], [[job(), second], [job("Complete"), second]])
    site.forcing.jobs()
    assert [each["metadata"]["name"] for each in site.made] == ["rehearsal-0", "rehearsal-1"]
    assert all(each["spec"]["suspend"] is False for each in site.made)
    assert site.forcing.forced == [Forced("CronJobs run", 1), Forced("suspended Jobs run", 1)]
    assert site.forcing.notes == []


def test_an_image_that_does_not_come_is_red_and_names_image_and_owner() -> None:
    site = Site([CRON], [[job(), pod(waiting="ImagePullBackOff")]])
    with pytest.raises(RehearsalFailed, match=r"quay\.io/x/y:1 is not in the file, and container c of Job shop/rehearsal-0") as error:
        site.forcing.jobs()
    assert "images.d" in error.value.remedy
    assert site.now >= 20, "a registry that starts again is waited for"


def test_an_image_that_comes_late_is_no_miss() -> None:
    site = Site([CRON], [[job(), pod(waiting="ErrImagePull")], [job(), pod()], [job(), pod(waiting="ErrImagePull")], [job("Complete")]])
    site.forcing.jobs()
    assert (site.forcing.notes, site.forcing.forced[0]) == ([], Forced("CronJobs run", 1))


@pytest.mark.parametrize(("ran", "note"), [([job("Failed")], "CronJob shop/report ran and failed"), ([job()], "CronJob shop/report still ran after 120 s")])
def test_a_job_that_ran_has_shown_its_images_how_it_ended_is_a_note(ran: list[dict[str, Any]], note: str) -> None:
    site = Site([CRON], [ran])
    site.forcing.jobs()
    assert site.forcing.notes == [note]


def test_what_comes_back_is_what_the_bundle_declares_and_what_may_stay_unready_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen: a Deployment that no host of a lab satisfies was excused at the build, and the rehearsal waited for it in vain."""
    site, seen = Site([], [[]]), list[Settling]()
    monkeypatch.setattr(force, "settle", seen.append)
    declared = parse(b"conditions: [{name: it answers, command: [probe]}]\nmay-stay-unready: [{kind: Deployment, namespace: shop, name: gpu, because: no GPU}]\n")
    site.master.on("drain m1").on("images rm").on("uncordon m1")
    site.forcing.lab.masters[0].connection.on("get pods", items([]))
    Forcing(site.forcing.lab, Remembering(), 60, 120, declared).hosts()
    assert [(each.declared, each.wishes.excused) for each in seen] == [(declared, frozenset({("Deployment", "shop", "gpu")}))]


@pytest.mark.parametrize("left", [0, 10_000])
def test_what_no_drain_moves_starts_anew_when_its_images_are_gone(left: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen: one DaemonSet after the other, host by host, after everything had come back: 42 s of a rehearsal of 269."""

    def there(name: str, owner: str, namespace: str = "kube-system") -> dict[str, Any]:
        return {"kind": "Pod", "metadata": {"name": name, "namespace": namespace, "uid": name, "ownerReferences": [{"kind": owner, "name": name[:-2]}]}}

    site = Site([], [[]])
    monkeypatch.setattr(force, "settle", lambda _: None)
    before = [there("proxy-1", "DaemonSet"), there("agent-1", "DaemonSet", "shop"), there("web-1", "ReplicaSet"), there("etcd-1", "Node")]
    after = [there("proxy-2", "DaemonSet"), *before[2:]]
    site.master.on("drain m1").on("images rm").on("delete pods").on("uncordon m1")
    site.master.on("spec.nodeName=m1", *[items(before)] * (2 + left), items(after))
    site.forcing.hosts()
    said = [command.text for command in site.master.commands]
    order = [next(index for index, words in enumerate(said) if part in words) for part in ("drain m1", "images rm", "-n kube-system delete pods proxy-1 ", "-n shop delete pods agent-1 ", "uncordon m1")]
    assert order == sorted(order)
    assert site.forcing.forced == [Forced("hosts emptied of pods and images", 1), Forced("DaemonSets started anew", 0 if left else 2)]
    assert site.forcing.notes == ([f"DaemonSet {name} on m1 was not started anew: its pod did not go within 180 s" for name in ("kube-system/proxy", "shop/agent")] if left else [])


def test_who_may_not_be_removed_while_the_host_is_empty_is_removed_when_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A webhook whose own pod is gone refuses every removal until it is back."""
    agent = {"kind": "Pod", "metadata": {"name": "agent-1", "namespace": "shop", "uid": "1", "ownerReferences": [{"kind": "DaemonSet", "name": "agent"}]}}
    site, settled = Site([], [[]]), list[int]()
    monkeypatch.setattr(force, "settle", lambda _: settled.append(len(site.master.commands)))
    site.master.on("drain m1").on("images rm").on("uncordon m1").on("delete pods", failed(1, "no endpoints available for service"), succeeded())
    site.master.on("spec.nodeName=m1", *[items([agent])] * 42, items([]))
    site.forcing.hosts()
    assert (len(settled), site.forcing.notes, site.forcing.forced[-1]) == (2, [], Forced("DaemonSets started anew", 1))


def test_what_a_failed_job_never_came_to_is_said() -> None:
    """Its init container failed: nobody has pulled what comes after it."""
    told = {
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "shop", "labels": {"job-name": "rehearsal-0"}, "ownerReferences": [{"kind": "Job", "name": "rehearsal-0"}]},
        "spec": {"initContainers": [{"name": "wait", "image": "a/wait:1"}], "containers": [{"name": "main", "image": "a/main:1"}]},
        "status": {"initContainerStatuses": [{"name": "wait", "imageID": "sha256:1", "state": {}}], "containerStatuses": [{"name": "main", "imageID": "", "state": {}}]},
    }
    site = Site([CRON], [[job("Failed"), told]])
    site.forcing.jobs()
    assert site.forcing.notes == ["CronJob shop/report ran and failed, and never came to a/main:1"]


@pytest.mark.parametrize(("given", "made"), [({}, 1), ({"backoffLimit": 6}, 1), ({"backoffLimit": 0}, 0)])
def test_a_job_that_fails_is_tried_once_more_and_not_for_minutes(given: dict[str, int], made: int) -> None:
    assert job_of("r", {**given, "template": {}}, CRON)["spec"]["backoffLimit"] == made


def test_a_job_is_made_without_what_ties_it_to_another_one() -> None:
    labels = {"app": "a", "batch.kubernetes.io/controller-uid": "1", "controller-uid": "1", "job-name": "x", "batch.kubernetes.io/job-name": "x"}
    made = job_of("r", {"selector": {}, "suspend": True, "ttlSecondsAfterFinished": 0, "backoffLimit": 1, "template": {"metadata": {"labels": labels}, "spec": {"x": 1}}}, CRON)
    assert made["spec"] == {"backoffLimit": 1, "suspend": False, "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"x": 1}}}
    assert made["metadata"]["namespace"] == "shop"


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"])
def test_every_way_in_which_an_image_does_not_come_is_a_miss(reason: str) -> None:
    assert [str(each) for each in misses([pod(waiting=reason), pod(waiting="ContainerCreating"), pod(), {"kind": "Job"}])] == [
        "quay.io/x/y:1: container c of Job shop/rehearsal-0"
    ]


def test_owners_are_found_by_address_and_the_hosts_own_is_no_pods() -> None:
    assert owners_by_address([pod(ip="10.244.0.3"), pod(ip="172.19.0.2", host_network=True), pod(ip="10.244.0.4", owner="")]) == {
        "10.244.0.3": "Job shop/rehearsal-0",
        "10.244.0.4": "Pod shop/p",
    }


def test_outcomes() -> None:
    assert [outcome(job(each)) for each in ("Complete", "Failed", "", "FailureTarget")] == ["Complete", "Failed", "", ""]
