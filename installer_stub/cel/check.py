"""What an expression's names and kinds mean, before it runs: an unknown variable or function, ``"a" + 1``, a value that is no yes or no.

What comes out of an object is of any kind (``dyn``), and only its evaluation can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from installer_stub.cel.functions import FUNCTIONS, INSTEAD
from installer_stub.cel.parse import MACROS
from installer_stub.cel.tree import (
    Binary,
    Call,
    ExpressionInvalid,
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

DYN: Final = "dyn"
_NUMBERS: Final = frozenset({"int", "double"})
_ORDERED: Final = frozenset({"int", "double", "string", "bool"})
_ADDED: Final = frozenset({"int", "double", "string", "list"})
_ARITHMETIC: Final[Mapping[str, frozenset[str]]] = {"+": _ADDED, "-": _NUMBERS, "*": _NUMBERS, "/": _NUMBERS, "%": frozenset({"int"})}
Names = frozenset[str]


def check(node: Node, names: Names) -> None:
    """Return if ``node`` is a condition on the variables ``names``. Raises ExpressionInvalid."""
    kind = kind_of(node, names)
    if kind not in {"bool", DYN}:
        raise ExpressionInvalid(node.start, f"is {_a(kind)}; a condition is true or false")


def kind_of(node: Node, names: Names) -> str:
    """Return the kind of a node's value: ``bool``, ``int``, ``double``, ``string``, ``list``, ``map``, ``null`` or ``dyn``."""
    return _RULES[type(node)](node, names)


def kind_of_value(value: object) -> str:
    """Return the kind of a value."""
    kinds = {bool: "bool", int: "int", float: "double", str: "string", type(None): "null", list: "list", dict: "map"}
    return kinds.get(type(value), DYN)


def _name(node: Name, names: Names) -> str:
    if node.name not in names:
        raise ExpressionInvalid(node.start, f"there is no variable {node.name}; there are {', '.join(sorted(names))}, and a text stands in quotes")
    return DYN


def _select(node: Select, names: Names) -> str:
    kind = kind_of(node.operand, names)
    if kind not in {"map", DYN}:
        raise ExpressionInvalid(node.operand.start, f"{_a(kind)} has no field {node.field}")
    return "bool" if node.test else DYN


def _index(node: Index, names: Names) -> str:
    kind, key = kind_of(node.operand, names), kind_of(node.key, names)
    if kind not in {"map", "list", DYN}:
        raise ExpressionInvalid(node.operand.start, f"{_a(kind)} has nothing in it that [] could name")
    if key not in {DYN, "int", "double", *({"string", "bool"} if kind != "list" else ())}:
        raise ExpressionInvalid(node.key.start, f"{_a(key)} is no place in {_a(kind)}")
    return DYN


def _call(node: Call, names: Names) -> str:
    function = FUNCTIONS.get(node.function)
    shape = f"x.{node.function}(…)" if node.method else f"{node.function}(…)"
    if function is None or not (function.method if node.method else function.plain):
        at = node.arguments[0].end + 1 if node.method else node.start
        raise ExpressionInvalid(at, f"there is no function {shape}: {_instead(node, known=function is not None)}")
    if len(node.arguments) != len(function.takes):
        raise ExpressionInvalid(node.start, f"{shape} takes {len(function.takes) - node.method} arguments, not {len(node.arguments) - node.method}")
    for argument, takes in zip(node.arguments, function.takes, strict=True):
        kind = kind_of(argument, names)
        if kind != DYN and kind not in takes:
            raise ExpressionInvalid(argument.start, f"{shape} does not take {_a(kind)}; it takes {' or '.join(map(_a, sorted(takes)))}")
    return function.gives


def _instead(node: Call, *, known: bool) -> str:
    if known:
        return f"write x.{node.function}(…)" if not node.method else f"write {node.function}(x)"
    if node.function in MACROS:
        return f"write x.{node.function}(y, …)"
    methods = sorted([*(name for name, each in FUNCTIONS.items() if each.method), *MACROS])
    plain = sorted(["has", *(name for name, each in FUNCTIONS.items() if each.plain)])
    return INSTEAD.get(node.function) or f"there are x.{', x.'.join(methods)}; {', '.join(plain)}"


def _unary(node: Unary, names: Names) -> str:
    kind = kind_of(node.operand, names)
    wanted = {"bool"} if node.operator == "!" else _NUMBERS
    if kind not in {*wanted, DYN}:
        raise ExpressionInvalid(node.start, f"{node.operator} wants {' or '.join(map(_a, sorted(wanted)))}, not {_a(kind)}")
    return "bool" if node.operator == "!" else kind


def _binary(node: Binary, names: Names) -> str:
    left, right, sign = kind_of(node.left, names), kind_of(node.right, names), node.operator
    if sign in _ARITHMETIC:
        for part, kind in ((node.left, left), (node.right, right)):
            if kind not in {*_ARITHMETIC[sign], DYN}:
                raise ExpressionInvalid(part.start, f"{sign} does not take {_a(kind)}")
        if DYN not in {left, right} and left != right:
            raise ExpressionInvalid(node.start, f"{sign} wants two of one kind, not {_a(left)} and {_a(right)}; there are int(x), double(x), string(x)")
        return right if left == DYN else left
    if sign == "in":
        if right not in {"list", "map", DYN}:
            raise ExpressionInvalid(node.right.start, f"in looks into a list or a map, not {_a(right)}" + ("; write x.contains(y)" if right == "string" else ""))
        return "bool"
    if sign not in {"==", "!="}:
        for part, kind in ((node.left, left), (node.right, right)):
            if kind not in {*_ORDERED, DYN}:
                raise ExpressionInvalid(part.start, f"{sign} does not take {_a(kind)}")
    if DYN not in {left, right} and left != right and {left, right} != _NUMBERS:
        raise ExpressionInvalid(node.start, f"{sign} does not compare {_a(left)} with {_a(right)}")
    return "bool"


def _logic(node: Logic, names: Names) -> str:
    for each in node.operands:
        kind = kind_of(each, names)
        if kind not in {"bool", DYN}:
            raise ExpressionInvalid(each.start, f"{node.operator} wants true or false, not {_a(kind)}")
    return "bool"


def _ternary(node: Ternary, names: Names) -> str:
    condition, yes, no = (kind_of(each, names) for each in (node.condition, node.yes, node.no))
    if condition not in {"bool", DYN}:
        raise ExpressionInvalid(node.condition.start, f"what stands before ? is {_a(condition)}; true or false is wanted")
    if DYN not in {yes, no} and yes != no:
        raise ExpressionInvalid(node.no.start, f"what ? gives is {_a(yes)} or {_a(no)}; one kind is wanted")
    return yes if yes == no else DYN


def _list(node: ListOf, names: Names) -> str:
    for each in node.items:
        kind_of(each, names)
    return "list"


def _map(node: MapOf, names: Names) -> str:
    for key, value in node.entries:
        kind = kind_of(key, names)
        if kind not in {"string", "int", "bool", DYN}:
            raise ExpressionInvalid(key.start, f"{_a(kind)} is no key")
        kind_of(value, names)
    return "map"


def _macro(node: Macro, names: Names) -> str:
    over = kind_of(node.over, names)
    if over not in {"list", "map", DYN}:
        raise ExpressionInvalid(node.over.start, f"{_a(over)} has no members for {node.kind}")
    inner = names | {node.variable}
    for each in (node.where, node.body if node.kind != "map" else None):
        if each is not None and (kind := kind_of(each, inner)) not in {"bool", DYN}:
            raise ExpressionInvalid(each.start, f"{node.kind} asks {_a(kind)}; true or false is wanted")
    if node.kind == "map":
        kind_of(node.body, inner)
    return "list" if node.kind in {"map", "filter"} else "bool"


def _a(kind: str) -> str:
    names = {"bool": "true or false", "int": "a whole number", "double": "a number", "string": "a text", "list": "a list", "map": "a map", "null": "null"}
    return names.get(kind, "anything")


_RULES: Final[Mapping[type[Node], Callable[[Any, Names], str]]] = {
    Literal: lambda node, _: kind_of_value(node.value),
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
