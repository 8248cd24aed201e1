"""``status``: asks a master that answers, and every host that does. Any one host of the site leads to all of it."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from installer_stub.distro import units
from installer_stub.errors import HostError, InstallerError
from installer_stub.facts.cluster import ClusterFacts, gather
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection
from installer_stub.host.fanout import for_each
from installer_stub.host.model import Role
from installer_stub.kube.etcd import Etcd, EtcdMember
from installer_stub.options import InstallOptions
from installer_stub.plan.model import BUNDLES, STUB
from installer_stub.preflight.certificates import ends_soon
from installer_stub.scrub.damage import SUFFIX, Damage
from installer_stub.site.model import SiteHost
from installer_stub.site.status import (
    HostStatus,
    OperatorAccess,
    SiteStatus,
    status_fields,
    status_text,
    strangers,
)
from installer_stub.verbs import operators_file
from installer_stub.verbs.open_site import OpenSite, open_site
from installer_stub.verbs.session import result, session

UNWELL: Final = 6  # exit code: the site was looked at, and something is wrong with it
_TIMEOUT: Final = 60.0
_OVERDUE: Final = 0.1  # of a certificate's life: we renew at half, kubelet its own at 0.9 the latest
_EVERYWHERE: Final = ("containerd.service", "kubelet.service", units.HOST_UNIT, units.KEEP_TIMER)
_REGISTRY: Final = "airseal-registry.service"
_ASK: Final = """\
stub=$1 bundles=$2; shift 2
for unit in "$@"; do printf 'unit %s %s\\n' "$unit" "$(systemctl is-active "$unit" 2>/dev/null | head -n 1)"; done
printf 'certificates '; "$stub" host certificates 2>/dev/null | head -c 1000000 || echo; echo
if [ -f /run/airseal-lease/lease.json ]; then printf 'lease '; head -c 10000 /run/airseal-lease/lease.json | tr -d '\\n'; echo; fi
for file in "$bundles"/*.damage; do
  if [ -f "$file" ]; then printf 'damage %s %s ' "${file##*/}" "$(stat -c '%s %.9Y %i' "${file%.damage}" 2>/dev/null || echo 0 0 0)"; head -c 1000000 "$file" | tr -d '\\n'; echo; fi
done
for pid in /proc/[0-9]*; do printf 'pid %s\\n' "${pid#/proc/}"; done
"""


def main(options: InstallOptions) -> int:
    """Print how the site is. Return 0 where all is well, UNWELL where something is not. Raises InstallerError."""
    with session(options) as run:
        with open_site(run) as site:
            status = replace(gather_status(site), access=_access(options, site))
        result(run, status_text(status), **status_fields(status))
    return 0 if status.healthy else UNWELL


def _access(options: InstallOptions, site: OpenSite) -> OperatorAccess | None:
    """Return what lies where an installation puts it. A host that does not tell whose it is leaves it out."""
    now = time.time()
    try:
        mine = operators_file.look(options.kubeconfig, site.connections.values())
    except HostError:
        return None
    if mine is None:
        return None
    return OperatorAccess(mine.path, int(mine.certificate.days_left(now) // 1), ends_soon(mine.certificate, now))


def gather_status(site: OpenSite) -> SiteStatus:
    """Return what the hosts and the cluster say. What does not answer is a part of it, never an error."""
    unheard, cluster, etcd = "", None, tuple[EtcdMember, ...]()
    try:
        cluster = gather(site.kubectl)
        etcd = Etcd(site.kubectl, _node_of(site)).members()
    except InstallerError as error:
        unheard = " ".join(error.problem.split())[-300:]
    silent = {host.name for host in site.silent}
    answering = {host.name: site.connections[host.name] for host in site.record.site.hosts if host.name not in silent}
    masters = {host.name for host in site.record.site.masters}
    by_connection = {connection.host.address: name for name, connection in answering.items()}
    said = for_each(
        tuple(connection.host for connection in answering.values()),
        lambda host: _ask(answering[by_connection[host.address]], master=by_connection[host.address] in masters),
    )
    hosts = tuple(
        _host_status(host, None if host.name in silent else said[answering[host.name].host.address], cluster)
        for host in site.record.site.hosts
    )
    others = strangers(site.record, [node.name for node in cluster.nodes]) if cluster is not None else ()
    return SiteStatus(site.record, hosts, etcd, site.found.api, unheard, others)


@dataclass(frozen=True, slots=True)
class HostAnswer:
    """What one host says of itself."""

    units: tuple[tuple[str, str], ...] = ()
    days: int | None = None  # until the first certificate ends
    overdue: bool = False
    lease: str = ""
    damage: tuple[str, ...] = ()  # of the artifacts that its registry serves


def parse_host(stdout: str, now: float) -> HostAnswer:
    """Return what a host said. What is no answer is left out; ``now`` in seconds since 1970."""
    found: list[tuple[str, str]] = []
    days, overdue = None, False
    lease: dict[str, Any] = {}
    pids: set[str] = set()
    damage: list[str] = []
    for line in stdout.splitlines():
        word, _, rest = line.partition(" ")
        if word == "unit":
            unit, _, state = rest.partition(" ")
            found.append((unit, state.strip()))
        elif word == "certificates":
            days, overdue = _certificates(rest, now)
        elif word == "damage":
            damage += _damage(rest)
        elif word == "lease":
            with contextlib.suppress(ValueError):
                value = json.loads(rest)
                lease = value if isinstance(value, dict) else {}
        elif word == "pid":
            pids.add(rest)
    held = str(lease.get("pid", "")) in pids
    return HostAnswer(tuple(found), days, overdue, f"{lease.get('who', '?')} ({lease.get('verb', '?')})" if held else "", tuple(damage))


def _damage(text: str) -> list[str]:
    """Return what is damaged in one artifact, nothing where another file has its place; ``text``: name, size, time and inode of the file, record."""
    name, *stamp, record = [*text.split(" ", 4), "", "", "", ""][:5]
    found = Damage.told(record.encode(), " ".join(stamp))
    return [f"{name.removesuffix(SUFFIX)}: {found}"] if found is not None else []


def _certificates(text: str, now: float) -> tuple[int | None, bool]:
    """Return the days until the first certificate of the stub's own list ends, and whether one is overdue."""
    try:
        lives = [(float(each["begins"]), float(each["ends"])) for each in json.loads(text) if not each.get("problem")]
    except (ValueError, TypeError, AttributeError, KeyError):
        return None, False
    if not lives:
        return None, False
    return int(min(end - now for _, end in lives) // 86400), any(end - now < _OVERDUE * (end - begin) for begin, end in lives)


def _ask(connection: Connection, *, master: bool) -> str | HostError:
    units_there: Iterable[str] = (*_EVERYWHERE, *((_REGISTRY, units.SCRUB_TIMER) if master else ()))
    try:
        return connection.run(Command.shell(_ASK, STUB, BUNDLES, *units_there), timeout=_TIMEOUT).stdout
    except HostError as error:
        return error


def _host_status(host: SiteHost, said: str | HostError | None, cluster: ClusterFacts | None) -> HostStatus:
    node = cluster.named(host.name) if cluster is not None else None
    ready = None if cluster is None else node is not None and node.ready
    version = node.version if node is not None else ""
    if said is None or isinstance(said, HostError):
        why = "no connection" if said is None else " ".join(said.problem.split())[-200:]
        return HostStatus(host, why, ready, version)
    answer = parse_host(said, time.time())
    return HostStatus(host, "", ready, version, answer.units, answer.days, answer.overdue, answer.lease, answer.damage)


def _node_of(site: OpenSite) -> str:
    """Return the node name of the master that speaks."""
    api = site.api
    for host in site.record.site.masters:
        if api is not None and site.found.connected(host) is api:
            return host.name
    return next((host.name for host in site.record.site.hosts if host.role is Role.MASTER), "")
