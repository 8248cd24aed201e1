"""The value of an expression: as CEL's definition has it, in a bounded number of steps.

An error is none where the other side of ``&&`` or ``||`` decides alone; numbers compare across kinds; whole numbers have 64 bits. A
value is what JSON has: bool, int, float, str, None, list, dict.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from installer_stub.cel.check import kind_of_value
from installer_stub.cel.functions import FUNCTIONS, NoAnswer, shown
from installer_stub.cel.tree import (
    Binary,
    Call,
    Index,
    ListOf,
    Literal,
    Logic,
    Macro,
    MapOf,
    Name,
    Node,
    Select,
    Ternary,
    Unary,
)

MOST_STEPS: Final = 100_000  # half a second on a slow machine
_LARGEST: Final = 1 << 21  # characters or items of one value: an object of the API has 1.5 MB
_CHARACTERS: Final = 512  # of a text that is looked through count as one step
_MADE: Final = 16  # characters or items of a value that is made: it takes memory too
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_COMPARES: Final[Mapping[str, Callable[[Any, Any], bool]]] = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
Names = Mapping[str, Any]


@dataclass(slots=True)
class Evaluation:
    """One evaluation, with the steps that are left to it."""

    left: int = MOST_STEPS

    def value(self, node: Node, names: Names) -> Any:
        """Return a node's value. Raises NoAnswer."""
        self.spend(1)
        return _RULES[type(node)](self, node, names)

    def truth(self, node: Node, names: Names) -> bool:
        """Return true or false. Raises NoAnswer for anything else."""
        value = self.value(node, names)
        if not isinstance(value, bool):
            raise NoAnswer(f"{shown(value)} is neither true nor false")
        return value

    def spend(self, steps: int) -> None:
        """Take steps away. Raises NoAnswer when there are none left."""
        self.left -= steps
        if self.left < 0:
            raise NoAnswer(f"it takes more than {MOST_STEPS} steps")

    def equal(self, left: Any, right: Any) -> bool:
        """Tell whether two values are equal; those of different kinds are not, except numbers."""
        self.spend(1)
        kinds = {kind_of_value(left), kind_of_value(right)}
        if len(kinds) > 1 and kinds != {"int", "double"}:
            return False
        if isinstance(left, list):
            return len(left) == len(right) and all(map(self.equal, left, right))
        if isinstance(left, dict):
            return left.keys() == right.keys() and all(self.equal(value, right[key]) for key, value in left.items())
        if isinstance(left, str):
            self.spend(len(left) // _CHARACTERS)
        return bool(left == right)


def _name(_: Evaluation, node: Name, names: Names) -> Any:
    return names[node.name]


def _select(run: Evaluation, node: Select, names: Names) -> Any:
    value = run.value(node.operand, names)
    if not isinstance(value, dict):
        raise NoAnswer(f"{shown(value)} has no field {node.field}")
    if node.test:
        return node.field in value
    if node.field not in value:
        raise NoAnswer(f"no such key: {node.field}")
    return value[node.field]


def _index(run: Evaluation, node: Index, names: Names) -> Any:
    value, key = run.value(node.operand, names), run.value(node.key, names)
    if isinstance(key, float) and key.is_integer():
        key = int(key)
    if isinstance(value, dict):
        found = _place(value, key)
        if found is None:
            raise NoAnswer(f"no such key: {shown(key)}")
        return found[0]
    if not isinstance(value, list) or isinstance(key, bool) or not isinstance(key, int):
        raise NoAnswer(f"{shown(value)} has no member {shown(key)}")
    if not 0 <= key < len(value):
        raise NoAnswer(f"there is no member {key} in {shown(value)}")
    return value[key]


def _place(value: dict[Any, Any], key: Any) -> tuple[Any] | None:
    """Return what is under a key. Python takes True for 1, CEL does not."""
    if isinstance(key, (list, dict)) or key not in value:
        return None
    if isinstance(key, str):
        return (value[key],)
    return next(((found,) for name, found in value.items() if name == key and isinstance(name, bool) == isinstance(key, bool)), None)


def _call(run: Evaluation, node: Call, names: Names) -> Any:
    function = FUNCTIONS[node.function]
    values = [run.value(each, names) for each in node.arguments]
    for value, takes in zip(values, function.takes, strict=True):
        if kind_of_value(value) not in takes:
            raise NoAnswer(f"{node.function} does not take {shown(value)}")
        run.spend(len(value) // _CHARACTERS if isinstance(value, str) else 0)
    return function.apply(*values)


def _unary(run: Evaluation, node: Unary, names: Names) -> Any:
    if node.operator == "!":
        return not run.truth(node.operand, names)
    value = run.value(node.operand, names)
    if kind_of_value(value) not in {"int", "double"}:
        raise NoAnswer(f"{shown(value)} is no number")
    return _in_range(-value)


def _binary(run: Evaluation, node: Binary, names: Names) -> Any:
    left, right, sign = run.value(node.left, names), run.value(node.right, names), node.operator
    if sign in {"==", "!="}:
        return run.equal(left, right) == (sign == "==")
    if sign == "in":
        return _in(run, left, right)
    kinds = (kind_of_value(left), kind_of_value(right))
    if sign in _COMPARES:
        if kinds[0] not in {"int", "double", "string", "bool"} or (kinds[0] != kinds[1] and {*kinds} != {"int", "double"}):
            raise NoAnswer(f"{shown(left)} {sign} {shown(right)} compares what has no order")
        run.spend(min(len(left), len(right)) // _CHARACTERS if isinstance(left, str) else 0)
        return _COMPARES[sign](left, right)
    return _arithmetic(run, sign, left, right, kinds)


def _in(run: Evaluation, member: Any, whole: Any) -> bool:
    if isinstance(whole, dict):
        if isinstance(member, (list, dict)):
            raise NoAnswer(f"{shown(member)} is no key")
        return _place(whole, int(member) if isinstance(member, float) and member.is_integer() else member) is not None
    if not isinstance(whole, list):
        raise NoAnswer(f"in looks into a list or a map, not into {shown(whole)}")
    return any(run.equal(member, each) for each in whole)


def _arithmetic(run: Evaluation, sign: str, left: Any, right: Any, kinds: tuple[str, str]) -> Any:
    if kinds[0] != kinds[1] or kinds[0] not in {"int", "double", *(("string", "list") if sign == "+" else ())} or (sign == "%" and kinds[0] != "int"):
        raise NoAnswer(f"{shown(left)} {sign} {shown(right)} has no value")
    if kinds[0] in {"string", "list"}:
        if len(left) + len(right) > _LARGEST:
            raise NoAnswer(f"it makes a value larger than {_LARGEST}")
        run.spend((len(left) + len(right)) // _MADE)
        return left + right
    if sign in {"/", "%"} and kinds[0] == "int":
        return _divided(sign, left, right)
    if sign == "/":
        return left / right if right else math.nan if not left or math.isnan(left) else math.copysign(math.inf, left) * math.copysign(1.0, right)
    return _in_range(left + right if sign == "+" else left - right if sign == "-" else left * right)


def _divided(sign: str, left: int, right: int) -> Any:
    """Divide towards zero; the rest has the sign of what is divided."""
    if right == 0:
        raise NoAnswer(f"{left} {sign} 0 has no value")
    quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
    return _in_range(quotient if sign == "/" else left - quotient * right)


def _in_range(value: Any) -> Any:
    if isinstance(value, int) and not _LEAST <= value <= _MOST:
        raise NoAnswer("a whole number has 64 bits at most")
    return value


def _logic(run: Evaluation, node: Logic, names: Names) -> bool:
    return _decided((partial(run.truth, each, names) for each in node.operands), by=node.operator == "||")


def _decided(answers: Iterator[Callable[[], bool]], *, by: bool) -> bool:
    """Return ``by`` if one answer is that; an answer that is none counts only if no other decides."""
    doubt: NoAnswer | None = None
    for answer in answers:
        try:
            if answer() is by:
                return by
        except NoAnswer as error:
            doubt = doubt or error
    if doubt is not None:
        raise doubt
    return not by


def _ternary(run: Evaluation, node: Ternary, names: Names) -> Any:
    return run.value(node.yes if run.truth(node.condition, names) else node.no, names)


def _list(run: Evaluation, node: ListOf, names: Names) -> list[Any]:
    return [run.value(each, names) for each in node.items]


def _map(run: Evaluation, node: MapOf, names: Names) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    for each, value in node.entries:
        key = run.value(each, names)
        if kind_of_value(key) not in {"string", "int", "bool"} or key in made:
            raise NoAnswer(f"{shown(key)} is no key, or is one twice")
        made[key] = run.value(value, names)
    return made


def members(value: Any) -> Collection[Any]:
    """Return what a macro goes through: a list's items, a map's keys. Raises NoAnswer."""
    if isinstance(value, (list, dict)):
        return value
    raise NoAnswer(f"{shown(value)} has no members")


def _macro(run: Evaluation, node: Macro, names: Names) -> Any:
    over = members(run.value(node.over, names))
    inside = ({**names, node.variable: each} for each in over)
    match node.kind:
        case "exists" | "all":
            return _decided((partial(run.truth, node.body, each) for each in inside), by=node.kind == "exists")
        case "exists_one":
            return sum([run.truth(node.body, each) for each in inside]) == 1
        case "filter":
            return [each[node.variable] for each in inside if run.truth(node.body, each)]
        case _:
            return [run.value(node.body, each) for each in inside if node.where is None or run.truth(node.where, each)]


_RULES: Final[Mapping[type[Node], Callable[[Evaluation, Any, Names], Any]]] = {
    Literal: lambda _, node, __: node.value,
    Name: _name,
    Select: _select,
    Index: _index,
    Call: _call,
    Unary: _unary,
    Binary: _binary,
    Logic: _logic,
    Ternary: _ternary,
    ListOf: _list,
    MapOf: _map,
    Macro: _macro,
}
