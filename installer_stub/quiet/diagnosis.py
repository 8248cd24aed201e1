"""Diagnosis: what a cluster that did not come up says of itself, collected before anybody takes it down. Everything is bounded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Final

from installer_stub.errors import (
    ClusterError,
    CommandFailed,
    HostsFailed,
    InstallerError,
    NotAccepted,
    NotSettled,
)
from installer_stub.host.command import Command, Secret, masked
from installer_stub.host.connection import Connection
from installer_stub.kube.kubectl import Kubectl
from installer_stub.kube.workloads import KINDS, Unready, unready

_LOG: Final = logging.getLogger("airseal.diagnosis")
_LINES: Final = 15  # of a log, in an error
_WIDTH: Final = 300  # characters of each
_LOGS: Final = 3  # in an error
_PODS: Final = 12  # of which logs are collected
_MOST: Final = 96 * 1024  # bytes of each part
_HOSTS: Final = 8  # masters come first
_SECONDS: Final = 60.0  # for each host
_CLUSTER_SECONDS: Final = 180.0

# The run before the present one says why it ended; where there was none, or kubelet has taken it away, the present one has to do.
_TAIL: Final = """\
space=$1 pod=$2 lines=$3; shift 3
for which in --previous=true --previous=false; do
    said=$(timeout 20 kubectl "$@" --namespace="$space" logs "$pod" --all-containers --prefix --ignore-errors --tail="$lines" $which 2>/dev/null | grep -v -e '^error: ' -e 'unable to retrieve container logs for ')
    [ -z "$said" ] || { printf '%s\\n' "$said"; break; }
done
"""
_CLUSTER: Final = """\
most=$1 pods=$2; shift 2
part() { echo "== $1"; shift; timeout 20 "$@" 2>&1 | tail -c "$most"; echo; }
part nodes kubectl "$@" get nodes --output=wide
part "pods, states" kubectl "$@" get pods --all-namespaces --output=wide
part "everything else" kubectl "$@" get deployments,statefulsets,daemonsets,jobs,persistentvolumeclaims,leases --all-namespaces
part events kubectl "$@" get events --all-namespaces --sort-by=.metadata.creationTimestamp
kubectl "$@" get pods --all-namespaces --no-headers 2>/dev/null | awk '
    { split($3, ready, "/") }
    $4 != "Completed" && ($4 != "Running" || ready[1] != ready[2]) { print $1, $2 }' | head -n "$pods" |
while read -r space pod; do
    part "describe pod $space/$pod" kubectl "$@" --namespace="$space" describe pod "$pod"
    part "log of $space/$pod, the run before" kubectl "$@" --namespace="$space" logs "$pod" --all-containers --prefix --ignore-errors --tail=100 --previous
    part "log of $space/$pod" kubectl "$@" --namespace="$space" logs "$pod" --all-containers --prefix --ignore-errors --tail=100
done
"""
_JOURNALS: Final = """\
for unit in kubelet containerd; do
    echo "== journal of $unit"
    timeout 20 journalctl --unit="$unit" --lines=300 --no-pager --output=short-iso 2>&1 | tail -c "$1"
done
"""


@contextmanager
def diagnosed(kubectl: Callable[[], Kubectl], hosts: Callable[[], Iterable[Connection]], secrets: Sequence[Secret] = ()) -> Iterator[None]:
    """Collect what cluster and hosts say when the block fails in them, before anybody takes them down; and say in the error what is not ready.

    An application may print what it was given: ``secrets``, which may be appended to meanwhile, are masked in all of it.
    """
    try:
        yield
    except (ClusterError, CommandFailed, HostsFailed) as error:
        if isinstance(error, HostsFailed) and not any(isinstance(each, (ClusterError, CommandFailed)) for each in error.failures):
            raise  # they were lost: there is nobody to ask
        try:
            asked: Kubectl | None = kubectl()
        except InstallerError:
            asked = None
        if asked is not None and isinstance(error, ClusterError) and not isinstance(error, (NotSettled, NotAccepted)):
            error.problem += causes(asked, secrets)
        collect(asked, hosts(), secrets)
        raise


def causes(kubectl: Kubectl, secrets: Sequence[Secret] = ()) -> str:
    """Return what is not ready at this moment, for the text of an error that is about something else; nothing where nobody answers."""
    try:
        found = unready(kubectl.items(KINDS, "--all-namespaces"))
    except InstallerError:
        return ""
    return f"\nnot ready at that moment:\n{listed(kubectl, found[:_PODS], secrets)}" if found else ""


def listed(kubectl: Kubectl, found: Sequence[Unready], secrets: Sequence[Secret] = ()) -> str:
    """Return a line for each, the first few with the end of their logs."""
    return masked("\n".join(f"  - {each}{logs_of(kubectl, each) if number < _LOGS else ''}" for number, each in enumerate(found)), secrets)


def logs_of(kubectl: Kubectl, unready: Unready) -> str:
    """Return the last lines of the log of an unready thing's pod, indented for an error's text; nothing where there is none."""
    if not unready.pod:
        return ""
    try:
        said = kubectl.script(_TAIL, unready.namespace, unready.pod, str(_LINES), timeout=_SECONDS).stdout
    except InstallerError as error:
        return f"\n      its log cannot be read: {error.problem}"
    lines = [line[:_WIDTH] for line in said.strip().splitlines()[-_LINES:]]
    return "".join(f"\n      | {line}" for line in lines)


def collect(kubectl: Kubectl | None, hosts: Iterable[Connection], secrets: Sequence[Secret] = ()) -> None:
    """Write into the run's log what cluster and hosts say: states, events, logs of what is not ready, journals.

    What cannot be asked is said there; nothing is raised, because this runs while an error is on its way.
    """
    if kubectl is not None:
        try:
            said = kubectl.script(_CLUSTER, str(_MOST), str(_PODS), timeout=_CLUSTER_SECONDS).stdout
            _LOG.info("the cluster when it failed:\n%s", masked(said, secrets))
        except InstallerError as error:
            _LOG.info("the cluster could not be asked when it failed: %s", error.problem)
    for connection in islice(hosts, _HOSTS):
        try:
            result = connection.run(Command.shell(_JOURNALS, str(_MOST)), check=False, timeout=_SECONDS)
            _LOG.info("%s when it failed:\n%s", connection.host.address, masked(result.stdout, secrets))
        except InstallerError as error:
            _LOG.info("%s could not be asked when it failed: %s", connection.host.address, error.problem)
