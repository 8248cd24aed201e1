"""Expressions as trees. Every node knows where it stands: ``start`` and ``end`` count characters of the source from zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MOST_LEVELS: Final = 40  # of a tree; each is a few calls deep when it is read and when it is evaluated


class ExpressionInvalid(ValueError):
    """What is no expression, or none of the part that is understood. ``at`` counts characters from zero."""

    def __init__(self, at: int, problem: str) -> None:
        super().__init__(problem)
        self.at = at
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A value that is written out."""

    value: bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A variable."""

    name: str


@dataclass(frozen=True, slots=True)
class Select(Node):
    """``operand.field``; with ``test`` the answer to ``has(operand.field)``."""

    operand: Node
    field: str
    test: bool = False


@dataclass(frozen=True, slots=True)
class Index(Node):
    """``operand[key]``."""

    operand: Node
    key: Node


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function's value; ``arguments`` begin with what stands before the dot, if anything does."""

    function: str
    arguments: tuple[Node, ...]
    method: bool


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """``!`` or ``-``."""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """Arithmetic, a comparison, or ``in``."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """All of a chain of ``&&`` or ``||``: as long as one likes, and no deeper than its parts."""

    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Ternary(Node):
    """``condition ? yes : no``."""

    condition: Node
    yes: Node
    no: Node


@dataclass(frozen=True, slots=True)
class ListOf(Node):
    """``[a, b]``."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MapOf(Node):
    """``{"a": b}``."""

    entries: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True, slots=True)
class Macro(Node):
    """``each.exists(x, body)`` and its like. ``where`` is the filter of a ``map`` with three arguments."""

    kind: str
    over: Node
    variable: str
    body: Node
    where: Node | None = None
