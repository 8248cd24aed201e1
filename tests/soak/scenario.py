"""Scenario: one thing that is tried, as a function; and what it works with."""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.demo.__main__ import install_command
from tests.soak.cluster_state import cluster_state
from tests.soak.facts import Facts, differences, load, save
from tests.soak.host_state import host_state, names_of
from tests.soak.installer import INSTALL_TIMEOUT, Ended, Failed, Installer
from tests.soak.moments import Timeline
from tests.testbed.cache import Cache
from tests.testbed.hosts import TestBed

SHOWN = 40  # differences that a report lists


@dataclass
class Trial:
    """A bed, and the installer at work on it."""

    bed: TestBed
    run: Path
    directory: Path
    options: tuple[str, ...] = ()
    _count: int = 0

    def start(self, *more: str, verb: str = "install", without: Sequence[str] = ()) -> Installer:
        """Start the installer; give it to a ``with``. ``without``: hosts that are not named on its command line."""
        self._count += 1
        words = install_command(self.run, self.bed, self.directory / "kubeconfig", *self.options, *more)
        for option in ("--node", "--master"):
            if option in words:
                named(words, option, [host.address for host in self.bed.hosts if host.name not in without])
        if verb == "reset":
            at = words.index("--kubeconfig")
            del words[at : at + 2]
        return Installer([words[0], verb, *words[1:]], self.directory / f"{self._count:02d}-{verb}.log")

    def install(self, *more: str, without: Sequence[str] = (), timeout: float = INSTALL_TIMEOUT) -> Ended:
        """Run it to its end."""
        with self.start(*more, without=without) as installer:
            return installer.wait(timeout=timeout)

    def reset(self, *more: str) -> Ended:
        """Take everything off again."""
        with self.start("--yes", *more, verb="reset") as installer:
            return installer.wait()

    def state(self) -> list[Facts]:
        """Return what is to be the same however one came here."""
        names = names_of(self.bed)
        return [*(host_state(host, names) for host in self.bed.hosts), cluster_state(self.bed, names)]


def named(words: list[str], option: str, addresses: Sequence[str]) -> None:
    """Take out of an option's list what is not among ``addresses``, and the option with its last one."""
    at = words.index(option)
    kept = [address for address in words[at + 1].split(",") if address in addresses]
    words[at : at + 2] = [option, ",".join(kept)] if kept else []


@dataclass
class Desk:
    """What a scenario has: an artifact, a bed's name, a directory for its logs; and figures that it leaves."""

    run: Path
    directory: Path
    shared: Path
    """Of all scenarios with this artifact: what a clean installation looks like."""
    bed_name: str
    figures: dict[str, str] = field(default_factory=dict)

    @contextlib.contextmanager
    def trial(self, masters: int, nodes: int, *options: str, **site: Any) -> Iterator[Trial]:
        """Blank hosts with an installer, for as long as the ``with`` lasts. ``site``: keywords of a TestBed."""
        with TestBed(masters=masters, nodes=nodes, name=self.bed_name, cache=Cache.default(), **site) as bed:
            trial = Trial(bed, self.run, self.directory, options)
            try:
                yield trial
            finally:
                shutil.rmtree(self.directory / "tmp", ignore_errors=True)

    def clean(self, masters: int, nodes: int) -> tuple[list[Facts], Timeline]:
        """Return the state and the timeline of a clean installation, made once for each artifact and topology."""
        stem = self.shared / f"clean-{masters}+{nodes}"
        self.shared.mkdir(parents=True, exist_ok=True)
        with stem.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not stem.with_suffix(".json").exists():
                with replace(self, bed_name=f"{self.bed_name}c").trial(masters, nodes) as trial:
                    with trial.start() as installer:
                        installer.wait().expect(0)
                        timeline = installer.timeline
                    stem.with_suffix(".timeline").write_text(json.dumps(asdict(timeline)))
                    save(stem.with_suffix(".json"), trial.state())
        value = json.loads(stem.with_suffix(".timeline").read_text())
        return load(stem.with_suffix(".json")), Timeline(tuple((title, at) for title, at in value["phases"]), value["end"])

    def must_equal_clean(self, trial: Trial) -> None:
        """Raise Failed unless the state is that of a clean installation."""
        wanted, _ = self.clean(len(trial.bed.masters), len(trial.bed.nodes))
        found = differences(wanted, trial.state())
        (self.directory / "differences.txt").write_text("".join(f"{one}\n" for one in found))
        must_be_none(found, "not as after a clean installation")


def must_be_none(found: list[Any], what: str) -> None:
    """Raise Failed with every one of ``found``, at most forty."""
    if found:
        more = f"\n  … and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise Failed(f"{what}, {len(found)} difference(s):" + "".join(f"\n  {one}" for one in found[:SHOWN]) + more)


@dataclass(frozen=True)
class Scenario:
    """One thing to try."""

    name: str
    minutes: float
    """After so long it has failed. On two cores with another one beside it."""
    act: Callable[[Desk], None]
    """Raises Failed, or AssertionError, or whatever went wrong."""

    @property
    def what(self) -> str:
        """The first line of the function's own words."""
        return (getattr(self.act, "func", self.act).__doc__ or "").strip().splitlines()[0]


@dataclass(frozen=True)
class Result:
    """How a scenario ended."""

    name: str
    what: str
    outcome: str
    seconds: float
    said: str
    figures: Mapping[str, str]
    artifact: str
    """The beginning of its SHA-256."""
    ended: float
    """When, as Unix time."""

    @property
    def passed(self) -> bool:
        """Whether it did."""
        return self.outcome == "passed"
