"""The Dockerfile that docker gets for a Kubefile: same lines, same numbers; commands travel in a label.

Docker keeps one CMD, the last. So every CMD becomes a comment, and all of them, with those of the base, a label.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from bundler.kubefile.parse import Instruction
from bundler.kubefile.stages import COPY_FROM, MOUNT_FROM, Stage, Stages

LABEL_PREFIX: Final = "internal.airseal."
COMMANDS_LABEL: Final = f"{LABEL_PREFIX}commands"
KUBERNETES_LABEL: Final = f"{LABEL_PREFIX}kubernetes"  # set by a base's own Kubefile: "v1.36.3"
PINS_LABEL: Final = f"{LABEL_PREFIX}pins"  # set by a base's own Kubefile: who vouches for its downloads

Bases = Mapping[tuple[str, str], str]  # (image, platform) as the Kubefile names them → the name under which docker has it


def render(stages: Stages, bases: Bases, *, heredocs: bool) -> str:
    """Return the Dockerfile: line N of it is line N of the Kubefile. Images that are not in ``bases`` are left to docker.

    ``heredocs``: docker's builder knows here-documents. For one that does not, a RUN's becomes a command of its own.
    Raises KubefileError for a here-document that this builder cannot have.
    """
    kubefile = stages.kubefile
    lines = list(kubefile.lines)
    for stage in stages.all:
        if (image := bases.get((stage.base, stage.platform))) and stage.parent is None:
            _put(lines, stage.begin, f"FROM {_flags(stage.begin)}{image}{_rest(stage.begin)}")
        for instruction in stage.instructions:
            span = slice(instruction.line - 1, instruction.end)
            if instruction.name == "CMD":
                lines[span] = [f"# {line}" for line in kubefile.lines[span]]
                continue
            if instruction.heredocs and not heredocs:
                _put(lines, instruction, _without_heredoc(stages, instruction))
            if instruction.name in {"COPY", "ADD", "RUN"}:
                lines[span] = [_with_bases(line, stages, stage, bases) for line in lines[span]]
    return "\n".join(lines) + "\n"


def _put(lines: list[str], instruction: Instruction, text: str) -> None:
    """Put one line where an instruction stood, and keep the numbers of those that follow."""
    lines[instruction.line - 1 : instruction.end] = [text, *["#"] * (instruction.end - instruction.line)]


def _flags(instruction: Instruction) -> str:
    return instruction.text[: len(instruction.text) - len(instruction.without_flags())]


def _rest(begin: Instruction) -> str:
    """Return what follows a FROM's image: `` AS name`` or nothing."""
    words = begin.without_flags().split()
    return f" {' '.join(words[1:])}" if words[1:] else ""


def _with_bases(line: str, stages: Stages, stage: Stage, bases: Bases) -> str:
    def known(image: str) -> str:
        return image if stages.stage(image, stage) is not None else bases.get((image, ""), image)

    line = MOUNT_FROM.sub(lambda match: f"{match[1]}{known(match[2])}", line)
    return COPY_FROM.sub(lambda match: known(match[0]), line)


def _without_heredoc(stages: Stages, instruction: Instruction) -> str:
    """Return a RUN's here-document as one command: the body itself, or the words that read it."""
    if instruction.name != "RUN" or len(instruction.heredocs) > 1 or instruction.heredocs[0].body.startswith("#!"):
        hint = "use docker 23 or newer, or begin the Kubefile with # syntax=docker/dockerfile:1, or COPY a file"
        raise stages.kubefile.error(instruction.line, "the builder of this docker engine knows no here-documents", hint)
    document = instruction.heredocs[0]
    words = instruction.without_flags()
    alone = re.fullmatch(r"\d*<<-?(['\"]?)" + re.escape(document.word) + r"\1", words)
    script = document.body if alone else f"{words}\n{document.body}{document.word}\n"
    return f"RUN {_flags(instruction)}{json.dumps(['/bin/sh', '-c', script])}"
