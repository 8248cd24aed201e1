"""What stands at the end: the plan, the findings, the finished cluster, or what went wrong. Pure text."""

from __future__ import annotations

from collections.abc import Sequence

from installer_stub.plan.model import HostPlan, Plan
from installer_stub.preflight.finding import Finding, Severity
from installer_stub.ui.transfer import duration, size

_MARK = {Severity.FATAL: "FATAL", Severity.WARNING: "warning", Severity.NOTE: "note"}


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows in columns, two blanks apart."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def findings_text(findings: Sequence[Finding]) -> str:
    """Return all findings, worst first, and their count."""
    if not findings:
        return "preflight: no findings"
    lines = [f"{_MARK[finding.severity]:>7}  {finding}" for finding in findings]
    counts = ", ".join(
        f"{count} {severity}" for severity in Severity if (count := sum(one.severity is severity for one in findings))
    )
    return "\n".join([*lines, f"preflight: {counts}"])


def plan_text(plan: Plan) -> str:
    """Return every decision of a plan."""
    bundle = plan.bundle
    head = [
        f"Install {bundle.title}: Kubernetes {bundle.kubernetes}, images {size(bundle.images_size)}, files {size(bundle.files_size)}",
        f"Pods {plan.pod_cidr}, Services {plan.service_cidr}, images from {', '.join(plan.images.endpoints)}",
        "" if plan.dns_forwarding else "The cluster's DNS forwards nothing: not every host has a usable nameserver",
    ]
    rows = [("host", "role", "node name", "cgroups", "resolv.conf", "settings")]
    rows += [
        (host.address, str(host.role), host.name, _cgroups(host), host.resolv_conf or "none usable", _settings(host))
        for host in plan.hosts
    ]
    return "\n".join([*filter(None, head), "", table(rows)])


def _cgroups(host: HostPlan) -> str:
    return f"{'v1' if host.cgroup_v1 else 'v2'}, {host.cgroup_driver}"


def _settings(host: HostPlan) -> str:
    told = (
        (host.restrict_oom_score, "oom_score_adj left alone"),
        (host.conntrack_fixed, "conntrack limit left alone"),
        (not host.default_route, "no default route"),
        (host.swap, "swap accepted"),
    )
    return ", ".join(text for applies, text in told if applies) or "-"


def closing(plan: Plan, *, kubeconfig: str, seconds: float, notes: Sequence[str] = (), log: str = "") -> str:
    """Return what the operator needs when the cluster is up."""
    rows = [("host", "role", "node name"), *((host.address, str(host.role), host.name) for host in plan.hosts)]
    lines = [f"{plan.bundle.title} is installed and accepted, in {duration(seconds)}.", "", table(rows), ""]
    lines += [f"  - {note}" for note in notes]
    lines += ["", "Next:", f"  kubectl --kubeconfig {kubeconfig} get pods -A"]
    if len(plan.site_masters) > 1 and plan.access.endpoint is None:
        # kubectl knows one address for one cluster.
        names = " or ".join(f"--context {host.name}" for host in plan.site_masters)
        lines.append(f"  while the master that it names is off, through another one: kubectl --kubeconfig {kubeconfig} {names}")
    lines += [f"  full log: {log}"] if log else []
    return "\n".join(lines)
