"""Kubefile: a Dockerfile with /cluster in its image, and CMD allowed several times.

Grammar: docs.docker.com/reference/dockerfile. Parsed here is only what we must know: where an instruction begins and ends, and
the words of FROM and CMD. What a RUN or an ENV means is docker's business, which gets the same lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bundler.errors import KubefileError

KNOWN: Final = (
    "FROM", "COPY", "ADD", "RUN", "ENV", "ARG", "LABEL", "WORKDIR", "CMD", "USER", "SHELL", "ENTRYPOINT",
    "EXPOSE", "VOLUME", "HEALTHCHECK", "STOPSIGNAL", "ONBUILD", "MAINTAINER",
)  # fmt: skip
# Words of sealer's Kubefiles; sealer.py says what each becomes.
FOREIGN: Final = frozenset({"APP", "APPCMDS", "APPENV", "LAUNCH", "CMDS", "CNI", "CSI", "KUBEVERSION"})
_HEREDOCS: Final = frozenset({"RUN", "COPY", "ADD", "CMD"})
_DIRECTIVE = re.compile(r"#\s*(?P<name>[a-zA-Z]+)\s*=\s*(?P<value>.+?)\s*")
_HEREDOC = re.compile(r"\d*<<(?P<chomp>-?)(?P<word>[^<]+)")  # of one word, as BuildKit's parser has it
_WORD = re.compile(r"""(?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s'"\\])+""", re.DOTALL)
_FLAGS = re.compile(r"(?:--\S+\s*)+")
_VARIABLE = re.compile(r"\\?\$(?:\{(?P<braced>\w+)(?::?(?P<mode>[-+])(?P<word>[^}]*))?\}|(?P<plain>\w+))")


@dataclass(frozen=True, slots=True)
class Heredoc:
    """One here-document: ``body`` is its lines as they stand, ``word`` what ends it."""

    word: str
    body: str


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: ``text`` is what follows its name, with continuations joined and comments inside dropped.

    ``line`` to ``end`` are its first and last line in the file, counted from 1.
    """

    name: str
    text: str
    line: int
    end: int
    heredocs: tuple[Heredoc, ...] = ()

    def flags(self) -> dict[str, str]:
        """Return the leading ``--name=value`` flags; of those that are repeated the last."""
        found = {}
        for word in self.text.split():
            if not word.startswith("--"):
                break
            name, _, value = word[2:].partition("=")
            found[name] = value
        return found

    def without_flags(self) -> str:
        """Return the text after its leading flags."""
        match = _FLAGS.match(self.text)
        return self.text[match.end() :] if match else self.text


@dataclass(frozen=True, slots=True)
class Kubefile:
    """A parsed Kubefile. ``file`` is its name as messages show it, ``lines`` the text itself."""

    file: str
    lines: tuple[str, ...]
    escape: str
    instructions: tuple[Instruction, ...]
    syntax: str = ""  # the frontend that a "# syntax=" line names

    def named(self, name: str) -> tuple[Instruction, ...]:
        """Return the instructions of one name, in order."""
        return tuple(instruction for instruction in self.instructions if instruction.name == name)

    def error(self, line: int, problem: str, remedy: str = "") -> KubefileError:
        """Return an error that names this file and ``line``."""
        return KubefileError(self.file, line, problem, remedy)


def parse(text: str, file: str = "Kubefile") -> Kubefile:
    """Return the Kubefile that ``text`` spells. Raises KubefileError with the line that is wrong."""
    # Only "\n" ends a line for docker; splitlines() knows ten more characters, and every number after one would be wrong.
    lines = tuple(line.removesuffix("\r") for line in text.removeprefix("\ufeff").removesuffix("\n").split("\n")) if text else ()
    directives = _directives(lines)
    escape = directives.get("escape", "\\")
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
    kubefile = Kubefile(file, lines, escape, tuple(instructions), directives.get("syntax", ""))
    _check(kubefile)
    return kubefile


def expand(text: str, variables: dict[str, str]) -> str:
    """Return ``text`` with ``$X``, ``${X}``, ``${X:-word}`` and ``${X:+word}`` replaced, as docker does in FROM.

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
    match = re.match(r"(\S+)\s*(.*)", lines[start].strip(), re.DOTALL)
    assert match is not None  # noqa: S101 - the caller gives no blank line
    name, first = match[1].upper(), match[2]
    if name not in KNOWN and name not in FOREIGN:
        raise KubefileError(file, start + 1, f"{name[:40]!r} is not an instruction of a Kubefile", f"known are {', '.join(KNOWN)}")
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
    opened = Instruction(name, text, start + 1, end)
    return _with_heredocs(file, lines, opened) if name in _HEREDOCS and not text.startswith("[") else opened


def _with_heredocs(file: str, lines: tuple[str, ...], opened: Instruction) -> Instruction:
    """Return an instruction with the here-documents that follow it, in the order in which it names them."""
    found: list[Heredoc] = []
    at = opened.end
    for word, chomp in _openers(opened.text):
        begin = at
        while at < len(lines) and (lines[at].lstrip("\t") if chomp else lines[at]) != word:
            at += 1
        if at == len(lines):
            raise KubefileError(file, opened.line, f"the here-document {word} never ends", f"write {word} alone on a line after it")
        found.append(Heredoc(word, "".join(f"{line}\n" for line in lines[begin:at])))
        at += 1
    return Instruction(opened.name, opened.text, opened.line, at, tuple(found)) if found else opened


def _openers(text: str) -> Iterator[tuple[str, bool]]:
    """Return the words that end here-documents, and whether tabs before them count for nothing. ``<<<`` and ``1 << n`` open none."""
    for word in _WORD.findall(text):
        match = _HEREDOC.fullmatch(word)
        name = re.sub(r"['\"]", "", match["word"]) if match else ""
        if match and name:
            yield name, bool(match["chomp"])


def _check(kubefile: Kubefile) -> None:
    """Raise KubefileError for what docker would refuse late, or not understand as we do."""
    if not kubefile.instructions:
        raise kubefile.error(0, "it is empty", "begin with FROM, for example FROM kubernetes:v1.36.3")
    first = next((item for item in kubefile.instructions if item.name != "ARG"), None)
    if first is None or first.name != "FROM":
        line = first.line if first else kubefile.instructions[0].line
        raise kubefile.error(line, "no FROM before it" if first else "there is no FROM", "begin with FROM, for example FROM kubernetes:v1.36.3")
