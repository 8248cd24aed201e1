"""CMD: what runs on the first master once the cluster is up. The one instruction that is ours and not docker's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final

from bundler.errors import BuildFailed, KubefileError
from bundler.kubefile.parse import Instruction
from installer_stub.bundle.model import COMMAND_SECONDS, ClusterCommand

_UNITS: Final = {"s": 1, "m": 60, "h": 3600}
_DURATION: Final = re.compile(r"(?:[0-9]{1,6}[smh])+")
_LONGEST: Final = 24 * 3600
MOST_LABEL: Final = 100_000  # bytes: one argument of a program may have 128 KiB (MAX_ARG_STRLEN)
EVERYTHING_BEFORE: Final = ClusterCommand((), 0)  # CMD []: what stands before it does not count


def command_of(file: str, instruction: Instruction) -> ClusterCommand:
    """Return a CMD's command: exec form if it is a JSON list of strings, as docker reads it; else a shell line.

    ``CMD []`` is EVERYTHING_BEFORE: as with docker, it takes away what a base brings. Raises KubefileError.
    """
    seconds = _timeout(file, instruction)
    text = instruction.without_flags()
    if text.startswith("["):
        words = _list(text)
        if words == []:
            return EVERYTHING_BEFORE
        if words is not None:
            if not words[0]:
                raise KubefileError(file, instruction.line, "CMD begins with an empty word", 'write CMD ["kubectl", "apply", "-f", "manifests"]')
            return ClusterCommand(tuple(words), instruction.line, seconds)
        if text.endswith("]") and ('"' in text or "," in text):
            hint = 'the exec form is JSON: double quotes, commas, no comma at the end: CMD ["kubectl", "apply"]'
            raise KubefileError(file, instruction.line, "CMD looks like a list and is not JSON", hint)
    if not text:
        raise KubefileError(file, instruction.line, "CMD has options and no command", "write CMD --timeout=10m kubectl apply -f manifests")
    return ClusterCommand(("/bin/sh", "-ec", _script(file, instruction, text)), instruction.line, seconds)


def commands_to_json(commands: Iterable[ClusterCommand]) -> str:
    """Return commands as the text of a label."""
    values: list[dict[str, object]] = []
    for command in commands:
        timeout = {"timeout": command.timeout} if command.timeout != COMMAND_SECONDS else {}
        values.append({"argv": list(command.argv), "line": command.line, **timeout})
    return json.dumps(values)


def commands_from_json(text: str, label: str) -> tuple[ClusterCommand, ...]:
    """Return the commands of a label. Raises BuildFailed for one that we did not write."""
    try:
        return tuple(
            ClusterCommand(tuple(map(str, item["argv"])), int(item["line"]), int(item.get("timeout", COMMAND_SECONDS)))
            for item in json.loads(text)
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BuildFailed(f"the image's label {label} cannot be read: {error!r}", "build its base again with this airseal") from None


def _list(text: str) -> list[str] | None:
    """Return a JSON list of texts, or None for anything else: docker takes that for a shell line."""
    try:
        words = json.loads(text)
    except ValueError:
        return None
    return words if isinstance(words, list) and all(isinstance(word, str) for word in words) else None


def _script(file: str, instruction: Instruction, text: str) -> str:
    """Return what the shell runs: the line with its here-documents, or the here-document itself where that is all."""
    if not instruction.heredocs:
        return text
    first = instruction.heredocs[0]
    if len(instruction.heredocs) == 1 and re.fullmatch(r"\d*<<-?(['\"]?)" + re.escape(first.word) + r"\1", text):
        if first.body.startswith("#!"):
            hint = "put it into a file, COPY it, and let CMD start that: CMD bash scripts/setup.sh"
            raise KubefileError(file, instruction.line, "CMD's here-document names an interpreter of its own; /bin/sh runs it", hint)
        return first.body
    return f"{text}\n" + "".join(f"{each.body}{each.word}\n" for each in instruction.heredocs)


def _timeout(file: str, instruction: Instruction) -> int:
    flags = instruction.flags()
    for name in flags:
        if name != "timeout":
            raise KubefileError(file, instruction.line, f"CMD has no option --{name}", "CMD knows --timeout=10m; the command begins after it")
    text = flags.get("timeout")
    if text is None:
        return COMMAND_SECONDS
    seconds = sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)([smh])", text)) if _DURATION.fullmatch(text) else 0
    if not 1 <= seconds <= _LONGEST:
        raise KubefileError(file, instruction.line, f"CMD --timeout={text[:40]} is no length of time", "write 90s, 10m, 1h or 1h30m, up to 24h")
    return seconds
