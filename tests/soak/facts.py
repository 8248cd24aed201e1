"""Facts of one place, by kind and name, each as a line of text; and how two of them differ, one by one."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.soak.words import Words

_SHOWN = 3  # lines of a text that differ


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same. None: it is not there."""

    where: str
    kind: str
    name: str
    was: str | None
    now: str | None
    detail: str = ""

    def __str__(self) -> str:
        if self.was is None:
            said = f"new: {self.now}"
        elif self.now is None:
            said = f"gone: {self.was}"
        else:
            said = f"{self.was} -> {self.now}"
        return f"{self.where}: {self.kind} {self.name}: {said}{self.detail}"


@dataclass(frozen=True)
class Facts:
    """What was found at one place: of each kind, what each thing is. ``texts``: what a ``text:KEY`` in a value stands for."""

    where: str
    kinds: Mapping[str, Mapping[str, str]]
    texts: Mapping[str, str] = field(default_factory=dict)

    def differences(self, later: Facts, words: Words | None = None) -> list[Difference]:
        """Return what is another, new or gone in ``later``, in the order of kinds and names. ``words``: of all places of both sites."""
        found = []
        words = words or Words()
        for kind in sorted({*self.kinds, *later.kinds}):
            was, now = self.kinds.get(kind, {}), later.kinds.get(kind, {})
            for name in sorted({*was, *now}):
                if not self._same(later, was.get(name), now.get(name), words):
                    detail = _detail(self.texts, later.texts, was.get(name), now.get(name))
                    found.append(Difference(self.where, kind, name, was.get(name), now.get(name), detail))
        return found

    def _same(self, later: Facts, was: str | None, now: str | None, words: Words) -> bool:
        (kind, _, one), (other_kind, _, other) = (value.partition("text:") if value is not None else ("", "", "") for value in (was, now))
        if one in self.texts and other in later.texts:
            return words.same(self.texts[one], later.texts[other]) and kind == other_kind
        return was == now


def differences(was: Iterable[Facts], now: Iterable[Facts]) -> list[Difference]:
    """Return the differences of several places. A place that only one side knows is a difference itself."""
    before, after = ({facts.where: facts for facts in side} for side in (was, now))
    found, words = [], Words()
    for where in sorted({*before, *after}):
        if where in before and where in after:
            found += before[where].differences(after[where], words)
        else:
            found.append(Difference(where, "place", where, *("there" if where in side else None for side in (before, after))))
    return found


def save(path: Path, facts: Iterable[Facts]) -> None:
    """Write facts down as JSON, whole or not at all."""
    value = [{"where": one.where, "kinds": one.kinds, "texts": one.texts} for one in facts]
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(json.dumps(value, indent=1, sort_keys=True))
    temporary.rename(path)


def load(path: Path) -> list[Facts]:
    """Return what ``save`` wrote."""
    return [Facts(one["where"], one["kinds"], one["texts"]) for one in json.loads(path.read_text())]


def _detail(before: Mapping[str, str], after: Mapping[str, str], was: str | None, now: str | None) -> str:
    """Return the lines that differ, of two texts that both are known."""
    texts = [side.get((value or "").partition("text:")[2]) for side, value in ((before, was), (after, now))]
    if texts[0] is None or texts[1] is None:
        return ""
    lines = list(_changed(texts[0], texts[1]))
    more = f"\n      … {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return "".join(f"\n      {line[:200]}" for line in lines[:_SHOWN]) + more


def _changed(was: str, now: str) -> Iterator[str]:
    for line in difflib.unified_diff(was.splitlines(), now.splitlines(), n=0, lineterm=""):
        if not line.startswith(("---", "+++", "@@")):
            yield line
