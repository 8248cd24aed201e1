"""Fact: a question to a host, and how its answer is read.

A question is POSIX shell that only reads, and may use coreutils, sed and /proc, nothing else: hosts are bare. What a question
does not find it leaves out; the parser says what that means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Fact(Generic[T_co]):
    """``command`` for the host's shell, and ``parse`` from its stdout: pure, so recordings can test it."""

    name: str
    command: str
    parse: Callable[[str], T_co]

    def read(self, answers: Mapping[str, str]) -> T_co:
        """Return what the host answered to this question. Raises Unreadable."""
        answer = answers.get(self.name, "")
        try:
            return self.parse(answer)
        except (ValueError, LookupError) as error:
            raise Unreadable(self.name, answer) from error


class Unreadable(Exception):
    """The answer to ``name`` is not of the form that Linux gives."""

    def __init__(self, name: str, answer: str) -> None:
        super().__init__(f"{name}: {answer[:120]!r}")
