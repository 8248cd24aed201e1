"""At which line of the Kubefile docker was when it failed: from what its two builders say while they build."""

from __future__ import annotations

import re
from typing import Final

from bundler.kubefile.stages import SCRATCH, Stage, Stages

_STEP: Final = re.compile(r"^Step (?P<number>\d+)/\d+ : ")  # the classic builder's: instructions, counted
_PARSE_ERROR: Final = re.compile(r"(?:dockerfile parse error|[Ss]yntax error)[^\n]*?\b(?:on )?line (?P<line>\d+)", re.IGNORECASE)
# BuildKit's: "[builder 2/4] RUN make", "[2/4] …" where there is one stage, "[stage-1 2/4] …" for one without a name.
_VERTEX: Final = re.compile(r"\[(?:\S+/\S+ )?(?:(?P<stage>[^\s\]]+) )?(?P<number>\d+)/(?P<count>\d+)\] ")
_COUNTED: Final = frozenset({"RUN", "COPY", "ADD", "WORKDIR"})  # what BuildKit counts, after FROM
_SOURCE: Final = re.compile(r"^(?:\S*/)?(?P<name>[^\s/:]+):(?P<line>\d+)$", re.MULTILINE)


class Positions:
    """Follows a builder's words. ``name`` is what the builder calls the file."""

    def __init__(self, stages: Stages, name: str) -> None:
        self._stages = stages
        self._name = name
        self._steps = [item for item in stages.kubefile.instructions if item.name != "CMD"]
        self._line = 0

    def follow(self, text: str) -> None:
        """Look at a line: ``Step 3/7 : RUN …`` is the third instruction that docker sees."""
        if match := _STEP.match(text):
            number = int(match["number"]) - 1
            self._line = self._steps[number].line if number < len(self._steps) else 0

    def line_of(self, error: str) -> int:
        """Return the line that an error belongs to, 0 when it belongs to none. ``error`` is all that was said at the end."""
        most = len(self._stages.kubefile.lines)
        for place in _SOURCE.finditer(error):
            if place["name"] == self._name and int(place["line"]) <= most:
                return int(place["line"])
        if match := _PARSE_ERROR.search(error):
            return min(int(match["line"]), most)
        return self.line_of_vertex(error) or self._line

    def line_of_vertex(self, text: str) -> int:
        """Return the line of the last vertex that ``text`` names, 0 where it names none."""
        for match in reversed(list(_VERTEX.finditer(text))):
            stage = self._stage(match["stage"] or "")
            counted = [item for item in stage.instructions if item.name in _COUNTED] if stage else []
            if stage is not None and stage.base != SCRATCH and stage.parent is None:  # FROM scratch is no step, nor that of a stage
                counted.insert(0, stage.begin)
            if counted and len(counted) == int(match["count"]) and 1 <= int(match["number"]) <= len(counted):
                return counted[int(match["number"]) - 1].line
        return 0

    def _stage(self, name: str) -> Stage | None:
        if not name:
            return self._stages.target
        number = name.removeprefix("stage-")
        return next((each for each in self._stages.all if each.name == name.lower() or (not each.name and str(each.number) == number)), None)
