"""Runtime classes that pod templates want, and whether a host of the build has their handler. Pure.

A RuntimeClass names no image: its handler is a program and a piece of containerd's configuration on hosts, brought by a DaemonSet
(kata-deploy, gVisor's and NVIDIA's installers), whose own images are scanned and recorded like all others. What the scan can tell
is whether it came: kubelet says in its Node which handlers its runtime has (``status.runtimeHandlers``, Kubernetes 1.31 and newer).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from bundler.coverage.candidates import first_places
from bundler.coverage.walk import MAX_DEPTH, MAX_NODES
from installer_stub.bundle.coverage import LackingRuntime
from installer_stub.bundle.reasons import Scanned

Object = Mapping[str, Any]
KIND: Final = "RuntimeClass"
REMEDY: Final = (
    "let a DaemonSet of the application bring the handler, take runtimeClassName out, or, if only the site's hosts have it, say so in conditions.yaml: "
    "may-stay-unready: [{kind: RuntimeClass, name: NAME, because: …}]"
)


def wanted(item: Object, subject: str) -> Iterator[tuple[str, Scanned]]:
    """Yield the runtime class of everything in ``item`` that is shaped like a pod's spec, and where it stands."""
    left, nodes = [(item, "", 0)], 0
    while left:
        value, path, depth = left.pop()
        nodes += 1
        if depth > MAX_DEPTH or nodes > MAX_NODES:
            return
        if isinstance(value, Mapping):
            name = value.get("runtimeClassName")
            if isinstance(name, str) and name and isinstance(value.get("containers"), list):
                yield name, Scanned(subject, f"{path}.runtimeClassName".lstrip("."))
            left += [(inner, f"{path}.{key}", depth + 1) for key, inner in value.items() if key not in {"status", "managedFields"}]
        elif isinstance(value, list):
            left += [(inner, f"{path}[{number}]", depth + 1) for number, inner in enumerate(value)]


def handlers_of(nodes: Iterable[Object]) -> frozenset[str] | None:
    """Return the handlers that hosts have, None where no host says."""
    told = [(node.get("status") or {}).get("runtimeHandlers") for node in nodes]
    lists = [each for each in told if isinstance(each, list)]
    return frozenset(str(each.get("name") or "") for some in lists for each in some if isinstance(each, Mapping)) if lists else None


def lacking(
    places: Mapping[str, Collection[Scanned]], classes: Mapping[str, str], handlers: frozenset[str] | None, excused: Collection[tuple[str, str, str]]
) -> tuple[LackingRuntime, ...]:
    """Return the classes of ``places`` that do not exist, or whose handler no host has; ``classes`` are handlers by name.

    Nothing is said of handlers where no host tells of its own. ``excused`` are (kind, namespace, name) of what may stay unready.
    """
    found = []
    for name, where in sorted(places.items()):
        handler = classes.get(name)
        known = handler is not None and (handlers is None or handler in handlers)
        if not known and (KIND, "", name) not in excused:
            found.append(LackingRuntime(name, handler or "", tuple(first_places(where))))
    return tuple(found)
