"""Forcing what an installation never brings about: scheduled Jobs run, suspended ones too, hosts are emptied in turn.

What a host had pulled is taken from it while it is empty, so that every pod that comes back has to pull again, from the site's
registry, as it will on the day that a host dies.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from bundler.errors import RehearsalFailed
from bundler.lab.lab import Lab, LabHost
from bundler.rehearsal.judge import LABEL, job_of, misses, never_pulled, outcome
from installer_stub.bundle.receipt import Forced
from installer_stub.errors import InstallerError
from installer_stub.host.command import Command
from installer_stub.kube.control_plane import first_ready
from installer_stub.kube.kubectl import Kubectl, Object
from installer_stub.kube.owners import owner_name
from installer_stub.phases.reporter import Reporter
from installer_stub.quiet.declared import NOTHING, Declared
from installer_stub.quiet.judge import Wishes
from installer_stub.quiet.settle import Runs, Settling, settle

_DRAIN: Final = 180  # seconds for a host's pods to go; a budget that never lets them go is a note
_MISS_AFTER: Final = 20.0  # seconds that an image may fail to come: registries of masters restart now and then
_TICK: Final = 2.0
_LOOK: Final = 0.5
_REFUSED: Final = 20  # seconds for those pods to go that may, where the removal of others was refused
_EMPTY: Final = "/usr/local/bin/ctr -n k8s.io images list -q | grep -v '/pause[:@]' | xargs -r -n 20 /usr/local/bin/ctr -n k8s.io images rm --sync >/dev/null"


@dataclass
class Forcing:
    """Works on a finished site. Everything raises RehearsalFailed, which names image and owner."""

    lab: Lab
    reporter: Reporter
    settle_timeout: float  # seconds
    job_timeout: float
    declared: Declared = NOTHING  # by the bundle: what else has to hold, and what may stay unready
    runs: Runs | None = None  # its commands
    forced: list[Forced] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    @property
    def kubectl(self) -> Kubectl:
        """On the first master whose API answers."""
        found = [Kubectl(each.connection) for each in self.lab.masters]
        return first_ready(found) or found[0]

    def everything(self) -> None:
        """Force all of it."""
        self.jobs()
        self.hosts()

    def jobs(self) -> None:
        """Run every CronJob once, and a copy of every Job that is suspended."""
        objects = self.kubectl.items("cronjobs,jobs", "--all-namespaces")
        crons = [each for each in objects if each["kind"] == "CronJob"]
        suspended = [each for each in objects if each["kind"] == "Job" and (each.get("spec") or {}).get("suspend")]
        made = [job_of(f"rehearsal-{number}", each["spec"]["jobTemplate"]["spec"], each) for number, each in enumerate(crons)]
        made += [job_of(f"rehearsal-{len(crons) + number}", each["spec"], each) for number, each in enumerate(suspended)]
        sources = dict(zip((each["metadata"]["name"] for each in made), (*crons, *suspended), strict=True))
        if made:
            self.reporter.step(f"rehearsal: {len(crons)} CronJob(s) run once, {len(suspended)} suspended Job(s)")
            self._create(made)
            self._wait_for_jobs(sources)
            self.kubectl.run("delete", "jobs", "--all-namespaces", "-l", LABEL, "--wait=false", "--cascade=foreground", changes="remove the forced Jobs")
        self.forced += [Forced("CronJobs run", len(crons)), Forced("suspended Jobs run", len(suspended))]

    def hosts(self) -> None:
        """Empty every host in turn, take its images away, start anew what no drain moves, and let pods come back."""
        daemons = set[str]()
        for each in (*self.lab.nodes, *self.lab.masters):
            self.reporter.step(f"rehearsal: {each.name} is emptied, its images are removed, and its pods come back")
            self._drain(each)
            each.connection.run(Command.shell(_EMPTY, changes="remove every image"), check=False)
            pods = {pod["metadata"]["uid"]: pod for pod in self._pods_of(each) if owner_name(pod, {}).startswith("DaemonSet ")}
            left = self._restart(each, pods)
            self.kubectl.run("uncordon", each.name, changes="let pods come back")
            self._settle(f"after {each.name} was emptied")
            if left:  # a webhook of an application that was not there, as its host was empty, may have refused
                left = self._restart(each, left)
                self._settle(f"after DaemonSets of {each.name} were started anew")
            self.notes += [f"{owner_name(pod, {})} on {each.name} was not started anew: its pod did not go within {_DRAIN} s" for pod in left.values()]
            daemons |= {owner_name(pod, {}) for uid, pod in pods.items() if uid not in left}
        self.forced += [Forced("hosts emptied of pods and images", len(self.lab.hosts)), Forced("DaemonSets started anew", len(daemons))]

    def _restart(self, host: LabHost, pods: Mapping[str, Object]) -> dict[str, Object]:
        """Remove pods of DaemonSets, whose images are gone already, wait until they are gone, and return those that are not."""
        refused = False
        for namespace in sorted({each["metadata"]["namespace"] for each in pods.values()}):
            names = [each["metadata"]["name"] for each in pods.values() if each["metadata"]["namespace"] == namespace]
            done = self.kubectl.run("-n", namespace, "delete", "pods", *names, "--wait=false", "--ignore-not-found", changes="start DaemonSets anew", check=False)
            refused |= not done.ok
        left, deadline = dict(pods), self.clock() + (_REFUSED if refused else _DRAIN)
        while left and self.clock() < deadline:
            with suppress(InstallerError):  # the API server restarts now and then
                there = {each["metadata"]["uid"] for each in self._pods_of(host)}
                left = {uid: each for uid, each in left.items() if uid in there}
            self.sleep(_LOOK)
        return left

    def _pods_of(self, host: LabHost) -> tuple[Object, ...]:
        return self.kubectl.items("pods", "--all-namespaces", "--field-selector", f"spec.nodeName={host.name}")

    def _create(self, made: list[dict[str, Any]]) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": made})
        try:
            self.kubectl.run("create", "-f", "-", changes="run what waits", stdin=text.encode(), again=False)
        except InstallerError as error:
            raise RehearsalFailed(f"CronJobs cannot be run: {error.problem}", "see what the API server refuses in them") from None

    def _wait_for_jobs(self, sources: dict[str, Object]) -> None:
        """An image that does not come is red; a Job that runs and fails has shown its images, and is a note."""
        deadline, since = self.clock() + self.job_timeout, dict[str, float]()
        while True:
            kubectl = self.kubectl
            objects = kubectl.items("jobs,pods", "--all-namespaces", "-l", LABEL) + kubectl.items("pods", "--all-namespaces", "-l", "job-name")
            self._check_misses(objects, since)
            jobs = {each["metadata"]["name"]: outcome(each) for each in objects if each["kind"] == "Job"}
            left = [name for name in sources if not jobs.get(name)]
            if not left:
                break
            if self.clock() >= deadline:
                self.notes += [f"{_named(sources[name])} still ran after {self.job_timeout:.0f} s" for name in left]
                break
            self.sleep(_TICK)
        for name in (name for name, end in jobs.items() if end == "Failed" and name in sources):
            unseen = never_pulled(each for each in objects if owner_name(each, {}).endswith(f"/{name}"))
            self.notes.append(f"{_named(sources[name])} ran and failed" + (f", and never came to {', '.join(unseen)}" if unseen else ""))

    def _check_misses(self, objects: tuple[Object, ...], since: dict[str, float]) -> None:
        found = {str(each): each for each in misses(objects)}
        for gone in set(since) - set(found):
            del since[gone]
        for text, miss in found.items():
            if self.clock() - since.setdefault(text, self.clock()) > _MISS_AFTER:
                raise missing(miss.image, miss.owner)

    def _drain(self, host: LabHost) -> None:
        options = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", f"--timeout={_DRAIN}s")
        done = self.kubectl.run("drain", host.name, *options, changes="empty the host", check=False)
        if not done.ok:
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            self.notes.append(f"{host.name} could not be emptied within {_DRAIN} s: {last[:300]}")

    def _settle(self, when: str) -> None:
        since = dict[str, float]()

        def pulled() -> float:
            self._check_misses(self.kubectl.items("pods", "--all-namespaces"), since)
            return 0.0 if since else float("inf")

        try:
            wishes = Wishes(excused=self.declared.excused)
            settle(Settling(self.kubectl, self.settle_timeout, wishes, self.reporter, self.declared, self.runs, pulls=pulled, patient=False))
        except InstallerError as error:
            self._check_at_once()
            raise RehearsalFailed(f"{when} the application does not come back: {error.problem}", error.remedy) from error

    def _check_at_once(self) -> None:
        for miss in misses(self.kubectl.items("pods", "--all-namespaces")):
            raise missing(miss.image, miss.owner)


def missing(image: str, owner: str) -> RehearsalFailed:
    """Return the error for an image that nobody at the site has."""
    remedy = f"add {image} to /cluster/images.d, or keep it out with 'blocked:' and a reason there"
    return RehearsalFailed(f"the image {image} is not in the file, and {owner} needs it", remedy)


def _named(item: Object) -> str:
    meta = item["metadata"]
    return f"{item['kind']} {meta.get('namespace', 'default')}/{meta['name']}"
