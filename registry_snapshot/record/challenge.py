"""Challenges: what a ``WWW-Authenticate`` header offers.

Source: RFC 9110 section 11.6.1; registries write several challenges in one line, in several lines, and not always well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

# Each pattern matches in one way only, and a quote that never ends goes to the end: no header makes them slow.
_SPACE = re.compile(r"[\s,]*")
_WORD = re.compile(r"[^\s,=\"]+")
_EQUALS = re.compile(r"\s*=+\s*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)(?:"|\\?\Z)', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One offer: a scheme in lower case and its parameters, whose names are in lower case."""

    scheme: str
    parameters: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str:
        """Return a parameter, empty if it is not there. Of one that stands twice the first counts."""
        return next((value for key, value in self.parameters if key == name), "")


def parse_challenges(lines: Iterable[str]) -> tuple[Challenge, ...]:
    """Return every challenge of every header line, in order. What cannot be understood is passed over."""
    return tuple(challenge for line in lines for challenge in _parse(line))


def _parse(line: str) -> list[Challenge]:
    found: list[tuple[str, list[tuple[str, str]]]] = []
    at = 0
    while (at := _end(_SPACE, line, at)) < len(line):
        word = _WORD.match(line, at)
        if word is None:  # a stray quote or equals sign
            quoted = _QUOTED.match(line, at)
            at = quoted.end() if quoted else at + 1
            continue
        equals = _EQUALS.match(line, word.end())
        if equals is None:
            at = word.end()
            if _SCHEME.fullmatch(word[0]):
                found.append((word[0].lower(), []))
            continue
        value, at = _value(line, equals.end())
        if found:
            found[-1][1].append((word[0].lower(), value))
    return [Challenge(scheme, tuple(parameters)) for scheme, parameters in found]


def _value(line: str, at: int) -> tuple[str, int]:
    if quoted := _QUOTED.match(line, at):
        return _ESCAPE.sub(r"\1", quoted[1]), quoted.end()
    if word := _WORD.match(line, at):
        return word[0], word.end()
    return "", at


def _end(pattern: re.Pattern[str], line: str, at: int) -> int:
    match = pattern.match(line, at)
    return match.end() if match else at
