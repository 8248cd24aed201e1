"""One run of the official suite: the settings it is given, the files it writes, and what they say.

Source: github.com/opencontainers/distribution-spec, ``conformance/``: config.go (settings), results.go (statuses).
"""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 300
_NODE = re.compile(r"\s*OCI Conformance Test/(.+): (Pass|Skip|Disabled|FAIL|Error|Unknown)")
FILES = ("results.yaml", "junit.xml", "report.html")

# What no read-only registry has. Deleting is off in every run: what was pushed is what we pull.
_NO_DELETES = {"OCI_API_BLOBS_DELETE": "false", "OCI_API_MANIFESTS_DELETE": "false", "OCI_API_TAGS_DELETE": "false"}


@dataclass(frozen=True)
class Check:
    """One check of a run. ``name`` is its path in the suite, ``said`` why it failed or was passed over."""

    name: str
    status: str
    said: str

    @property
    def area(self) -> str:
        """The part of the API that it looks at."""
        *_, parent, leaf = ("", *self.name.split("/"))
        if parent == "range requests":
            return parent
        return f"{parent} {leaf}" if leaf.startswith("manifest-by-") or leaf in {"by-digest", "by-tag"} else leaf


@dataclass(frozen=True)
class Results:
    """What a run found. The suite's own files lie in ``directory``, and its report as output.txt, ours as summary.txt."""

    directory: Path
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if _column(check.status) == "failed")

    def passed(self, area: str = "") -> int:
        """Return how many checks passed, of one area or of all."""
        return sum(_column(check.status) == "passed" and area in {"", check.area} for check in self.checks)

    def summary(self) -> str:
        """Return a table: passed, skipped and failed by area, and every failure's reason."""
        counts = Counter((check.area, _column(check.status)) for check in self.checks)
        areas = sorted({check.area for check in self.checks})
        rows = [(area, *(counts[area, column] for column in ("passed", "skipped", "failed"))) for area in areas]
        rows.append(("all", *(sum(row[place] for row in rows) for place in (1, 2, 3))))
        lines = [f"{'area':32}{'passed':>8}{'skipped':>8}{'failed':>8}"]
        lines += [f"{area:32}{passed:8}{skipped:8}{failed:8}" for area, passed, skipped, failed in rows]
        return "\n".join([*lines, *(f"FAILED {check.name}: {check.said}" for check in self.failed)])


def run_suite(program: Path, address: tuple[str, int], repository: str, directory: Path, settings: Mapping[str, str]) -> Results:
    """Run the suite against the registry at ``address`` without TLS, and keep its files and a summary in ``directory``."""
    results = _run(program, address, repository, directory, settings)
    missing = [name for name in FILES if not (directory / name).is_file()]
    assert not missing, (missing, (directory / "output.txt").read_text()[-2000:])
    return results


def run_read_only(program: Path, address: tuple[str, int], repository: str, directory: Path, settings: Mapping[str, str]) -> Results:
    """Run all of the suite that works without pushes. Its report is output.txt; there are no other files of its own.

    It breaks while it writes those: for the blob checks that it passes over it notes a status, but no name, and what
    is not tested at all (ranges) has a status that it cannot write (run.go: TestBlobAPIs, ReportResultsYAML; results.go:
    MarshalText; seen at 97274622c111). By then every check has run and is in the report.
    """
    results = _run(program, address, repository, directory, {**settings, "OCI_API_PUSH": "false"})
    for name in FILES:
        (directory / name).unlink(missing_ok=True)  # begun, and empty
    return results


def summarise(directory: Path) -> None:
    """Write the summaries of all runs below ``directory`` into one file there."""
    found = sorted(directory.glob("*/summary.txt"))
    (directory / "summary.txt").write_text("\n".join(f"{path.parent.name}\n{path.read_text()}" for path in found))


def _run(program: Path, address: tuple[str, int], repository: str, directory: Path, settings: Mapping[str, str]) -> Results:
    directory.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (directory / name).unlink(missing_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OCI_")}
    environment |= {
        "OCI_REGISTRY": f"{address[0]}:{address[1]}",
        "OCI_TLS": "disabled",
        "OCI_REPO1": repository,
        "OCI_REPO2": f"{repository}-other",
        "OCI_RESULTS_DIR": str(directory.resolve()),
        "OCI_VERSION": "1.1",
        **_NO_DELETES,
        **settings,
    }
    # The exit code says only that something failed; the report says what.
    run = subprocess.run(
        [program], env=environment, cwd=directory, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    (directory / "output.txt").write_text(run.stdout + run.stderr)
    assert "OCI Conformance Result:" in run.stdout, f"the suite gave no results:\n{run.stderr}"
    results = Results(directory, _checks(run.stdout))
    (directory / "summary.txt").write_text(f"{results.summary()}\n")
    return results


def _checks(report: str) -> tuple[Check, ...]:
    """Return the leaves of the report's tree. An error stands in lines below its leaf: results.go, ReportWalkErr."""
    checks: list[Check] = []
    tree = report.partition("\nConfiguration:\n")[0]
    for line in tree.splitlines():
        if match := _NODE.fullmatch(line):
            name, status = match.groups()
            if checks and name.startswith(f"{checks[-1].name}/"):
                checks.pop()  # not a leaf
            checks.append(Check(name, status, ""))
        elif checks:
            last = checks.pop()
            checks.append(Check(last.name, last.status, f"{last.said}\n{line.strip()}".strip()))
    return tuple(checks)


def _column(status: str) -> str:
    return {"Pass": "passed", "Skip": "skipped", "Disabled": "skipped"}.get(status, "failed")
