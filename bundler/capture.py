"""The recording: a real cluster comes up from the cluster files, and every image that it pulls is written down.

The phases are those that install a site. Their registry is the recorder; containerd has no other place to ask, so nothing
is pulled that was not seen.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bundler.cluster.connection import DockerConnection
from bundler.cluster.container import TemporaryHost, check_reachable
from bundler.cluster.network import TemporaryNetwork
from bundler.cluster.ownership import Owner
from bundler.cluster.pull_watch import PullWatch, pull_failures
from bundler.cluster.usage import KINDS, Object, Usage, usage
from bundler.coverage.attached import with_attached
from bundler.coverage.charts import Charts
from bundler.coverage.cover import cover
from bundler.coverage.lists import Lists
from bundler.engine import Engine
from bundler.errors import ClusterFailed, Interrupted, RecordingIncomplete
from bundler.image_lock import lock_of
from bundler.lab import border
from bundler.lab.entrance import entrance
from bundler.lab.hosts import Choices, start_hosts
from bundler.lab.kept import kept
from bundler.lab.topology import ONE_HOST, Topology
from bundler.lab.way import Way
from bundler.lab.whose import tell_contacts
from bundler.steps.recorded import Recorded
from installer_stub.bundle.model import BundleInfo, ImageLock
from installer_stub.bundle.reasons import Listed, in_order
from installer_stub.errors import InstallerError, NotAccepted
from installer_stub.errors import Interrupted as PhasesInterrupted
from installer_stub.facts.gather import gather_all
from installer_stub.host.connection import Connection
from installer_stub.host.model import Role
from installer_stub.kube.acceptance import accept
from installer_stub.kube.kubectl import Kubectl
from installer_stub.kube.owners import by_uid
from installer_stub.options import POD_CIDR, SERVICE_CIDR
from installer_stub.phases.base import Artifact, Context
from installer_stub.phases.pipeline import RECORD, RECORD_TOPOLOGY
from installer_stub.phases.reporter import Reporter
from installer_stub.phases.runner import AGAIN, run
from installer_stub.phases.settle import declared_on, runner_of
from installer_stub.phases.start_agents import start_agents, working
from installer_stub.plan.decide import build_plan
from installer_stub.plan.model import ImageSource, Plan
from installer_stub.quiet.declared import Declared
from installer_stub.quiet.diagnosis import diagnosed
from installer_stub.quiet.judge import Wishes
from installer_stub.quiet.settle import Settled, Settling, settle
from installer_stub.values.given import secrets_of
from installer_stub.values.site_values import SiteValues
from installer_stub.values.store import rendered
from registry_snapshot.errors import RegistryError, StoreError
from registry_snapshot.oci.descriptor import Platform
from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.journal import History
from registry_snapshot.record.recorder import Recorder
from registry_snapshot.record.snapshot import Snapshot
from registry_snapshot.serve.app import RegistryApp
from registry_snapshot.store.disk import DiskBlobStore
from registry_snapshot.store.image_set import ImageSet

_LOOK = "the temporary cluster is removed unless you build with --keep-cluster"


@dataclass(frozen=True, slots=True)
class Settings:
    """How to record. Times in seconds."""

    host_image: str
    platforms: tuple[Platform, ...]
    settle_timeout: float
    quiet_period: float
    keep: bool
    strict: bool  # what neither the recording nor a list knew is an error
    values: SiteValues
    closed: bool = True  # no way out of the cluster's network, as at a site
    way: Way = Way.AUTO  # how its hosts come to the recorder
    topology: Topology = ONE_HOST
    attached: bool = True  # what upstreams keep for the images comes along
    only: Collection[Reference] | None = None  # of that, nothing besides these


def record(
    engine: Engine,
    owner: Owner,
    recorder: Recorder,
    blobs: DiskBlobStore,
    *,
    info: BundleInfo,
    stub: Artifact,
    lists: Lists,
    settings: Settings,
    reporter: Reporter,
) -> Recorded:
    """Bring up ``info``'s cluster and application once, and return what they pulled.

    ``lists`` say what is in although nobody may pull it, and what is kept out. Raises ClusterFailed, RecordingIncomplete,
    DockerError, RegistryError, Interrupted; the cluster is gone by then unless ``settings.keep``.
    """
    recorder.serve_also(ImageSet(blobs, [(info.cluster_reference, info.cluster)]), info.cluster_reference.repository.registry)
    with _cluster(engine, owner, recorder, settings, reporter) as (hosts, source):
        connection, all_hosts = first_of(hosts), tuple(hosts.values())
        with PullWatch(recorder, lambda: _close(all_hosts), wanted=lambda: _wanted(connection)) as watch, _phases_failures(watch, recorder):
            connections: dict[str, Connection] = {each.host.address: each for each in all_hosts}
            choices = Choices(tuple(each.host for each in all_hosts))
            plan = build_plan(choices, gather_all(connections), info, recording=True, images=source, values=settings.values.effective)
            kubectl = Kubectl(connection)
            secrets = list(secrets_of(settings.values.effective.secrets))
            with diagnosed(lambda: kubectl, lambda: all_hosts, secrets):
                values = rendered(settings.values.effective, settings.values.given)
                lab_hosts = tuple(settings.topology.as_site(name, each.host) for name, each in hosts.items() if settings.topology.wishes)
                made = Context(plan=plan, connections=connections, artifact=stub, reporter=reporter, verb="build", values=values, lab_hosts=lab_hosts)
                with working(made) as context:
                    context.secrets.extend(secrets)
                    start_agents(context)
                    run(RECORD if settings.topology == ONE_HOST else RECORD_TOPOLOGY, context)
                declared = declared_on(connection, plan)
                settled = _settle(connection, plan, declared, recorder, settings=settings, reporter=reporter)
            pods = kubectl.items(KINDS, "--all-namespaces")
            events: tuple[Object, ...] = kubectl.items("events", "--all-namespaces")
        used = usage(pods, events)
        _add_listed(recorder, [*lists.listed, *unasked(used, recorder.finish())], reporter)
        for where, reference in lists.listed:
            used.add(str(reference), Listed(where))
        for line in pull_failures(recorder, wanted=used.reasons):
            reporter.step(line)
        charts = Charts(connection, plan.cluster_directory)
        covered = cover(recorder, kubectl, used, lists, known=by_uid(pods), strict=settings.strict, reporter=reporter, charts=charts, excused=declared.excused)
        if settings.attached:
            covered = with_attached(recorder, covered, reporter, only=settings.only)
        snapshot = recorder.finish()
        lock = lock_of(snapshot, blobs, settings.platforms, covered.reasons)
        check_coverage(pods, used, lock)
        reporter.step(f"recorded {lock.count}; removing the temporary cluster")
    return Recorded(lock, covered.coverage, _first_seen(recorder.history), settled.lines())


def unasked(used: Usage, snapshot: Snapshot) -> list[tuple[str, Reference]]:
    """Return images that pods name by a digest, that nobody pulled under this name, and why they are added.

    A host that has the content under a tag of the same repository does not ask for the digest any more; at a site the pod
    may come to a host that has not.
    """
    known = {image.reference for image in snapshot.images}
    missing = (reference for reference in used.reasons if reference.digest is not None and reference not in known)
    return [("named by its digest; the host had it already", reference) for reference in sorted(missing, key=str)]


def check_coverage(objects: Sequence[Object], used: Usage, lock: ImageLock) -> None:
    """Raise RecordingIncomplete if a pod names or runs an image that was not recorded: a bug of ours, never the user's."""
    known = {image.reference for image in lock.images}
    problems = [f"{reference}: {', '.join(map(str, in_order(why)))}" for reference, why in used.reasons.items() if reference not in known]
    problems += [f"{image!r} of a pod is no image reference" for image in used.unreadable]
    try:
        accept([item for item in objects if item.get("kind") == "Pod"], lock)
    except NotAccepted as error:
        problems.append(error.problem)
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in sorted(problems))
        hint = "report this: it is a bug of airseal. Until it is repaired, name the images in images.txt"
        raise RecordingIncomplete(f"the cluster used images that were not recorded:\n{lines}", hint)


def _close(hosts: Iterable[DockerConnection]) -> None:
    for each in hosts:
        each.close()


def _wanted(connection: Connection) -> Collection[Reference]:
    """Return the images that pods want now. Raises CommandFailed, ClusterError where nobody can tell."""
    return usage(Kubectl(connection).items(KINDS, "--all-namespaces"), ()).reasons


def _settle(connection: Connection, plan: Plan, declared: Declared, recorder: Recorder, *, settings: Settings, reporter: Reporter) -> Settled:
    """Wait until everything is ready and nothing happens any more: what a site waits for, and that nothing is pulled."""

    def since_last_pull() -> float:
        return 0.0 if recorder.in_flight else time.monotonic() - recorder.last_activity

    reporter.step("waiting until everything is ready and nothing happens any more")
    wishes = Wishes(settings.quiet_period, excused=declared.excused)
    runs = runner_of(connection, plan)
    settled = settle(Settling(Kubectl(connection), settings.settle_timeout, wishes, reporter, declared, runs, since_last_pull, secrets=secrets_of(settings.values.effective.secrets)))
    for each in settled.outside:
        reporter.step(f"not ready, and not waited for: {each}")
    for line in settled.lines():
        reporter.step(line)
    return settled


def _first_seen(history: History) -> dict[Reference, float]:
    found: dict[Reference, float] = {}
    for pull in history.pulls:
        found.setdefault(pull.reference, pull.time)
    return found


def _add_listed(recorder: Recorder, listed: Sequence[tuple[str, Reference]], reporter: Reporter) -> None:
    """Record what nobody pulled; failures are collected by the recorder and reported together."""
    for where, reference in listed:
        reporter.step(f"adding {reference}: {where}")
        try:
            recorder.add(reference, where)
        except StoreError:
            raise
        except RegistryError:
            continue


@contextmanager
def _cluster(
    engine: Engine, owner: Owner, recorder: Recorder, settings: Settings, reporter: Reporter
) -> Iterator[tuple[Mapping[str, DockerConnection], ImageSource]]:
    """Yield hosts by name, the first master first, that reach the recorder and nothing else that has images."""
    with ExitStack() as stack:
        network = stack.enter_context(TemporaryNetwork(engine, owner, keep=settings.keep, closed=settings.closed, reporter=reporter))
        opened = stack.enter_context(entrance(engine, network, RegistryApp(recorder), image=settings.host_image, way=settings.way, reporter=reporter))
        address, port = opened.address
        several = "" if settings.topology == ONE_HOST else f", of {settings.topology} hosts"
        reporter.step(f"starting the temporary cluster, {network.name}{several}; the recording proxy listens on {address}:{port}")
        hosts = _hosts(stack, engine, network, settings, reporter)
        network.stay()
        if network.stays:
            names = [network.name] if settings.topology == ONE_HOST else [f"{network.name}-{name}" for name in hosts]
            stack.enter_context(kept(network.name, names, reporter))
        for connection in hosts.values():
            check_reachable(connection, address, port)
            if settings.closed:
                border.guard(connection, (network.subnet, POD_CIDR, SERVICE_CIDR))
            opened.give(connection)
        if settings.closed:
            stack.callback(tell_contacts, hosts, reporter)
        yield hosts, opened.images


def _hosts(stack: ExitStack, engine: Engine, network: TemporaryNetwork, settings: Settings, reporter: Reporter) -> dict[str, DockerConnection]:
    if settings.topology == ONE_HOST:
        connection = stack.enter_context(TemporaryHost(engine, settings.host_image, network, reporter))
        stack.callback(connection.close)
        return {"build": connection}

    def make(name: str, role: Role) -> TemporaryHost:
        return TemporaryHost(engine, settings.host_image, network, reporter, hostname=name, role=role)

    return start_hosts(stack, settings.topology, make)


def first_of(hosts: Mapping[str, DockerConnection]) -> DockerConnection:
    """Return the first master's connection."""
    return next(iter(hosts.values()))


@contextmanager
def _phases_failures(watch: PullWatch, recorder: Recorder) -> Iterator[None]:
    """Turn what phases raise into what a build raises. A pull that cannot succeed is the cause, if there is one."""
    try:
        yield
    except PhasesInterrupted as error:
        raise Interrupted(error.problem, "build again: everything that was fetched is kept") from None
    except InstallerError as error:
        pull_failures(recorder, after="" if watch.failed else error.problem)
        remedy = error.remedy.removesuffix(AGAIN).removesuffix("; then ") or "correct it and build again"
        raise ClusterFailed(error.problem, f"{remedy} ({_LOOK})") from error
