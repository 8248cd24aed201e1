"""Words of an expression. Raises ExpressionInvalid with the place of what is none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from installer_stub.cel.tree import ExpressionInvalid

MOST_CHARACTERS: Final = 4096
_TOKEN: Final = re.compile(
    r"""(?P<blank>[ \t\r\n\f]+|//[^\n]*)
    |(?P<double>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?)
    |(?P<int>0x[0-9a-fA-F]+|[0-9]+)
    |(?P<text>[rR]?(?:"(?!"")(?:[^"\\\r\n]|\\.)*"|'(?!'')(?:[^'\\\r\n]|\\.)*'))
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%!<>?:.,()\[\]{}])""",
    re.VERBOSE | re.ASCII,
)
_RAW: Final = re.compile(r"""[rR]?("|')(.*)\1""", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))", re.DOTALL)
_SIMPLE: Final = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", **{each: each for each in "\\\"'`?"}}
_HINTS: Final = {
    "=": "= compares nothing; write ==",
    "&": "& is no operator; write &&",
    "|": "| is no operator; write ||",
    '"': "a text in double quotes that does not end",
    "'": "a text in single quotes that does not end",
    "#": "a comment begins with //",
    "`": 'names in backticks are not understood; write ["…"]',
}


@dataclass(frozen=True, slots=True)
class Token:
    """One word. ``kind`` is ``int``, ``double``, ``text``, ``name``, ``sign`` or, after the last one, ``end``."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """Where what follows it may begin."""
        return self.start + len(self.text)


def tokens(source: str) -> Iterator[Token]:
    """Yield the words of ``source``, and one of the kind ``end``. Raises ExpressionInvalid."""
    if len(source) > MOST_CHARACTERS:
        raise ExpressionInvalid(0, f"is longer than {MOST_CHARACTERS} characters")
    at, before = 0, ""
    while at < len(source):
        found = _TOKEN.match(source, at)
        if found is None or source.startswith(('"""', "'''"), at):
            raise ExpressionInvalid(at, _foreign(source, at))
        kind = str(found.lastgroup)
        if kind in {"name", "text"} and before in {"int", "double", "name"}:
            raise ExpressionInvalid(at, _stuck(source, at, before))
        if kind != "blank":
            yield Token(kind, found[0], at)
        at, before = found.end(), kind
    yield Token("end", "", len(source))


def text_of(token: Token) -> str:
    """Return what a text in quotes says. Raises ExpressionInvalid for an escape that is none."""
    found = _RAW.fullmatch(token.text)
    inner = found[2] if found else ""
    if token.text[0] in "rR":
        return inner

    def escaped(match: re.Match[str]) -> str:
        number = next((int(digits, base) for digits, base in zip(match.groups()[:4], (16, 16, 16, 8), strict=True) if digits), None)
        if number is None and match[5] in _SIMPLE:
            return _SIMPLE[match[5]]
        if number is None or number > 0x10FFFF or 0xD800 <= number < 0xE000:
            raise ExpressionInvalid(token.start + match.start() + 1, f"{match[0]} is no escape; a backslash is written twice")
        return chr(number)

    return _ESCAPE.sub(escaped, inner)


def _foreign(source: str, at: int) -> str:
    if source.startswith(('"""', "'''"), at):
        return "texts in three quotes are not understood; write one quote"
    return _HINTS.get(source[at], f"{source[at]!r} belongs to nothing")


def _stuck(source: str, at: int, before: str) -> str:
    if before == "name":
        return "bytes and other texts with a letter before the quote are not understood"
    return "unsigned numbers (1u) are not understood; write 1" if source[at] in "uU" else "an operator is missing after the number"
