"""kubectl's jsonpath, checked before anybody asks kubectl: what cannot be read, or means nothing, is no reason to wait for a timeout.

The grammar is that of k8s.io/client-go/util/jsonpath/parser.go. What is in a filter is left to kubectl.
"""

from __future__ import annotations

import re
from typing import Final

_WORDS: Final = frozenset({"range", "end", "true", "false"})
_FIELD: Final = re.compile(r"(?:\\.|[^\s.,\[\]$@{}])*")
_NUMBER: Final = re.compile(r"[+-]?[0-9][0-9.]*")
_QUOTED: Final = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'", re.DOTALL)
_FILTER: Final = re.compile(r"\[\?\((?:[^'\"\]]|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|\](?!\}))*?\)\]", re.DOTALL)
_INDEX: Final = re.compile(r"\[(?:[^'\"\[\]]|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')*\]", re.DOTALL)


def path_problem(text: str) -> tuple[int, str] | None:
    """Return where ``text`` is no jsonpath, in characters from zero, and why; None for one that kubectl reads."""
    at = text.find("{")
    if at < 0:
        example = text if text.startswith((".", "[", "$", "@")) else f".{text}"
        return 0, f"has no {{…}}, so that kubectl takes it for a text; write {{{example[:60]}}}"
    ranges: list[int] = []
    while at >= 0:
        found = _action(text, at + 1, ranges)
        if isinstance(found, tuple):
            return found
        at = text.find("{", found)
    return (ranges[0], "{range …} has no {end}") if ranges else None


def _action(text: str, at: int, ranges: list[int]) -> int | tuple[int, str]:
    """Return where what follows the } of an action begins, or what is wrong in it."""
    begin = at - 1
    while at < len(text) and text[at] not in "\r\n":
        letter = text[at]
        if letter == "}":
            return at + 1
        found = _part(text, at, ranges)
        if isinstance(found, tuple):
            return found
        at = found
    return begin, "{ is not closed"


def _part(text: str, at: int, ranges: list[int]) -> int | tuple[int, str]:
    letter = text[at]
    if letter in "\"'[":
        form = _QUOTED if letter != "[" else _FILTER if text.startswith("[?(", at) else _INDEX
        match = form.match(text, at)
        return match.end() if match else (at, "[ is not closed" if letter == "[" else f"a text in {letter} that does not end")
    if letter in " @$.":
        match = _FIELD.match(text, at + 1) if letter == "." else None
        return match.end() if match else at + 1
    if match := _NUMBER.match(text, at):
        return match.end()
    return _word(text, at, ranges) if letter.isalnum() or letter == "_" else (at, f"{letter!r} means nothing here")


def _word(text: str, at: int, ranges: list[int]) -> int | tuple[int, str]:
    match = _FIELD.match(text, at)
    word = match[0] if match else text[at]
    if word not in _WORDS:
        return at, f"{word[:60]!r} is no word of a jsonpath; a field begins with a dot: {{.{word[:60]}}}"
    if word == "range":
        ranges.append(at)
    elif word == "end":
        if not ranges:
            return at, "{end} ends nothing"
        ranges.pop()
    return at + len(word)
