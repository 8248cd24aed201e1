"""Each file that the product keeps on a host removed, emptied or cut in half; then the same command: healed or refused."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from installer_stub.distro.certificates import AUTHORITIES_KEYS
from tests.soak.cluster_state import Alive
from tests.soak.installer import Ended, Failed
from tests.soak.scenario import Desk, Scenario, Trial
from tests.testbed.hosts import BlankHost

REFUSED = (4, 5, 6, 7, 8, 10)
PLACES = ("var/lib/airseal", "etc/airseal", "etc/kubernetes/pki")
_ACTS = {
    "removed": 'rm -f -- "$f"',
    "emptied": ': > "$f"',
    "cut in half": 'truncate -s $(( $(stat -c %s -- "$f") / 2 )) "$f"',
}
SHARES = {(1, 1): 3, (3, 1): 1}
"""Of each topology so many installations share the files, every third one each. With three masters only one that joined is damaged: what lies on the
first one and on nodes is that of 1+1."""
_NEEDS_NO_WORD = {
    **dict.fromkeys((f"{path} removed" for path in AUTHORITIES_KEYS), "a CA's key may be kept elsewhere"),
}
_LARGE = 8 << 20  # the artifact's copy and images are not records
_KUBECTLS = "/.kube/cache/"  # it makes them anew by itself


@dataclass
class Damage:
    """What happens to one file."""

    host: BlankHost
    path: str
    how: str
    left: str = ""
    """What there was of the file once it was done."""

    def do(self) -> None:
        """Do it; what was there is kept in the host's memory."""
        self.host.run(f"f='{self.path}'; rm -rf /dev/shm/kept; cp -a -- \"$f\" /dev/shm/kept; {_ACTS[self.how]}")
        self.left = self._there()

    def stands(self) -> bool:
        """Tell whether the file is still as the damage left it."""
        return self._there() == self.left

    def _there(self) -> str:
        return self.host.run(f"sha256sum < '{self.path}' 2>/dev/null || echo gone").stdout.strip()

    def undo(self) -> None:
        """Put back what was there, as it was."""
        self.host.run(f"cp -a -- /dev/shm/kept '{self.path}.back' && mv -fT -- '{self.path}.back' '{self.path}'; rm -rf /dev/shm/kept")

    def __str__(self) -> str:
        return f"{self.host.name}: {self.path} {self.how}"


def torn(desk: Desk, *, masters: int, nodes: int, how: str, share: int) -> None:
    """Every record, key and ledger file damaged in turn, then the same command: healed or refused, never a wipe."""
    counts = {"healed": 0, "refused": 0, "told": 0}
    wrong: list[str] = []
    with desk.trial(masters, nodes) as trial:
        trial.install().expect(0)
        for damage in damages(trial, how)[share :: SHARES[masters, nodes]]:
            before = Alive.of(trial.bed)
            damage.do()
            ended = trial.install()
            (desk.directory / "said.log").open("a").write(f"== {damage}: {ended.code} in {ended.seconds:.0f} s\n{ended.tail}\n")
            stands = damage.stands()
            counts["refused" if ended.code else "told" if stands else "healed"] += 1
            if stands:
                damage.undo()
            wrong += _judged(damage, ended, before, trial, stands=stands)
            desk.figures.update({name: str(count) for name, count in counts.items()}, wrong=str(len(wrong)))
    if wrong:
        raise Failed("\n".join(wrong))


def _judged(damage: Damage, ended: Ended, before: Alive, trial: Trial, *, stands: bool) -> Iterator[str]:
    if ended.code not in (0, *REFUSED) or "Traceback (most recent call last)" in ended.said:
        yield f"{damage}: exit code {ended.code}\n{ended.tail}"
    if harmed := before.harmed(Alive.of(trial.bed), units=False):
        yield f"{damage}: exit code {ended.code}, and harmed:\n  " + "\n  ".join(harmed)
    due = f"{damage.path} {damage.how}" not in _NEEDS_NO_WORD
    if stands and not ended.code and damage.path not in ended.said and due:
        yield f"{damage}: exit code 0, the file is as the damage left it, and not a word of it"
    if ended.code:
        again = trial.install()
        if again.code:
            yield f"{damage}: put back, and the same command still ends with {again.code}\n{again.tail}"


def damages(trial: Trial, how: str) -> list[Damage]:
    """Return every file of ours on the hosts; of several masters only on the last one."""
    masters, nodes = trial.bed.masters, trial.bed.nodes
    hosts = masters[-1:] if len(masters) > 1 else (*masters, *nodes[:1])
    return [Damage(host, path, how) for host in hosts for path in kept_files(host.root)]


def kept_files(root: Path) -> list[str]:
    """Return the files that are records, keys, certificates or settings, smallest directories first."""
    files = (file for place in PLACES for file in sorted((root / place).rglob("*")) if _KUBECTLS not in str(file))
    return [f"/{file.relative_to(root)}" for file in files if _is_record(file)]


def _is_record(file: Path) -> bool:
    return not file.is_symlink() and file.is_file() and 0 < file.stat().st_size < _LARGE and file.suffix != ".log"


def scenarios() -> tuple[Scenario, ...]:
    """Return one for each way of damage, topology and share of the files."""
    return tuple(
        Scenario(f"torn-{masters}+{nodes}-{how.replace(' ', '-')}-{'abc'[share]}", 60, functools.partial(torn, masters=masters, nodes=nodes, how=how, share=share))
        for (masters, nodes), shares in SHARES.items()
        for how in _ACTS
        for share in range(shares)
    )
