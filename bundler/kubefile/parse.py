"""Kubefile: a Dockerfile with /cluster in its image, and CMD allowed several times.

Grammar: docs.docker.com/reference/dockerfile. Parsed here is only what we must know (names, line numbers, sources of
COPY, commands); what a RUN or an ENV means is docker's business, which gets the same lines.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass

from bundler.errors import KubefileError
from installer_stub.bundle.model import ClusterCommand

KNOWN = ("FROM", "COPY", "RUN", "ENV", "ARG", "LABEL", "WORKDIR", "CMD")

# What people write out of habit, and what they want instead.
_INSTEAD = {
    "ADD": "use COPY; for a URL, download it in a RUN that checks its SHA-256",
    "ENTRYPOINT": "use CMD: it runs on the first master once the cluster is up, and may be given several times",
    "MAINTAINER": "use LABEL maintainer=…",
    "EXPOSE": "leave it out: a cluster image has no process; expose ports with a Service",
    "VOLUME": "leave it out: a cluster image has no process; ask for storage with a PersistentVolumeClaim",
    "HEALTHCHECK": "leave it out: the build waits for the workloads' own readiness",
    "USER": "leave it out: files are installed as root on every host",
}
_DIRECTIVE = re.compile(r"#\s*(?P<name>[a-zA-Z]+)\s*=\s*(?P<value>.+?)\s*")
_HEREDOC = re.compile(r"<<-?\s*(?P<quote>['\"]?)(?P<word>[A-Za-z_][A-Za-z0-9_]*)(?P=quote)")
_VARIABLE = re.compile(r"\\?\$(?:\{(?P<braced>\w+)(?::(?P<mode>[-+])(?P<word>[^}]*))?\}|(?P<plain>\w+))")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: ``text`` is what follows its name, with continuations joined and comments inside dropped.

    ``line`` to ``end`` are its first and last line in the file, counted from 1. ``heredoc`` is the body of a
    here-document, kept apart because docker's classic builder does not know them.
    """

    name: str
    text: str
    line: int
    end: int
    heredoc: str | None = None

    def flags(self) -> dict[str, str]:
        """Return the leading ``--name=value`` flags."""
        found = {}
        for word in self.text.split():
            if not word.startswith("--"):
                break
            name, _, value = word[2:].partition("=")
            found[name] = value
        return found

    def without_flags(self) -> str:
        """Return the text after its leading flags."""
        return re.sub(r"^(?:--\S+\s*)+", "", self.text)


@dataclass(frozen=True, slots=True)
class Kubefile:
    """A parsed Kubefile. ``file`` is its name as messages show it, ``lines`` the text itself."""

    file: str
    lines: tuple[str, ...]
    escape: str
    instructions: tuple[Instruction, ...]

    def named(self, name: str) -> tuple[Instruction, ...]:
        """Return the instructions of one name, in order."""
        return tuple(instruction for instruction in self.instructions if instruction.name == name)

    def commands(self) -> tuple[ClusterCommand, ...]:
        """Return its CMDs, in order. Raises KubefileError for an empty one."""
        return tuple(_command(self.file, instruction) for instruction in self.named("CMD"))

    def error(self, line: int, problem: str, remedy: str = "") -> KubefileError:
        """Return an error that names this file and ``line``."""
        return KubefileError(self.file, line, problem, remedy)


def parse(text: str, file: str = "Kubefile") -> Kubefile:
    """Return the Kubefile that ``text`` spells. Raises KubefileError with the line that is wrong."""
    lines = tuple(text.removeprefix("\ufeff").splitlines())
    escape = _directives(lines).get("escape", "\\")
    if escape not in {"\\", "`"}:
        raise KubefileError(file, 1, f"the escape directive names {escape!r}", "use \\ or `")
    instructions: list[Instruction] = []
    at = 0
    while at < len(lines):
        if not lines[at].strip() or lines[at].lstrip().startswith("#"):
            at += 1
            continue
        instruction = _instruction(file, lines, at, escape)
        instructions.append(instruction)
        at = instruction.end
    kubefile = Kubefile(file, lines, escape, tuple(instructions))
    _check(kubefile)
    return kubefile


def expand(text: str, variables: dict[str, str]) -> str:
    """Return ``text`` with ``$X``, ``${X}``, ``${X:-word}`` and ``${X:+word}`` replaced, as docker does in FROM and COPY.

    A variable that is not known stays as it is written, so that a caller can tell.
    """

    def value(match: re.Match[str]) -> str:
        if match[0].startswith("\\"):
            return match[0][1:]
        known = variables.get(match["braced"] or match["plain"])
        if match["mode"] == "-":
            return known or match["word"]
        if match["mode"] == "+":
            return match["word"] if known else ""
        return match[0] if known is None else known

    return _VARIABLE.sub(value, text)


def _directives(lines: tuple[str, ...]) -> dict[str, str]:
    """Return the parser directives: comments of that form before anything else, each at most once."""
    found: dict[str, str] = {}
    for line in lines:
        match = _DIRECTIVE.fullmatch(line.strip())
        if not match or match["name"].lower() in found:
            break
        found[match["name"].lower()] = match["value"]
    return found


def _instruction(file: str, lines: tuple[str, ...], start: int, escape: str) -> Instruction:
    """Return the instruction that begins at index ``start``."""
    name, _, first = lines[start].strip().partition(" ")
    name, tab, rest = name.partition("\t")
    name, first = name.upper(), f"{rest} {first}" if tab else first
    if name not in KNOWN:
        hint = _INSTEAD.get(name, f"known are {', '.join(KNOWN)}")
        raise KubefileError(file, start + 1, f"{name[:40]!r} is not an instruction of a Kubefile", hint)
    parts, at = [], start
    line = first
    continued = re.compile(rf"{re.escape(escape)}[ \t]*$")
    while continued.search(line):
        parts.append(continued.sub("", line))
        at += 1
        while at < len(lines) and (not lines[at].strip() or lines[at].lstrip().startswith("#")):
            at += 1
        if at >= len(lines):
            line = ""
            break
        line = lines[at]
    text = "".join((*parts, line)).strip()
    end = min(at + 1, len(lines))
    if not text:
        raise KubefileError(file, start + 1, f"{name} has nothing after it", f"finish the line that begins with {name}")
    if name in {"RUN", "COPY", "CMD"} and _HEREDOC.search(text) and not text.startswith("["):
        return _with_heredoc(file, lines, Instruction(name, text, start + 1, end))
    return Instruction(name, text, start + 1, end)


def _with_heredoc(file: str, lines: tuple[str, ...], opened: Instruction) -> Instruction:
    """Return a RUN with the here-document that follows it. A shell word like ``<<<`` is none."""
    match = _HEREDOC.search(opened.text)
    if match is None or opened.text[: match.start()].endswith("<"):
        return opened
    if opened.name != "RUN":
        raise KubefileError(file, opened.line, f"{opened.name} with a here-document is not supported", "put the text into a file and COPY it")
    strip_tabs = match[0].startswith("<<-")
    body: list[str] = []
    for index in range(opened.end, len(lines)):
        line = lines[index].lstrip("\t") if strip_tabs else lines[index]
        if line == match["word"]:
            return Instruction(opened.name, opened.text, opened.line, index + 1, "\n".join(body) + "\n")
        body.append(line)
    raise KubefileError(file, opened.line, f"the here-document {match['word']} never ends", f"write {match['word']} alone on a line after it")


def _check(kubefile: Kubefile) -> None:
    """Raise KubefileError for what docker would refuse late, or not understand as we do."""
    if not kubefile.instructions:
        raise kubefile.error(0, "it is empty", "begin with FROM, for example FROM kubernetes:v1.36.3")
    first = next((item for item in kubefile.instructions if item.name != "ARG"), None)
    if first is None or first.name != "FROM":
        line = first.line if first else kubefile.instructions[0].line
        raise kubefile.error(line, "no FROM before it" if first else "there is no FROM", "begin with FROM, for example FROM kubernetes:v1.36.3")
    last_from = kubefile.named("FROM")[-1]
    for command in kubefile.named("CMD"):
        if command.line < last_from.line:
            raise kubefile.error(command.line, "CMD stands in a stage that is not the last", f"move it below line {last_from.line}")
    kubefile.commands()


def _command(file: str, instruction: Instruction) -> ClusterCommand:
    """Return a CMD's argument vector: exec form if it is a JSON list of strings, as docker reads it; else a shell line."""
    if instruction.text.startswith("["):
        try:
            words = json.loads(instruction.text)
        except ValueError:
            words = None
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            if not words or not words[0]:
                raise KubefileError(file, instruction.line, "CMD has an empty list", 'write CMD ["kubectl", "apply", "-f", "manifests"]')
            return ClusterCommand(tuple(words), instruction.line)
        if instruction.text.endswith("]"):
            hint = 'the exec form is JSON: double quotes, commas, no comma at the end: CMD ["kubectl", "apply"]'
            raise KubefileError(file, instruction.line, "CMD looks like a list and is not JSON", hint)
    return ClusterCommand(("/bin/sh", "-ec", instruction.text), instruction.line)


def copy_words(file: str, instruction: Instruction) -> tuple[str, ...]:
    """Return COPY's sources and target. Raises KubefileError when there are fewer than two."""
    text = instruction.without_flags()
    try:
        words = json.loads(text) if text.startswith("[") else shlex.split(text)
    except ValueError as error:
        raise KubefileError(file, instruction.line, f"COPY cannot be read: {error}", "check its quotes") from None
    if not isinstance(words, list) or len(words) < 2 or not all(isinstance(word, str) for word in words):
        raise KubefileError(file, instruction.line, "COPY needs a source and a target", "write COPY manifests/ /cluster/manifests/")
    return tuple(words)
