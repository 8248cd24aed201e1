"""A condition on one object, as people write it: read once, asked as often as one likes, and what it says of a no."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from installer_stub.cel.check import check
from installer_stub.cel.evaluate import Evaluation, Names, members
from installer_stub.cel.functions import NoAnswer, shown
from installer_stub.cel.parse import parse
from installer_stub.cel.tree import Binary, Literal, Logic, Macro, Node, Select, Unary

# The API server calls it object in a policy and self in a schema; people bring both.
VARIABLES: Final = frozenset({"object", "self"})
_SHOWN: Final = 300  # characters of a part of an expression


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression that makes sense, made by ``read``."""

    source: str
    tree: Node

    @classmethod
    def read(cls, source: str) -> Expression:
        """Return the expression. Raises ExpressionInvalid with the place of what is wrong."""
        tree = parse(source)
        check(tree, VARIABLES)
        return cls(source, tree)

    def holds(self, item: Mapping[str, Any], *, silent: bool = False) -> tuple[bool, str]:
        """Tell whether it is true of an object, and if not, why: which part, and what stands there.

        ``silent``: no value of the object is told.
        """
        names = dict.fromkeys(VARIABLES, item)
        try:
            if Evaluation().truth(self.tree, names):
                return True, ""
            return False, _Why(self.source, Evaluation(), silent).no(self.tree, names)
        except NoAnswer as error:
            return False, f"{_part(self.source, self.tree)} has no value" + ("" if silent else f": {error}")
        except RecursionError:  # two values that are nested deeper than Python goes
            return False, f"{_part(self.source, self.tree)} has no value: the object is nested too deep"


def _part(source: str, node: Node) -> str:
    text = " ".join(source[node.start : node.end].split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


@dataclass(frozen=True, slots=True)
class _Why:
    """Why a tree is false: it was evaluated before, so its parts have values or do not matter."""

    source: str
    run: Evaluation
    silent: bool

    def no(self, node: Node, names: Names) -> str:
        """Return the words for ``node``, which is false."""
        if isinstance(node, Logic) and node.operator == "&&":
            return self.no(next(each for each in node.operands if self._is_false(each, names)), names)
        if isinstance(node, Logic):
            return "; ".join(self.no(each, names) for each in node.operands)
        said = f"{_part(self.source, node)} is false"
        if self.silent:
            return said
        facts = dict.fromkeys(fact for each in self._told(node) if (fact := self._fact(each, names)))
        return f"{said}: {', '.join(facts)}" if facts else said

    def _is_false(self, node: Node, names: Names) -> bool:
        try:
            return self.run.truth(node, names) is False
        except NoAnswer:
            return False

    def _told(self, node: Node) -> tuple[Node, ...]:
        """Return the parts of a node whose values explain it."""
        if isinstance(node, Binary):
            return (node.left, node.right)
        if isinstance(node, Unary):
            return (node.operand,) if isinstance(node.operand, (Binary, Select)) else ()
        if isinstance(node, Macro):
            return (node.over,)
        return (node.operand,) if isinstance(node, Select) and node.test else ()

    def _fact(self, node: Node, names: Names) -> str:
        if isinstance(node, Literal):
            return ""
        try:
            value = self.run.value(node, names)
        except NoAnswer as error:
            return str(error)
        size = f"has {len(members(value))} members" if isinstance(value, (list, dict)) else f"is {shown(value)}"
        return f"{_part(self.source, node)} {size}"
