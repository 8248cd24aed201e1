"""Helm releases that a cut command left pending: helm refuses every further try until somebody takes them away.

helm/helm#10599, #7476: a release in a pending state means "another operation is in progress", also when that operation died
with its host. What is taken away is helm's own record of the revision that never ended, a Secret or ConfigMap, and nothing
else: the next ``helm upgrade`` goes on from the revision before it, and adopts what the cut one had made already (it carries
the release's own name). So no hook runs twice, nothing of the application is removed, and any version of helm agrees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from installer_stub.errors import ClusterError
from installer_stub.kube.kubectl import Kubectl

_PENDING: Final = "owner=helm,status in (pending-install,pending-upgrade,pending-rollback)"
_SLACK: Final = 5.0  # seconds between the clocks of two masters; preflight forbids more than a few
# Labels only: the content of such a Secret holds the application's values.
_FIELDS: Final = (
    "{.kind}", "{.metadata.namespace}", "{.metadata.name}", "{.metadata.labels.name}", "{.metadata.labels.version}",
    "{.metadata.labels.status}", "{.metadata.creationTimestamp}", "{.metadata.uid}",
)
_TEMPLATE: Final = "{range .items[*]}" + '{"\\t"}'.join(_FIELDS) + '{"\\n"}{end}'


@dataclass(frozen=True, slots=True)
class Pending:
    """One revision that never ended, as helm has it written down."""

    kind: str
    namespace: str
    object: str
    release: str
    revision: str
    status: str
    created: float  # seconds since the epoch
    uid: str

    def __str__(self) -> str:
        return f"release {self.release} in {self.namespace}, revision {self.revision} ({self.status})"


def pending_since(kubectl: Kubectl, since: float) -> tuple[Pending, ...]:
    """Return the revisions that are pending and were begun after ``since``. Raises CommandFailed, ClusterError."""
    said = kubectl.run("get", "secrets,configmaps", "--all-namespaces", "-l", _PENDING, f"--output=jsonpath={_TEMPLATE}").stdout
    found = tuple(_parse(line) for line in said.splitlines() if line.strip())
    return tuple(each for each in found if each.created >= since - _SLACK)


def take_away(kubectl: Kubectl, pending: Sequence[Pending]) -> None:
    """Delete helm's record of these revisions, each only if it still is the one that was seen."""
    for each in pending:
        # --raw takes the precondition: between looking and deleting, helm may have been started by hand and made another.
        path = f"/api/v1/namespaces/{each.namespace}/{each.kind.lower()}s/{each.object}"
        body = f'{{"apiVersion":"v1","kind":"DeleteOptions","preconditions":{{"uid":"{each.uid}"}}}}'
        kubectl.run("delete", f"--raw={path}", "-f", "-", changes=f"take away {each}", stdin=body.encode(), again=False)


def _parse(line: str) -> Pending:
    words = line.split("\t")
    try:
        kind, namespace, name, release, revision, status, created, uid = words
        moment = datetime.fromisoformat(created).timestamp()
    except ValueError:
        raise ClusterError(f"kubectl answered no release: {line[:200]!r}") from None
    return Pending(kind, namespace, name, release, revision, status, moment, uid)
