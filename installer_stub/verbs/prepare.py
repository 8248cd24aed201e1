"""From a session to a plan that can begin: connect, find the site, merge, read all facts, judge. Changes nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from installer_stub.errors import InstallerError, SiteContradiction
from installer_stub.facts.cluster import ClusterFacts, gather
from installer_stub.host.connection import Connection
from installer_stub.host.model import Host
from installer_stub.kube.kubectl import Kubectl
from installer_stub.options import Verb
from installer_stub.phases.base import Context
from installer_stub.plan.decide import build_plan
from installer_stub.plan.model import Plan
from installer_stub.preflight.checks import check_all, require
from installer_stub.preflight.finding import Site
from installer_stub.preflight.names_taken import linked
from installer_stub.site.find import Found, find_site, this_change
from installer_stub.site.lost import silent, without_lost
from installer_stub.site.survey import Surveyed, survey
from installer_stub.ui import prompts
from installer_stub.ui.summary import findings_text, table
from installer_stub.values.given import check_given, given_by, secrets_of
from installer_stub.values.sealed import schema_of
from installer_stub.values.site_values import SiteValues
from installer_stub.values.store import rendered
from installer_stub.verbs.session import Session, artifact, close, connect_reachable, reach_quietly
from installer_stub.verbs.vouched import publishers_of


@contextmanager
def connected(run: Session) -> Iterator[dict[str, Connection]]:
    """Give connections to the hosts that the command line names and that answer, by address. What is added is closed too.

    ``run.lost`` has the others: only the site's record tells whether one can go on without them.
    """
    connections, lost = connect_reachable(run, (*run.options.hosts, *run.options.via))
    run.lost.update({error.host: error for error in lost})
    try:
        yield connections
    finally:
        close(connections)


def prepare(run: Session, connections: dict[str, Connection]) -> tuple[Surveyed, Plan]:
    """Find the site, merge, read all facts, decide the plan, show every finding. Nothing has changed until here.

    Raises SiteContradiction, PreflightFailed, HostUnreachable for a silent host that is not the site's, and what reading
    hosts raises. Hosts that the record led to are connected and added to ``connections``.
    """

    def reach(hosts: tuple[Host, ...]) -> Mapping[str, Connection]:
        new = reach_quietly(run, hosts)
        connections.update(new)
        return new

    schema = schema_of(run.bundle.cluster_files(), run.bundle.blobs)
    wished = check_given(schema, given_by(run.options.values))
    run.secrets.extend(secrets_of(wished.secret))
    found = find_site(connections, reach, this_change(run.options.verb.value))
    options = without_lost(run.options, run.lost, found.record)
    surveyed = survey(options, run.bundle.info, str(run.bundle.content_digest), found, reach, schema=schema, wished=wished, ask=prompts.secret_values(), publishers=publishers_of(run.bundle))
    run.secrets.extend(secrets_of(surveyed.values.effective.secrets))
    _agree(run, surveyed.values)
    for host in surveyed.absent:
        run.screen.step(f"{host.address}: does not answer; what it has of the other hosts follows as soon as a run reaches it")
    plan = build_plan(
        surveyed,
        surveyed.facts,
        run.bundle.info,
        certificate_validity=surveyed.certificate_validity,
        access=surveyed.access,
        members=surveyed.members,
        settings=surveyed.settings,
        env=surveyed.env,
        values=surveyed.values.effective,
    )
    site = Site(
        surveyed.hosts,
        surveyed.facts,
        run.bundle.info,
        plan.pod_cidr,
        plan.service_cidr,
        run.bundle.size,
        options.take,
        _cluster(found),
        linked(run.bundle.cluster_files()),
        surveyed.members,
        surveyed.settings,
        run.bundle.document.needs,
    )
    findings = (*check_all(site), *silent(run.lost))
    if options.json:
        for finding in findings:
            fields = {"severity": finding.severity.value, "host": finding.host, "remedy": finding.remedy}
            run.screen.event("finding", finding.problem, **fields)
    else:
        run.screen.step(findings_text(findings))
    require(findings)
    return surveyed, plan


def context_of(run: Session, surveyed: Surveyed, plan: Plan, sha256: str) -> Context:
    """Return what the phases of ``plan`` work with. ``sha256`` is the file's, as verified."""
    return Context(
        plan=plan,
        connections=surveyed.connections,
        artifact=artifact(run, sha256),
        reporter=run.screen,
        kubeconfig=str(run.options.kubeconfig),
        lock=run.bundle.lock,
        record=surveyed.record,
        values=rendered(surveyed.values.effective, surveyed.values.given),
        secrets=run.secrets,
        take=run.options.take,
        leftovers={address: tuple(left.path for left in found.leftovers) for address, found in surveyed.facts.items()},
        force_rejoin=run.options.force_rejoin,
    )


def _agree(run: Session, values: SiteValues) -> None:
    """Show which values would become others than they are; whoever only looks is asked nothing. Raises SiteContradiction."""
    if not values.changed:
        return
    rows = [(each.option, f"is {each.recorded}", f"would be {each.requested}") for each in values.changed]
    run.screen.step("values of this site change, and the application's commands run again:\n" + table(rows))
    if run.options.yes or run.options.verb in {Verb.CHECK, Verb.PLAN}:
        return
    if not prompts.is_interactive() or not prompts.confirm("Change them?"):
        named = ", ".join(each.option for each in values.changed)
        raise SiteContradiction(f"the request changes values that this site has ({named}); nothing was changed", "leave them out to keep them, or say --yes")


def _cluster(found: Found) -> ClusterFacts | None:
    """Return what the cluster that is there already says of its nodes; None where there is none, or nobody answers yet.

    What this finds early is asked again, and then has to be answered, before a host joins.
    """
    if found.api:
        with contextlib.suppress(InstallerError):
            return gather(Kubectl(found.connections[found.api]))
    return None
