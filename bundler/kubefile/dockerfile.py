"""The Dockerfile that docker gets for a Kubefile: same lines, same numbers; commands travel in a label.

Docker keeps one CMD, the last. So every CMD becomes a comment and all of them, with those of the base, a label.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from bundler.errors import BuildFailed
from bundler.kubefile.parse import Instruction, Kubefile, expand
from installer_stub.bundle.model import ClusterCommand

LABEL_PREFIX: Final = "internal.airseal."
COMMANDS_LABEL: Final = f"{LABEL_PREFIX}commands"
KUBERNETES_LABEL: Final = f"{LABEL_PREFIX}kubernetes"  # set by a base's own Kubefile: "v1.36.3"
PINS_LABEL: Final = f"{LABEL_PREFIX}pins"  # set by a base's own Kubefile: who vouches for its downloads

_STEP = re.compile(r"^Step (?P<number>\d+)/\d+ : ")
_PARSE_ERROR = re.compile(r"(?:dockerfile parse error|[Ss]yntax error)[^\n]*?\bline (?P<line>\d+)", re.IGNORECASE)


def base_name(kubefile: Kubefile, build_args: Mapping[str, str], instruction: Instruction) -> str:
    """Return the image that a FROM names, with the ARGs before the first FROM filled in."""
    return _from_words(kubefile, build_args, instruction)[0]


def stage_names(kubefile: Kubefile) -> frozenset[str]:
    """Return the names that ``FROM … AS name`` gives, in lower case."""
    words = (instruction.without_flags().split() for instruction in kubefile.named("FROM"))
    return frozenset(parts[2].lower() for parts in words if len(parts) == 3 and parts[1].upper() == "AS")


def render(
    kubefile: Kubefile,
    build_args: Mapping[str, str],
    bases: Mapping[str, str],
    inherited: Sequence[ClusterCommand],
    labels: Mapping[str, str] | None = None,
) -> str:
    """Return the Dockerfile. ``bases`` says by which image docker knows a FROM's name; others are left to docker.

    Line N of the result is line N of the Kubefile; our LABEL comes after the last.
    """
    lines = list(kubefile.lines)
    for instruction in kubefile.instructions:
        span = slice(instruction.line - 1, instruction.end)
        count = instruction.end - instruction.line + 1
        if instruction.name == "CMD":
            lines[span] = [f"# {line}" for line in kubefile.lines[span]]
        elif instruction.name == "FROM":
            image, rest = _from_words(kubefile, build_args, instruction)
            if image in bases:
                flags = instruction.text[: len(instruction.text) - len(instruction.without_flags())]
                lines[span] = [f"FROM {flags}{bases[image]}{rest}", *["#"] * (count - 1)]
        elif instruction.heredoc is not None:
            lines[span] = [f"RUN {json.dumps(['/bin/sh', '-c', _heredoc_script(instruction)])}", *["#"] * (count - 1)]
    # A base's line numbers are those of another file.
    commands = [*(replace(command, line=0) for command in inherited), *kubefile.commands()]
    every = {**(labels or {}), COMMANDS_LABEL: commands_to_json(commands)}
    lines.append("LABEL " + " ".join(f"{name}={_quoted(value)}" for name, value in sorted(every.items())))
    return "\n".join(lines) + "\n"


def commands_to_json(commands: Iterable[ClusterCommand]) -> str:
    """Return commands as the label's text."""
    return json.dumps([{"argv": list(command.argv), "line": command.line} for command in commands])


def commands_from_json(text: str) -> tuple[ClusterCommand, ...]:
    """Return the commands of a label. Raises BuildFailed for a label that we did not write."""
    try:
        return tuple(ClusterCommand(tuple(map(str, item["argv"])), int(item["line"])) for item in json.loads(text))
    except (ValueError, KeyError, TypeError) as error:
        problem = f"the image's label {COMMANDS_LABEL} cannot be read: {error!r}"
        raise BuildFailed(problem, "build its base again with this airseal") from None


class LineFinder:
    """Follows docker's output and says which line of the Kubefile it is at."""

    def __init__(self, kubefile: Kubefile) -> None:
        self._kubefile = kubefile
        self._steps = [item for item in kubefile.instructions if item.name != "CMD"]
        self._at: Instruction | None = None

    def follow(self, text: str) -> None:
        """Look at a piece of output: ``Step 3/7 : RUN …`` is the third instruction that docker sees."""
        for line in text.splitlines():
            if match := _STEP.match(line):
                number = int(match["number"]) - 1
                self._at = self._steps[number] if number < len(self._steps) else None

    def line_of(self, error: str) -> int:
        """Return the line that an error belongs to, 0 when it belongs to none."""
        if match := _PARSE_ERROR.search(error):
            return min(int(match["line"]), len(self._kubefile.lines))
        return self._at.line if self._at else 0


def _from_words(kubefile: Kubefile, build_args: Mapping[str, str], instruction: Instruction) -> tuple[str, str]:
    """Return a FROM's image and what follows it (`` AS name`` or nothing)."""
    image, _, rest = instruction.without_flags().partition(" ")
    variables: dict[str, str] = {}
    for item in kubefile.instructions:
        if item.name != "ARG":
            break
        for word in item.text.split():
            name, given, default = word.partition("=")
            value = build_args.get(name, expand(default.strip("\"'"), variables) if given else None)
            if value is not None:
                variables[name] = value
    return expand(image, variables), f" {rest.strip()}" if rest.strip() else ""


def _heredoc_script(instruction: Instruction) -> str:
    """Return a RUN's here-document as one shell script: the body itself, or the command that reads it."""
    body = instruction.heredoc or ""
    words = instruction.without_flags()
    if re.fullmatch(r"<<-?\s*(['\"]?)\w+\1", words):
        return body
    match = re.search(r"<<-?\s*['\"]?(\w+)", words)
    return f"{words}\n{body}{match[1] if match else ''}\n"


# Docker takes a label's text between single quotes as it is, and nothing can escape one; JSON can do without them.
def _quoted(value: str) -> str:
    escaped = "".join(char if " " <= char <= "~" and char != "'" else _json_escape(char) for char in value)
    return f"'{escaped}'"


def _json_escape(char: str) -> str:
    return json.dumps(char)[1:-1] if char != "'" else "\\u0027"


