"""Functions that an expression may call, by what they take and give. Costs are bounded by whoever calls them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

_INT: Final = re.compile(r"-?[0-9]{1,19}")
_DOUBLE: Final = re.compile(r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,4})?")
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1


class NoAnswer(ValueError):
    """An expression that has no value for this object: a key is missing, a type is another one, it took too much."""


@dataclass(frozen=True, slots=True)
class Function:
    """``takes`` are the kinds that each argument may be of, ``gives`` the kind of the value; ``method``: called as ``x.name()``."""

    takes: tuple[frozenset[str], ...]
    gives: str
    apply: Callable[..., Any]
    method: bool
    plain: bool = False  # called as name(x), too


def _whole(value: float | str) -> int:
    if isinstance(value, str):
        number = int(value) if _INT.fullmatch(value) else None
    else:
        number = int(value) if math.isfinite(value) else None  # towards zero
    if number is None or not _LEAST <= number <= _MOST:
        raise NoAnswer(f"{shown(value)} is no whole number of 64 bits")
    return number


def _double(value: float | str) -> float:
    if isinstance(value, str) and not _DOUBLE.fullmatch(value):
        raise NoAnswer(f"{shown(value)} is no number")
    return float(value)


def _string(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return str(value)


def _ascii(change: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: "".join(change(letter) if letter.isascii() else letter for letter in text)


def shown(value: object) -> str:
    """Return a value as an expression would write it, shortened."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return '"' + (value if len(value) <= 200 else f"{value[:200]}…") + '"'
    if isinstance(value, (list, Mapping)):
        what = "a list of" if isinstance(value, list) else "a map of"
        return f"{what} {len(value)}"
    return str(value)


_TEXT: Final = frozenset({"string"})
FUNCTIONS: Final[Mapping[str, Function]] = {
    "size": Function((frozenset({"string", "list", "map"}),), "int", len, method=True, plain=True),
    "contains": Function((_TEXT, _TEXT), "bool", lambda text, part: part in text, method=True),
    "startsWith": Function((_TEXT, _TEXT), "bool", str.startswith, method=True),
    "endsWith": Function((_TEXT, _TEXT), "bool", str.endswith, method=True),
    "lowerAscii": Function((_TEXT,), "string", _ascii(str.lower), method=True),
    "upperAscii": Function((_TEXT,), "string", _ascii(str.upper), method=True),
    "trim": Function((_TEXT,), "string", str.strip, method=True),
    "int": Function((frozenset({"int", "double", "string"}),), "int", _whole, method=False, plain=True),
    "double": Function((frozenset({"int", "double", "string"}),), "double", _double, method=False, plain=True),
    "string": Function((frozenset({"bool", "int", "double", "string"}),), "string", _string, method=False, plain=True),
}
# What CEL or the API server has and this has not, with what does instead.
INSTEAD: Final[Mapping[str, str]] = {
    "matches": "regular expressions of RE2 are not understood; use startsWith, endsWith, contains or in, or a command",
    **dict.fromkeys(("timestamp", "duration", "getFullYear", "getHours", "getSeconds"), "times are not understood; use a command"),
    **dict.fromkeys(("quantity", "isQuantity", "isGreaterThan", "isLessThan", "compareTo"), "quantities are not understood; use a command"),
    **dict.fromkeys(("uint", "bytes", "type", "dyn"), "it is not understood here"),
}
