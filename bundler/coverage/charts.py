"""Charts among the cluster files, rendered on the temporary host: as the next upgrade would, and those that no CMD installed.

A release's own manifest is what it made here. With its values and ``--is-upgrade`` the chart shows what it makes later; a chart
without a release is rendered with its own values, as somebody at the site may install it. What other values would choose, ``branches`` names.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from bundler.cluster.usage import recorded_name
from bundler.coverage.api import Scan
from bundler.coverage.branches import MOST, TEXTS, images_of_texts
from bundler.coverage.candidates import Certainty, Found
from bundler.coverage.helm import MAX_MANIFEST, Release, UnreadableReleaseError, documents
from bundler.coverage.walk import images_of
from installer_stub.distro.units import PATH
from installer_stub.errors import HostUnreachable, InstallerError
from installer_stub.host.command import Command, CommandResult, Secret
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.reference import Reference

MAX_CHARTS: Final = 50
_SECONDS: Final = 60.0  # of one rendering: the largest charts take three
_IN_PLACE: Final = f'cd "$1" && shift && PATH="$PWD/bin:{PATH}" && export PATH && '
_FIND: Final = _IN_PLACE + "find . -maxdepth 8 \\( -name Chart.yaml -o -name '*.tgz' \\) -type f | sort"
_NAME: Final = re.compile(r"^(name|version):\s*[\"']?([^\s\"'#]+)", re.MULTILINE)


class Runs(Protocol):
    """The part of a Connection that is used."""

    def run(self, command: Command, *, check: bool = True, timeout: float | None = None) -> CommandResult:
        """Run a command."""


@dataclass(frozen=True, slots=True)
class Charts:
    """The charts below ``directory`` on the host at the other end of ``connection``, which has helm if the base has it."""

    connection: Runs
    directory: str

    def scan(self, result: Scan) -> None:
        """Add what the charts name and nothing else did; what cannot be rendered is noted. Raises HostUnreachable."""
        try:
            charts = self._charts()
        except HostUnreachable:
            raise
        except InstallerError as error:
            result.unread["charts"] = error.problem[:300]
            return
        known = set(_references(result.found))
        for chart in charts[:MAX_CHARTS]:
            self._one(chart, result, known)
        for chart in charts[MAX_CHARTS:]:
            result.unread[f"chart {chart}"] = f"more than {MAX_CHARTS} charts"

    def _one(self, chart: str, result: Scan, known: Collection[Reference]) -> None:
        said = self._helm("show", "chart", chart)
        if not said.ok:
            if not chart.endswith(".tgz"):  # an archive may be anything
                result.unread[f"chart {chart}"] = f"helm show chart: {said.stderr.strip()[:200]}"
            return
        about = {match[1]: match[2] for match in reversed(list(_NAME.finditer(said.stdout)))}
        if re.search(r"^type:\s*library", said.stdout, re.MULTILINE):
            return
        identity = (about.get("name", ""), about.get("version", ""))
        releases = [release for release in result.releases if release.chart == identity]
        wanted: list[Release | None] = [*releases] or [None]
        for release in wanted:
            title = f"chart {chart}" + (f" as release {release.namespace}/{release.name}" if release else "")
            try:
                result.found += [each for each in self._rendered(chart, release, title) if _is_new(each, known)]
            except UnreadableReleaseError as error:
                result.unread[title] = str(error)
        self._branches(chart, result)

    def _branches(self, chart: str, result: Scan) -> None:
        """Add what the chart's texts name, rendered or not; what cannot be read is noted. Raises HostUnreachable."""
        what = f"values and templates of chart {chart}"
        try:
            said = self.connection.run(Command.shell(_IN_PLACE + TEXTS, self.directory, chart), timeout=_SECONDS)
        except HostUnreachable:
            raise
        except InstallerError as error:
            result.unread[what] = error.problem[:300]
            return
        if len(said.stdout) > MOST:
            result.unread[what] = f"they have more than {MOST >> 20} MiB"
        result.unchosen += images_of_texts(said.stdout[:MOST], f"chart {chart}")

    def _rendered(self, chart: str, release: Release | None, title: str) -> Iterator[Found]:
        """Yield what a chart names. Raises UnreadableReleaseError, whose words hold no value of the release."""
        if release is None:
            said = self._helm("template", "release-name", chart)
        else:
            arguments = ("template", release.name, chart, "--namespace", release.namespace, "--is-upgrade", "--values", "-")
            said = self._helm(*arguments, stdin=Secret(release.values))
        if not said.ok:
            why = said.stderr.strip()[:200] if release is None else "with the release's values"
            raise UnreadableReleaseError(f"helm template fails: {why}")
        if len(said.stdout) > MAX_MANIFEST:
            raise UnreadableReleaseError(f"it renders to more than {MAX_MANIFEST >> 20} MiB")
        for item in documents(said.stdout):
            name = f"{title}: {item.get('kind')} {(item.get('metadata') or {}).get('name')}"
            for each in images_of(item, name):
                # Nobody has installed it: that it cannot be pulled is said, and stops nothing.
                yield each if release else Found(each.text, each.place, min(each.certainty, Certainty.TEXT), each.container)

    def _charts(self) -> tuple[str, ...]:
        """Return charts' directories and archives, without those that are part of another chart."""
        found = self.connection.run(Command.shell(_FIND, self.directory)).stdout.splitlines()
        paths = [posixpath.normpath(posixpath.dirname(line) if line.endswith("/Chart.yaml") else line) for line in found]
        roots = {path for path in paths if not path.endswith(".tgz")}
        return tuple(path for path in sorted(set(paths)) if not any(path.startswith(f"{root}/") for root in roots - {path}))

    def _helm(self, *arguments: str, stdin: Secret | None = None) -> CommandResult:
        command = Command.shell(_IN_PLACE + 'exec helm "$@"', self.directory, *arguments, stdin=stdin)
        return self.connection.run(command, check=False, timeout=_SECONDS)


def _references(found: Collection[Found]) -> Iterator[Reference]:
    for each in found:
        try:
            yield recorded_name(each.text)
        except RegistryError:
            continue


def _is_new(found: Found, known: Collection[Reference]) -> bool:
    return all(reference not in known for reference in _references([found]))
