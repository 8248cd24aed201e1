"""How a site is: values, judged and printed. Gathering them is ``verbs.show_status``'s work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from installer_stub.host.model import Role
from installer_stub.kube.etcd import EtcdMember
from installer_stub.site.model import BundleState, SiteHost, SiteRecord
from installer_stub.ui.summary import table


@dataclass(frozen=True, slots=True)
class HostStatus:
    """One recorded host. ``silent`` says why nothing is known of the host itself; ``ready`` None: the cluster was not asked."""

    host: SiteHost
    silent: str = ""
    ready: bool | None = None
    version: str = ""
    units: tuple[tuple[str, str], ...] = ()  # systemd units of ours and what they are: "active", "failed", …
    days: int | None = None  # until the first of its certificates ends
    overdue: bool = False  # it should have been renewed long ago
    lease: str = ""  # who changes the host now
    damage: tuple[str, ...] = ()  # of the artifacts on its disk, as it found when it read them last

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with it."""
        found = [f"does not answer: {self.silent}"] if self.silent else []
        if self.ready is False:
            found.append("its node is not ready, or not in the cluster")
        found += [f"{unit} is {state or 'unknown'}" for unit, state in self.units if state != "active"]
        if self.days is not None and self.overdue:
            found.append(f"a certificate ends in {self.days} days" if self.days >= 0 else f"a certificate ended {-self.days} days ago")
        again = "run install again with the same file, and it is copied again; one of an earlier version may be removed"
        found += [f"damaged on its disk: {each}; {again}" for each in self.damage]
        return tuple(f"{self.host.name}: {problem}" for problem in found)


@dataclass(frozen=True, slots=True)
class OperatorAccess:
    """The operator's own kubeconfig for this cluster: how many days it still works."""

    path: str
    days: int
    overdue: bool  # nothing on the hosts renews it


@dataclass(frozen=True, slots=True)
class SiteStatus:
    """All of it. ``api`` is the master that spoke; ``unheard`` says why the cluster itself could not be asked."""

    record: SiteRecord
    hosts: tuple[HostStatus, ...]
    etcd: tuple[EtcdMember, ...] = ()
    api: str = ""
    unheard: str = ""
    strangers: tuple[str, ...] = ()  # nodes that the record does not know
    access: OperatorAccess | None = None  # None: there is none where the verb was run

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that is wrong, worst first."""
        found = [f"the cluster does not answer: {self.unheard}"] if self.unheard else []
        found += [f"etcd member {each.name or each.identity} is not well" for each in self.etcd if not each.healthy]
        masters = len(self.record.site.masters)
        if self.etcd and len(self.etcd) != masters:
            found.append(f"etcd has {len(self.etcd)} members, and the site {masters} masters")
        found += [problem for host in self.hosts for problem in host.problems]
        found += [f"{name}: has not heard of the present masters; run install or join again, naming any host" for name in self.record.pending]
        found += [f"node {name} is in the cluster and not in the record" for name in self.strangers]
        if self.access is not None and self.access.overdue:
            found.append(f"{self.access.path} ends in {self.access.days} days: certs kubeconfig, with --master, makes another one")
        found += [f"{each.title} is not installed completely" for each in self.record.site.bundles if each.state is not BundleState.INSTALLED]
        return tuple(found)

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def status_text(status: SiteStatus) -> str:
    """Return it for people."""
    record = status.record
    changed = record.changed
    head = [
        f"cluster {record.cluster}, Kubernetes {record.versions.kubernetes or 'unknown'}",
        f"record {record.epoch}: last changed {changed.at} by {changed.by} ({changed.verb})",
        *(f"bundle {each.title}: {each.state.value}" + (f", signed by {', '.join(each.publishers)}" if each.publishers else "") for each in record.site.bundles),
        f"pods {record.site.networks.pods}, Services {record.site.networks.services}"
        + (f", endpoint {record.site.endpoint}" if record.site.endpoint else ""),
    ]
    if status.access is not None:
        head.append(f"kubeconfig {status.access.path}: {status.access.days} days")
    rows: list[tuple[str, ...]] = [("host", "role", "address", "answers", "node", "kubelet", "etcd", "registry", "certificates", "lease")]
    rows += [_row(host, status) for host in status.hosts]
    problems = [f"  - {problem}" for problem in status.problems]
    verdict = ["healthy"] if status.healthy else [f"{len(problems)} problem{'s' if len(problems) > 1 else ''}:", *problems]
    return "\n".join([*head, "", table(rows), "", *verdict])


def status_fields(status: SiteStatus) -> dict[str, object]:
    """Return it for machines."""
    record = status.record
    return {
        "healthy": status.healthy,
        "problems": list(status.problems),
        "cluster": record.cluster,
        "epoch": record.epoch,
        "kubernetes": record.versions.kubernetes,
        "changed": {"at": record.changed.at, "by": record.changed.by, "verb": record.changed.verb},
        "networks": {"pods": record.site.networks.pods, "services": record.site.networks.services},
        "endpoint": record.site.endpoint,
        "bundles": [{"name": each.name, "version": each.version, "digest": each.digest, "state": each.state.value, "publishers": list(each.publishers)} for each in record.site.bundles],
        "hosts": [_host_fields(host) for host in status.hosts],
        "etcd": [{"name": each.name, "id": each.identity, "learner": each.learner, "healthy": each.healthy} for each in status.etcd],
        "api": status.api,
        "pending": list(record.pending),
        "strangers": list(status.strangers),
        "kubeconfig": {"path": status.access.path, "days": status.access.days} if status.access is not None else None,
    }


def _host_fields(status: HostStatus) -> dict[str, object]:
    host = status.host
    return {
        "name": host.name,
        "role": host.role.value,
        "address": host.address,
        "internal": host.internal,
        "answers": not status.silent,
        "ready": status.ready,
        "version": status.version,
        "units": dict(status.units),
        "certificateDays": status.days,
        "lease": status.lease,
        "damage": list(status.damage),
    }


def _row(status: HostStatus, site: SiteStatus) -> tuple[str, ...]:
    host = status.host
    member = next((each for each in site.etcd if each.is_at(host.internal)), None)
    etcd = "" if member is None else "well" if member.healthy else "not well"
    units = dict(status.units)
    registry = next((state for unit, state in status.units if "registry" in unit), "")
    ready = {True: "ready", False: "not ready", None: "?"}[status.ready]
    return (
        host.name,
        host.role.value,
        host.address,
        "no" if status.silent else "yes",
        f"{ready} {status.version}".strip(),
        units.get("kubelet.service", ""),
        etcd if host.role is Role.MASTER else "",
        registry,
        f"{status.days} days" if status.days is not None else "",
        status.lease or "-",
    )


def strangers(record: SiteRecord, names: Sequence[str]) -> tuple[str, ...]:
    """Return the nodes of the cluster that the record does not have."""
    known = {host.name for host in record.site.hosts}
    return tuple(name for name in names if name not in known)
