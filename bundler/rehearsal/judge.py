"""What a rehearsal's cluster says: images that no registry of the site has, and pods that are not there again. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from installer_stub.kube.owners import owner_name
from installer_stub.kube.pods import container_statuses

Object = Mapping[str, Any]
LABEL: Final = "airseal.internal/rehearsal"
RETRIES: Final = 1
# registry.k8s.io/kubernetes pkg/kubelet/images: what a container waits with when its image does not come.
_PULL_REASONS = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable"})


@dataclass(frozen=True, slots=True, order=True)
class Miss:
    """An image that did not come, and whose pod wants it."""

    image: str
    owner: str

    def __str__(self) -> str:
        return f"{self.image}: {self.owner}"


def misses(objects: Iterable[Object]) -> Iterator[Miss]:
    """Yield the images that containers of these pods wait for. Pulls that go on are none."""
    for pod in objects:
        if pod.get("kind") != "Pod":
            continue
        for status in container_statuses(pod):
            waiting = (status.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") in _PULL_REASONS:
                yield Miss(str(status.get("image") or "?"), f"container {status.get('name')} of {owner_name(pod, {})}")


def never_pulled(pods: Iterable[Object]) -> list[str]:
    """Return the images of containers that no pod of one Job came to: an init container before them failed."""
    wanted, pulled = dict[str, None](), set[str]()
    for pod in pods:
        spec = pod.get("spec") or {}
        images = {each.get("name"): str(each.get("image")) for kind in ("initContainers", "containers") for each in spec.get(kind) or []}
        wanted.update(dict.fromkeys(images.values()))
        pulled |= {images[each["name"]] for each in container_statuses(pod) if each.get("imageID") and each.get("name") in images}
    return [image for image in wanted if image not in pulled]


def job_of(name: str, template: Object, source: Object) -> dict[str, Any]:
    """Return a Job ``name`` that runs ``template`` (the ``spec`` of a Job) once, in the namespace of ``source``.

    Without what ties it to the one it was made from: selector, labels of its controller, its suspension, its time to live. It is
    retried once at most, as each further try waits twice as long: one that fails has shown its images, but for those that it never came to.
    """
    spec = {key: value for key, value in template.items() if key not in {"selector", "manualSelector", "suspend", "ttlSecondsAfterFinished"}}
    pod = dict(spec.get("template") or {})
    meta = dict(pod.get("metadata") or {})
    meta["labels"] = {key: value for key, value in (meta.get("labels") or {}).items() if "controller-uid" not in key and "job-name" not in key}
    meta.pop("creationTimestamp", None)
    spec["template"] = {**pod, "metadata": meta}
    spec["backoffLimit"] = min(spec.get("backoffLimit", RETRIES), RETRIES)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": (source.get("metadata") or {}).get("namespace", "default"), "labels": {LABEL: "forced"}},
        "spec": {**spec, "suspend": False},
    }


def outcome(job: Object) -> str:
    """Return ``Complete``, ``Failed``, or an empty text while a Job still runs."""
    for condition in (job.get("status") or {}).get("conditions") or []:
        if condition.get("status") == "True" and condition.get("type") in {"Complete", "Failed"}:
            return str(condition["type"])
    return ""
