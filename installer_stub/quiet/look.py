"""Look: everything in a cluster that can change, in one round trip through kubectl on a master.

A watch is one request for each kind and holds a process each; a list of all kinds, compared by what the API counts, misses nothing
of what stays, and the events tell of pods that did not (docs/adr/0020). Secrets and settings never leave the host: of whatever
is not judged itself, what travels is names, counts, times and status.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from installer_stub.errors import ClusterError
from installer_stub.kube.kubectl import Kubectl
from installer_stub.quiet.history import Glimpse
from installer_stub.quiet.traces import LEADER

Object = Mapping[str, Any]
# What is judged by its content, and travels whole.
WHOLE: Final = (
    "nodes", "pods", "persistentvolumeclaims", "deployments.apps", "statefulsets.apps", "daemonsets.apps", "replicasets.apps",
    "jobs.batch", "cronjobs.batch", "storageclasses.storage.k8s.io", "leases.coordination.k8s.io", "endpointslices.discovery.k8s.io",
    "apiservices.apiregistration.k8s.io", "validatingwebhookconfigurations.admissionregistration.k8s.io",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io",
)  # fmt: skip
_SECONDS: Final = 120.0  # for one look
_EVENTS: Final = ("events", "events.events.k8s.io")
_BETWEEN: Final = "\x1e"  # a control character: in JSON it is escaped, in a name forbidden
_TAB: Final = '{"\\t"}'
_FIELDS: Final = (
    "{.apiVersion}", "{.kind}", "{.metadata.namespace}", "{.metadata.name}", "{.metadata.uid}", "{.metadata.resourceVersion}",
    "{.metadata.generation}", "{.metadata.creationTimestamp}", "{.metadata.deletionTimestamp}",
    '{range .metadata.ownerReferences[*]}{.kind}{"/"}{.uid}{","}{end}',
    '{range .metadata.managedFields[*]}{.time}{"/"}{.subresource}{","}{end}',
    f"{{.metadata.annotations.{LEADER.replace('.', chr(92) + '.')}}}",
    "{.metadata.labels.owner}", "{.metadata.labels.name}", "{.metadata.labels.version}", "{.metadata.labels.status}",
    "{.status}",
)  # fmt: skip
_LINES: Final = "{range .items[*]}" + _TAB.join(_FIELDS) + '{"\\n"}{end}'
_POD_EVENTS: Final = "{range .items[*]}" + _TAB.join(("{.metadata.uid}", "{.involvedObject.namespace}", "{.involvedObject.name}")) + '{"\\n"}{end}'
_DEBUGGING: Final = re.compile(r"[EWI]\d{4} ")  # klog's: the same is said once more in kubectl's own words
PARTIAL: Final = "unable to retrieve the complete list of server APIs"
# Discovery fails for an API that is away and still names all others; a kind that cannot be listed is said on stderr.
_SCRIPT: Final = f"""\
whole=$1 lines=$2 events=$3; shift 3
# What kinds there are is asked anew each time, and not kept: a look writes nothing on the host, not even a cache.
set -- "$@" --cache-dir=/dev/null/none
kinds=$(kubectl "$@" api-resources --verbs=list,watch --output=name)
[ -n "$kinds" ] || exit 1
rest=$(printf '%s\\n' "$kinds" | grep -vxF -e {' -e '.join((*WHOLE, *_EVENTS))} | sort -u | tr '\\n' ,)
date +%s
printf '\\036'
kubectl "$@" get "$whole" --all-namespaces --show-managed-fields --output=json
printf '\\036'
kubectl "$@" get "${{rest%,}}" --all-namespaces --output="jsonpath=$lines"
printf '\\036'
kubectl "$@" get events --all-namespaces --field-selector=involvedObject.kind=Pod --output="jsonpath=$events"
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen. ``now``: seconds since the epoch on the host that was asked. ``doubt``: what could not be told, or empty."""

    now: float
    objects: tuple[Object, ...]
    glimpses: tuple[Glimpse, ...]
    doubt: str = ""


def look(kubectl: Kubectl) -> Look:
    """Return what there is now. Raises CommandFailed, ClusterError when the API does not answer."""
    result = kubectl.script(_SCRIPT, ",".join(WHOLE), _LINES, _POD_EVENTS, timeout=_SECONDS)
    pieces = result.stdout.split(_BETWEEN)
    if len(pieces) != 4:
        raise ClusterError(f"kubectl did not answer: {_said(result.stderr) or 'it said nothing'}")
    moment, whole, lines, events = pieces
    try:
        items = json.loads(whole)["items"]
        objects = [*items, *map(_object, _rows(lines, len(_FIELDS)))]
        return Look(float(moment), tuple(objects), tuple(Glimpse(*row) for row in _rows(events, 3)), _said(result.stderr))
    except (ValueError, KeyError, TypeError) as error:
        raise ClusterError(f"kubectl answered what cannot be read ({_said(result.stderr) or error})") from None


def _rows(text: str, count: int) -> Iterator[list[str]]:
    """Return the fields of each line. Raises ValueError for a line that has other fields."""
    for line in text.split("\n"):  # not splitlines: a message may hold what only some take for the end of a line
        if not line:
            continue
        row = line.split("\t")
        if len(row) != count:
            raise ValueError(f"{len(row)} fields in {line[:200]!r}")
        yield row


def _object(row: Sequence[str]) -> Object:
    """Return an object with what a line says of it, in the places where the API has it."""
    version, kind, namespace, name, uid, resource, generation, created, deleted, owners, times, leader, *labels, status = row
    names = ("owner", "name", "version", "status")
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {
            "namespace": namespace,
            "name": name,
            "uid": uid,
            "resourceVersion": resource,
            "generation": int(generation or 0),
            "creationTimestamp": created,
            "deletionTimestamp": deleted,
            "ownerReferences": [{"kind": whose, "uid": which} for whose, _, which in _pairs(owners)],
            "managedFields": [{"time": time, "subresource": part} for time, _, part in _pairs(times)],
            "annotations": {LEADER: leader} if leader else {},
            "labels": {label: text for label, text in zip(names, labels, strict=True) if text},
        },
        "status": json.loads(status) if status.startswith(("{", "[")) else status,
    }


def _pairs(text: str) -> Iterator[tuple[str, str, str]]:
    return (each.partition("/") for each in text.split(",") if each)


def _said(stderr: str) -> str:
    """Return what kubectl complained of; its advice about old versions of an API is none, nor that there are no such things, nor its debugging."""
    lines = [line for line in stderr.splitlines() if line.strip() and not line.startswith(("Warning:", "No resources found")) and not _DEBUGGING.match(line)]
    return " ".join("; ".join(dict.fromkeys(lines)).split())[:600]
