"""Reset: every host undoes its own ledger, each one by itself. What one cannot put back holds up no other.

Nothing is undone in parts: a host either has nothing of ours left, or everything that is needed to go on with the same command.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from installer_stub.errors import HostError, HostsFailed, InstallerError, LedgerError
from installer_stub.host.command import Command, CommandResult
from installer_stub.host.connection import Connection
from installer_stub.host.fanout import outcomes
from installer_stub.ledger.report import Report
from installer_stub.phases.base import Context
from installer_stub.phases.put_stub import put_stub
from installer_stub.plan.model import STUB, HostPlan

_TIMEOUT: Final = 3600.0  # seconds; removing a hundred gigabytes of images from an old disk takes a while


def reset_hosts(context: Context, abandon: Sequence[str] = ()) -> tuple[dict[str, Report], dict[str, InstallerError]]:
    """Undo all reachable hosts in parallel. Return every host's report, and why others have none, by address."""

    def reset(host: HostPlan) -> Report:
        report = reset_host(context, context.connection(host), abandon)
        if report.complete:
            context.reporter.step(f"{host.address}: {len(report.undone)} changes undone, nothing of ours is left")
        else:
            context.reporter.step(f"{host.address}: {len(report.undone)} changes undone, {len(report.left)} left")
        return report

    reports, failures = outcomes(context.reachable(), reset)
    unforeseen = next((error for error in failures.values() if not isinstance(error, InstallerError)), None)
    if unforeseen is not None:
        raise unforeseen
    return reports, {address: error for address, error in failures.items() if isinstance(error, InstallerError)}


def reset_host(context: Context, connection: Connection, abandon: Sequence[str] = ()) -> Report:
    """Let the host undo itself, by this version of airseal. Raises HostError where it gave no report."""
    put_stub(connection, context.artifact, context.reporter)
    words = [word for name in abandon for word in ("--abandon", name)]
    command = Command.of(STUB, "host", "undo", "--yes", "--json", *words, changes="put the host back as it was")
    result = connection.run(command, check=False, timeout=_TIMEOUT)
    address = connection.host.address
    if result.status in {0, LedgerError.exit_code}:
        try:
            return Report.of_json((result.stdout.strip().splitlines() or [""])[-1])
        except ValueError:
            pass
    raise HostError(address, f"undoing ended with status {result.status}: {_said(result)}", "nothing that is needed was removed; run the same command again")


def _said(result: CommandResult) -> str:
    """Return the error that a program of ours ended with, from its beginning; the last words of anything else."""
    text = " ".join((result.stderr or result.stdout).split())
    _, error, said = text.rpartition("error: ")
    return said[:2000] if error else text[-400:]


def require_complete(reports: Mapping[str, Report], failures: Mapping[str, InstallerError]) -> None:
    """Return if every host is done. Raises the one HostError, or HostsFailed: per host what is left, why, and what to do."""
    errors = [*failures.values(), *(_left(address, report) for address, report in reports.items() if not report.complete)]
    if errors:
        raise errors[0] if len(errors) == 1 else HostsFailed(errors)


def _left(address: str, report: Report) -> HostError:
    lines = "".join(f"\n  - {left}" for left in report.left)
    remedy = "mend that and run the same command again: it goes on from there. What shall stay as it is: --abandon NAME"
    return HostError(address, f"{len(report.undone)} changes are undone, {len(report.left)} are not, and airseal keeps what it needs for them:{lines}", remedy)
