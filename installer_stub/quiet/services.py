"""What the API server itself calls: webhooks and APIs of others. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from installer_stub.kube.pods import condition_of
from installer_stub.kube.workloads import Unready

Object = Mapping[str, Any]
_WEBHOOKS: Final = frozenset({"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"})
_SERVICE: Final = "kubernetes.io/service-name"  # label of an EndpointSlice


def unanswered(objects: Sequence[Object]) -> tuple[tuple[str, Unready], ...]:
    """Return the webhooks whose service has no endpoint that is ready, and the APIs that are not available, each with the namespace of its service.

    ``failurePolicy: Ignore`` changes nothing: then the pods come up without what the webhook would have added.
    """
    answering = frozenset(_answering(objects))
    found: list[tuple[str, Unready]] = []
    for item in objects:
        if item.get("kind") in _WEBHOOKS:
            found += _silent(item, answering)
        elif item.get("kind") == "APIService":
            found += _unavailable(item)
    return tuple(found)


def _answering(objects: Iterable[Object]) -> Iterable[tuple[str, str]]:
    for item in objects:
        if item.get("kind") != "EndpointSlice":
            continue
        service = (item["metadata"].get("labels") or {}).get(_SERVICE)
        # "ready" that is not said is to be taken as true (discovery.k8s.io/v1, EndpointConditions).
        if service and any((each.get("conditions") or {}).get("ready") is not False for each in item.get("endpoints") or []):
            yield str(item["metadata"].get("namespace", "")), str(service)


def _silent(item: Object, answering: frozenset[tuple[str, str]]) -> Iterable[tuple[str, Unready]]:
    for webhook in item.get("webhooks") or []:
        service = (webhook.get("clientConfig") or {}).get("service")
        if service and (where := (str(service.get("namespace")), str(service.get("name")))) not in answering:
            reason = f"webhook {webhook.get('name')}: service {'/'.join(where)} has no endpoint that is ready"
            yield where[0], Unready(str(item["kind"]), "", str(item["metadata"]["name"]), reason)
            return  # one says enough of a configuration


def _unavailable(item: Object) -> Iterable[tuple[str, Unready]]:
    said = condition_of(item, "Available")
    if said is None or said.get("status") != "True":
        why = (said or {}).get("message") or (said or {}).get("reason") or "nobody has said that it is available"
        namespace = str(((item.get("spec") or {}).get("service") or {}).get("namespace") or "")
        yield namespace, Unready("APIService", "", str(item["metadata"]["name"]), " ".join(str(why).split())[:300])
