"""``remove``: one host leaves a cluster that stays. The cluster lets go first, then the host, then the others hear of it.

Every step looks before it does anything, and the record is written last: cut at any moment, the same command goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.errors import ClusterError, CommandFailed, Interrupted, UsageError
from installer_stub.facts.cluster import ClusterFacts, gather
from installer_stub.facts.gather import gather_all
from installer_stub.host.connection import Connection
from installer_stub.host.model import Role
from installer_stub.kube.etcd import Etcd, EtcdMember, after_removal
from installer_stub.kube.kubectl import Kubectl
from installer_stub.options import InstallOptions
from installer_stub.phases import runner
from installer_stub.phases.balance import Balance
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.configure_runtime import ConfigureRuntime
from installer_stub.phases.copy_stub import Claim, CopyStub
from installer_stub.phases.keep_record import KeepRecord
from installer_stub.phases.prepare_hosts import PrepareHosts
from installer_stub.phases.reset_hosts import require_complete, reset_hosts
from installer_stub.phases.start_agents import leased
from installer_stub.plan.decide import build_plan
from installer_stub.site.find import this_change, with_marks
from installer_stub.site.follow import Followers
from installer_stub.site.model import BundleState, SiteHost, SiteRecord
from installer_stub.site.whose import ResetChoices
from installer_stub.ui import prompts
from installer_stub.verbs.open_site import OpenSite, open_site
from installer_stub.verbs.session import Session, artifact, result, session

# What the hosts that stay have of one that left: marks and record, their way to the API, registries, balancers.
FOLLOW: Final[tuple[Phase, ...]] = (
    Claim(),
    CopyStub(),
    PrepareHosts(),
    ConfigureRuntime(),
    Balance(),
    KeepRecord(BundleState.INSTALLING, told=True),
)
_DRAIN_SECONDS: Final = 300
# etcd's own guard of the majority (server/etcdserver/errors: ErrUnhealthy, ErrNotEnoughStartedMembers).
_REFUSALS: Final = ("unhealthy cluster", "not enough started members")


def main(options: InstallOptions) -> int:
    """Take ``options.targets`` out, one after the other. Return 0; raises InstallerError."""
    with session(options) as run:
        without = options.targets if options.lost else ()
        with open_site(run, without=without) as site:
            _require_own_file(run, site.record)
            going = tuple(_target(site, text) for text in options.targets)
            record = site.record
            with leased(site.connections.values(), artifact(run), "remove", run.screen):
                for host in going:
                    record = _remove(run, site, record, host)
        names = ", ".join(host.name for host in going)
        text = f"{names}: out of cluster {record.cluster}; {len(record.site.masters)} masters and {len(record.site.nodes)} nodes stay."
        result(run, text, removed=[host.name for host in going], epoch=record.epoch)
    return 0


def _require_own_file(run: Session, record: SiteRecord) -> None:
    info = run.bundle.info
    if not any((each.name, each.version) == (info.name, info.version) for each in record.site.bundles):
        raise ClusterError(
            f"these hosts belong to cluster {record.cluster} ({record.site.titles}), and this file is {info.title}; nothing was changed",
            "use the file that the cluster was installed with",
        )


def _target(site: OpenSite, text: str) -> SiteHost:
    host = site.record.site.find(text)
    if host is None:
        names = ", ".join(f"{each.name} ({each.address})" for each in site.record.site.hosts)
        raise UsageError(f"{text} is no host of cluster {site.record.cluster}; nothing was changed", f"name one of {names}")
    return host


def _remove(run: Session, site: OpenSite, record: SiteRecord, host: SiteHost) -> SiteRecord:
    """Take ``host`` out and return the record after it."""
    left = record.site.without(host)
    master, speaker = _speaker(site, record, host)
    kubectl = Kubectl(speaker, KUBEADM.kubeconfig)
    cluster = gather(kubectl)
    _require_reach(run, site, host, cluster, master)
    etcd = Etcd(kubectl, master.name)
    vote = _vote(run, etcd, host) if host.role is Role.MASTER else None
    _agree(run, record, host)
    if cluster.named(host.name) is not None and not run.options.lost:
        run.screen.step(f"{host.name}: moving its pods elsewhere")
        _drain(run, kubectl, host)
    if vote is not None:
        run.screen.step(f"{host.name}: leaving etcd")
        _leave_etcd(run, etcd, vote, host)
    if not run.options.lost:
        _reset_host(run, site, host)
    if vote is not None and vote.breaks:
        raise _stands_still(host, master)
    kubectl.run("delete", "node", host.name, "--ignore-not-found", "--wait=true", "--timeout=60s", changes=f"remove node {host.name}")
    everybody = [each.name for each in left.hosts] if host.role is Role.MASTER else []
    after = record.advanced(this_change("remove"), site=left, pending=(*record.pending, *everybody))
    _tell_others(run, site, after)
    return after


def _speaker(site: OpenSite, record: SiteRecord, going: SiteHost) -> tuple[SiteHost, Connection]:
    """Return a master that stays and whose API server answers. Raises ClusterError."""
    staying = [host for host in record.site.masters if host.name != going.name]
    if not staying:
        raise ClusterError(
            f"{going.name} is the only master of cluster {record.cluster}; without it there is no cluster; nothing was changed",
            "to end the cluster use reset; to replace the master let another one join first: join --master NEW --via " + going.address,
        )
    for host in staying:
        connection = site.connections.get(host.name)
        if connection is not None and Kubectl(connection, KUBEADM.kubeconfig).api_ready():
            return host, connection
    names = ", ".join(host.address for host in staying)
    raise ClusterError(f"no API server answers on the masters that stay ({names}); nothing was changed", "look there: journalctl -u kubelet")


def _require_reach(run: Session, site: OpenSite, host: SiteHost, cluster: ClusterFacts, master: SiteHost) -> None:
    """A host that answers leaves in order; one that does not is lost only when the operator says so and the cluster agrees."""
    node = cluster.named(host.name)
    if run.options.lost:
        if node is not None and node.ready:
            raise ClusterError(f"{host.name} is not lost: the cluster says that it is ready; nothing was changed", f"take it out in order: remove {host.name} --via {master.address}")
    elif host.name not in site.connections:
        raise ClusterError(
            f"{host.name} ({host.address}) does not answer, so nothing can be put back there; nothing was changed",
            f"let it be reached; if it is gone for good: remove --lost {host.name} --via {master.address}",
        )


@dataclass(frozen=True, slots=True)
class _Vote:
    """The etcd member of a master that goes; ``breaks``: the majority goes with it, and the operator wants it so."""

    member: EtcdMember
    breaks: bool


def _vote(run: Session, etcd: Etcd, host: SiteHost) -> _Vote | None:
    """Return the etcd member of ``host``, if it has one. Raises ClusterError where its leaving costs the majority."""
    members = etcd.members()
    going = next((member for member in members if member.is_at(host.internal)), None)
    if going is None:
        return None
    well, needed = after_removal(members, going)
    if well < needed:
        sentence = f"without {host.name}, {well} of the etcd members that stay are well and {needed} are needed: etcd stops, and with it every change in the cluster"
        if not run.options.force:
            raise ClusterError(
                f"{sentence}; nothing was changed",
                "bring the other masters back first (status says which); with --force it goes all the same, and the cluster stands still until they are back",
            )
        run.screen.step(f"--force: {sentence}")
    return _Vote(going, well < needed)


def _leave_etcd(run: Session, etcd: Etcd, vote: _Vote, host: SiteHost) -> None:
    """Let the member go. etcd refuses to let a member go that its majority depends on (--strict-reconfig-check): then it stays listed, and dead."""
    try:
        etcd.remove(vote.member)
    except CommandFailed as error:
        if not (vote.breaks and any(words in error.problem for words in _REFUSALS)):
            raise
        run.screen.step(f"{host.name}: etcd keeps its member listed, for without it there is no majority; it goes from there once the others are back")


def _stands_still(host: SiteHost, master: SiteHost) -> ClusterError:
    return ClusterError(
        f"{host.name} is put back as it was, and etcd has no majority any more: no change in the cluster is possible, and it still lists {host.name}",
        f"bring the other masters back, then let the cluster forget it: remove --lost {host.name} --via {master.address}",
    )


def _agree(run: Session, record: SiteRecord, host: SiteHost) -> None:
    options = run.options
    if options.yes:
        return
    if not prompts.is_interactive():
        raise UsageError(f"remove takes {host.name} out of cluster {record.cluster} ({record.site.titles}), and nobody can be asked here", "add --yes")
    how = "It is lost: only the cluster forgets it." if options.lost else "Its pods move elsewhere; what is on its own disks for them stays there, unused."
    if not prompts.confirm(f"Take {host.role.value} {host.name} ({host.address}) out of cluster {record.cluster} ({record.site.titles})? {how}"):
        raise Interrupted("nothing was changed")


def _drain(run: Session, kubectl: Kubectl, host: SiteHost) -> None:
    arguments = ("drain", host.name, "--ignore-daemonsets", "--delete-emptydir-data", "--force", f"--timeout={_DRAIN_SECONDS}s")
    try:
        kubectl.run(*arguments, changes=f"drain {host.name}")
    except CommandFailed as error:
        if not run.options.force:
            said = " ".join(error.problem.split())[-400:]
            raise ClusterError(
                f"{host.name}: its pods could not all be moved within {_DRAIN_SECONDS} s ({said}); it is still a member, and gets no new pods",
                "see which pods stay (kubectl get pods -A -o wide), and run again; or --force to end them",
            ) from None
        run.screen.step(f"--force: pods that could not be moved from {host.name} end with it")


def _reset_host(run: Session, site: OpenSite, host: SiteHost) -> None:
    """Undo the installation on the host itself, if it still is ours there."""
    connection = site.connections[host.name]
    address = connection.host.address
    facts = with_marks(gather_all({address: connection}), site.found)
    if not facts[address].membership.ours:
        run.screen.step(f"{host.name}: nothing of ours is there any more")
        return
    plan = build_plan(ResetChoices((connection.host,)), facts, run.bundle.info)
    context = Context(plan, {address: connection}, artifact(run), run.screen)
    require_complete(*reset_hosts(context, run.options.abandon))


def _tell_others(run: Session, site: OpenSite, record: SiteRecord) -> None:
    """Write the record, and on all hosts that stay and answer what follows from it."""
    followers = Followers.of(site.found, record)
    for host in followers.silent:
        run.screen.step(f"{host.name}: does not answer; what it has of the others follows as soon as a run reaches it")
    facts = with_marks(gather_all({each.host.address: each for each in followers.connections.values()}), site.found)
    by_address = {address: facts[connection.host.address] for address, connection in followers.connections.items()}
    plan = build_plan(
        followers,
        by_address,
        run.bundle.info,
        certificate_validity=followers.certificate_validity,
        access=followers.access,
        members=followers.members,
        settings=followers.settings,
        env=followers.env,
    )
    context = Context(plan, dict(followers.connections), artifact(run), run.screen, record=record, secrets=run.secrets)
    runner.run(FOLLOW, context)
