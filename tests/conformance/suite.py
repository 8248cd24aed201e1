"""One run of the official suite: the settings it is given, the files it writes, and what they say.

Source: github.com/opencontainers/distribution-spec, ``conformance/``: config.go (settings), results.go (statuses).
"""

from __future__ import annotations

import os
import subprocess
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 300
_PASSED, _SKIPPED = "passed", "skipped"  # junit.go; everything else is a failure, or an error of the suite

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
    """What a run found. The suite's own files lie in ``directory``: results.yaml, junit.xml, report.html."""

    directory: Path
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.status not in {_PASSED, _SKIPPED})

    def passed(self, area: str = "") -> int:
        """Return how many checks passed, of one area or of all."""
        return sum(check.status == _PASSED and area in {"", check.area} for check in self.checks)

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
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    junit = directory / "junit.xml"
    junit.unlink(missing_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OCI_")}
    environment |= {
        "OCI_REGISTRY": f"{address[0]}:{address[1]}",
        "OCI_TLS": "disabled",
        "OCI_REPO1": repository,
        "OCI_REPO2": f"{repository}-other",
        "OCI_RESULTS_DIR": str(directory),
        "OCI_VERSION": "1.1",
        **_NO_DELETES,
        **settings,
    }
    # The exit code says only that something failed; junit.xml says what, and is not there if the suite itself broke.
    run = subprocess.run(
        [program], env=environment, cwd=directory, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    (directory / "output.txt").write_text(run.stdout + run.stderr)
    assert junit.is_file(), f"the suite gave no results:\n{run.stderr}"
    results = Results(directory, _checks(junit))
    (directory / "summary.txt").write_text(f"{results.summary()}\n")
    return results


def _column(status: str) -> str:
    return status if status in {_PASSED, _SKIPPED} else "failed"


def _checks(junit: Path) -> tuple[Check, ...]:
    cases = ET.parse(junit).getroot().iter("testcase")  # noqa: S314 - written by the program that we have just run
    return tuple(
        Check(case.get("name", "").partition("/")[2], case.get("status", ""), (case.findtext("system-out") or "").strip())
        for case in cases
    )
