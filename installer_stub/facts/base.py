"""Fact: a question to a host, and how its answer is read.

A question is POSIX shell that only reads, and may use coreutils, sed and /proc, nothing else: hosts are bare. What a question
does not find it leaves out; the parser says what that means.

An answer is a value, or unknown with a reason. What an unknown fact stands for until somebody looks is part of the fact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Otherwise(Generic[T_co]):
    """What stands for a fact while it is unknown: ``value`` makes no check speak and no decision bold.

    ``needed``: nothing may be begun on the host before it is known. ``meaning``: what cannot be told without it.
    """

    value: T_co
    meaning: str
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Fact(Generic[T_co]):
    """``command`` for the host's shell, and ``parse`` from its stdout: pure, so recordings can test it.

    Without ``otherwise`` nothing at all can be said of a host that does not answer.
    """

    name: str
    command: str
    parse: Callable[[str], T_co]
    otherwise: Otherwise[T_co] | None = None

    def read(self, answers: Mapping[str, str], silence: str = "it was not answered") -> T_co:
        """Return what the host answered to this question. Raises Unreadable; ``silence`` says why there may be no answer."""
        answer = answers.get(self.name)
        if answer is None:
            raise Unreadable(self.name, silence)
        try:
            return self.parse(answer)
        except (ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
            raise Unreadable(self.name, f"the answer makes no sense: {answer[:120]!r}") from error


@dataclass(frozen=True, slots=True)
class Unknown:
    """A fact that a host did not tell."""

    name: str
    why: str
    meaning: str
    needed: bool


class Unreadable(Exception):
    """There is no answer to ``name``, or it is not of the form that Linux gives."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name = name
        self.why = why
