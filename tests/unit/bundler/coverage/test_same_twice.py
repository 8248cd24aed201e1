"""Two recordings of one application: other times, uids, made-up names, another order, another hour. The same lock and coverage."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import yaml

from bundler.cluster.usage import KINDS, usage
from bundler.coverage.cover import cover
from bundler.coverage.lists import Lists
from bundler.image_lock import lock_of
from installer_stub.bundle.coverage import encode_coverage
from installer_stub.bundle.documents import encode_lock
from installer_stub.bundle.reasons import reason_to_json
from installer_stub.kube.owners import by_uid
from registry_snapshot.oci.descriptor import Platform
from registry_snapshot.record.snapshot import RecordedImage, Snapshot
from registry_snapshot.store.disk import DiskBlobStore
from tests.unit.bundler.coverage.test_cover import Api, Source
from tests.unit.bundler.reporter import Remembering
from tests.unit.installer_stub.bundle.sealed import add_image

LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # of k8s.io/apimachinery, pkg/util/rand
WEB, CRON, ONCE, VOLUME, HELPER, PLACES = (f"quay.io/t/{name}:1.0" for name in ("web", "cron", "once", "volume", "helper", "places"))


class Cluster:
    """One application as one cluster's API has it: everything that chance decides comes from ``seed``."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - a cluster's chance, not a secret
        self.seed = seed
        self.objects: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        web = self.add("Deployment", "web", self.template(WEB))
        replicas = self.add("ReplicaSet", "web-5d9f8b7c4", self.template(WEB), owner=web)
        for _ in range(2):
            self.add("Pod", f"web-5d9f8b7c4-{self.made_up()}", self.template(WEB)["template"]["spec"], owner=replicas, stem="web-5d9f8b7c4-")
        cron = self.add("CronJob", "minutely", {"jobTemplate": {"spec": self.template(CRON)}})
        if seed % 2:  # its minute came while this one was recorded
            run = self.add("Job", f"minutely-{29_000_000 + seed}", self.template(CRON), owner=cron)
            self.add("Pod", f"minutely-{29_000_000 + seed}-{self.made_up()}", self.template(CRON)["template"]["spec"], owner=run)
        once = self.add("Job", f"migrate-{self.made_up()}", self.template(ONCE), stem="migrate-")
        self.add("Pod", f"{once['metadata']['name']}-{self.made_up()}", self.template(ONCE)["template"]["spec"], owner=once)
        pvc = f"{self.chance.getrandbits(32):08x}-1111-4222-8333-{self.chance.getrandbits(48):012x}"
        self.add("PersistentVolume", f"pvc-{pvc}", {"helper": {"image": VOLUME}})
        self.add("ConfigMap", "helpers", {"text": HELPER, "absent": "quay.io/t/absent:1.0"})
        for number in range(30):
            self.add("ConfigMap", f"place-{number}", {"text": PLACES})
        self.event(f"helper-pod-create-pvc-{pvc}", HELPER)
        self.event(f"web-5d9f8b7c4-{self.made_up()}", WEB)
        self.chance.shuffle(self.objects)

    def made_up(self) -> str:
        return "".join(self.chance.choices(LETTERS, k=5))

    def template(self, image: str) -> dict[str, Any]:
        return {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}

    def add(self, kind: str, name: str, spec: dict[str, Any], *, owner: dict[str, Any] | None = None, stem: str = "") -> dict[str, Any]:
        metadata: dict[str, Any] = {"name": name, "namespace": "shop", "uid": f"uid-{self.chance.getrandbits(64):x}", "creationTimestamp": f"2026-11-{self.seed:02d}"}
        if owner is not None:
            metadata["ownerReferences"] = [{"kind": owner["kind"], "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}]
        if stem:
            metadata["generateName"] = stem
        self.objects.append({"kind": kind, "metadata": metadata, "spec": spec})
        return self.objects[-1]

    def event(self, pod: str, image: str) -> None:
        self.events.append({"involvedObject": {"kind": "Pod", "namespace": "shop", "name": pod}, "message": f'Pulling image "{image}"'})

    def documents(self, root: Path) -> tuple[bytes, bytes]:
        """Record it, and return what is sealed of that: lock and coverage."""
        pods = [item for item in self.objects if item["kind"] in {"Pod", "ReplicaSet", "Job"}]
        used = usage(pods, self.events)
        recorded = [str(reference) for reference in used.reasons]
        self.chance.shuffle(recorded)
        source = Source(*recorded)
        covered = cover(source, Api(*map(yaml.safe_dump, self.objects)), used, Lists(), known=by_uid(pods), strict=False, reporter=Remembering())
        store = DiskBlobStore(root)
        snapshot = Snapshot(tuple(RecordedImage(image, add_image(store, str(image), 50), (), (), 50) for image in source.images))
        lock = lock_of(snapshot, store, (Platform.parse("linux/amd64"),), covered.reasons)
        said = {str(image.reference): sorted(map(str, map(reason_to_json, image.reasons))) for image in lock.images}
        assert all(said.values()), said
        return encode_lock(lock), encode_coverage(covered.coverage)


def test_two_recordings_of_one_application_are_the_same_bytes(tmp_path: Path) -> None:
    assert KINDS == "pods,replicasets.apps,jobs.batch", "what documents() takes for the owners"
    first = Cluster(1).documents(tmp_path / "1")
    for image in (WEB, CRON, ONCE, VOLUME, HELPER, PLACES):
        assert image.encode() in first[0]
    assert b"absent" in first[1]
    for seed in range(2, 6):
        assert Cluster(seed).documents(tmp_path / str(seed)) == first, seed
