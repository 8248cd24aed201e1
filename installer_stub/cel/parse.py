"""Reading an expression: words → a tree, no deeper than ``MOST_LEVELS``. What the names mean, ``check`` says.

The grammar is https://github.com/google/cel-spec/blob/master/doc/langdef.md, without messages, bytes, unsigned numbers and optionals.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from installer_stub.cel.tokens import Token, text_of, tokens
from installer_stub.cel.tree import (
    MOST_LEVELS,
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

MACROS: Final = {"all": (2,), "exists": (2,), "exists_one": (2,), "filter": (2,), "map": (2, 3)}  # name → numbers of arguments
# From the loosest to the tightest; all of them lean to the left.
_LEVELS: Final = (frozenset({"==", "!=", "<", "<=", ">", ">=", "in"}), frozenset({"+", "-"}), frozenset({"*", "/", "%"}))
_CONSTANTS: Final = {"true": True, "false": False, "null": None}
_RESERVED: Final = frozenset(
    {"as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package", "namespace", "return", "var", "void", "while"}
)
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1


def parse(source: str) -> Node:
    """Return the tree of ``source``. Raises ExpressionInvalid with the place of the first thing that is wrong."""
    reader = _Reader(list(tokens(source)))
    if reader.next.kind == "end":
        raise ExpressionInvalid(0, "says nothing")
    node = reader.expression()
    if reader.next.kind != "end":
        raise ExpressionInvalid(reader.next.start, f"{reader.next.text!r} is not expected here")
    return node


@dataclass(slots=True)
class _Reader:
    """``at`` is the next word; ``level`` how deep the reading is."""

    words: list[Token]
    at: int = 0
    level: int = 0
    depths: dict[int, tuple[int, Node]] = field(default_factory=dict)  # levels of a node, by its id, and the node, so that the id stays its own

    @property
    def next(self) -> Token:
        return self.words[self.at]

    def take(self, *signs: str) -> Token | None:
        """Return the next word if it is one of ``signs``, and go on."""
        token = self.next
        if token.kind in {"sign", "name"} and token.text in signs:
            self.at += 1
            return token
        return None

    def want(self, sign: str, after: str) -> Token:
        token = self.take(sign)
        if token is None:
            said = repr(self.next.text) if self.next.text else "the end"
            raise ExpressionInvalid(self.next.start, f"{sign!r} is missing after {after}; there is {said}")
        return token

    def grown(self, node: Node, *parts: Node) -> Node:
        """Return ``node``, if what stands on ``parts`` is not too deep."""
        depth = 1 + max((self.depths.get(id(part), (0, part))[0] for part in parts), default=0)
        if depth > MOST_LEVELS:
            raise ExpressionInvalid(node.start, f"is nested deeper than {MOST_LEVELS} levels")
        self.depths[id(node)] = depth, node
        return node

    def expression(self) -> Node:
        """Read ``a ? b : c`` and everything that binds tighter."""
        self.level += 1
        if self.level > MOST_LEVELS:
            raise ExpressionInvalid(self.next.start, f"is nested deeper than {MOST_LEVELS} levels")
        condition = self._logic("||")
        if self.take("?"):
            yes = self._logic("||")
            self.want(":", "what ? gives")
            no = self.expression()
            condition = self.grown(Ternary(condition.start, no.end, condition, yes, no), condition, yes, no)
        self.level -= 1
        return condition

    def _logic(self, sign: str) -> Node:
        operands = [self._part(sign)]
        while self.take(sign):
            operands.append(self._part(sign))
        return operands[0] if len(operands) == 1 else self.grown(Logic(operands[0].start, operands[-1].end, sign, tuple(operands)), *operands)

    def _part(self, sign: str) -> Node:
        return self._logic("&&") if sign == "||" else self._binary(0)

    def _binary(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while token := self.take(*_LEVELS[level]):
            right = self._binary(level + 1)
            left = self.grown(Binary(left.start, right.end, token.text, left, right), left, right)
        return left

    def _unary(self) -> Node:
        signs: list[Token] = []
        while token := self.take("!", "-"):
            signs.append(token)
            if len(signs) > MOST_LEVELS:
                raise ExpressionInvalid(token.start, f"is nested deeper than {MOST_LEVELS} levels")
        if signs and signs[-1].text == "-" and self.next.kind in {"int", "double"}:
            minus = signs.pop()
            node = self._members(self._number("-", minus.start))
        else:
            node = self._members(self._primary())
        for sign in reversed(signs):
            node = self.grown(Unary(sign.start, node.end, sign.text, node), node)
        return node

    def _members(self, node: Node) -> Node:
        while token := self.take(".", "["):
            if token.text == "[":
                self._no_optional()
                key = self.expression()
                end = self.want("]", "the key")
                node = self.grown(Index(node.start, end.end, node, key), node, key)
                continue
            self._no_optional()
            name = self.next
            if name.kind != "name" or name.text in {*_CONSTANTS, "in"}:
                raise ExpressionInvalid(name.start, "the name of a field is missing after the dot")
            self.at += 1
            opened = self.take("(")
            node = self._method(node, name) if opened else self.grown(Select(node.start, name.end, node, name.text), node)
        return node

    def _no_optional(self) -> None:
        if self.next.text == "?":
            raise ExpressionInvalid(self.next.start, "optional fields (.? and [?]) are not understood; write has(…) && …")

    def _method(self, target: Node, name: Token) -> Node:
        arguments, end = self._arguments(")")
        if name.text not in MACROS:
            return self.grown(Call(target.start, end, name.text, (target, *arguments), method=True), target, *arguments)
        if len(arguments) not in MACROS[name.text]:
            raise ExpressionInvalid(name.start, f"{name.text} takes a variable and an expression, not {len(arguments)} arguments")
        variable = arguments[0]
        if not isinstance(variable, Name):
            raise ExpressionInvalid(variable.start, f"{name.text} begins with the name of a variable: {name.text}(x, x > 0)")
        where = arguments[1] if len(arguments) == 3 else None
        return self.grown(Macro(target.start, end, name.text, target, variable.name, arguments[-1], where), target, *arguments)

    def _arguments(self, closing: str) -> tuple[tuple[Node, ...], int]:
        found: list[Node] = []
        while True:
            if token := self.take(closing):
                return tuple(found), token.end
            if found:
                self.want(",", "an argument" if closing == ")" else "an item")
                if closing == "]" and (token := self.take(closing)):
                    return tuple(found), token.end
            found.append(self.expression())

    def _primary(self) -> Node:
        token = self.next
        if token.kind in {"int", "double"}:
            return self._number("", token.start)
        self.at += 1
        if token.kind == "text":
            return Literal(token.start, token.end, text_of(token))
        if token.kind == "name":
            return self._named(token)
        if token.text == "(":
            node = self.expression()
            self.want(")", "what stands in brackets")
            return node
        if token.text == "[":
            items, end = self._arguments("]")
            return self.grown(ListOf(token.start, end, items), *items)
        if token.text == "{":
            return self._map(token)
        said = f"{token.text!r} is" if token.text else "the end is"
        raise ExpressionInvalid(token.start, f"{said} not expected here; a value is missing")

    def _named(self, token: Token) -> Node:
        if token.text in _CONSTANTS:
            return Literal(token.start, token.end, _CONSTANTS[token.text])
        if token.text in _RESERVED or token.text == "in":
            raise ExpressionInvalid(token.start, f"{token.text!r} is a word of the language, and no value")
        if self.take("(") is None:
            return Name(token.start, token.end, token.text)
        arguments, end = self._arguments(")")
        if token.text != "has":
            return self.grown(Call(token.start, end, token.text, arguments, method=False), *arguments)
        field = arguments[0] if len(arguments) == 1 else None
        if not isinstance(field, Select):
            raise ExpressionInvalid(token.start, "has asks for a field of something: has(object.status.phase)")
        return self.grown(Select(token.start, end, field.operand, field.field, test=True), field.operand)

    def _map(self, opened: Token) -> Node:
        entries: list[tuple[Node, Node]] = []
        while True:
            if token := self.take("}"):
                parts = [part for entry in entries for part in entry]
                return self.grown(MapOf(opened.start, token.end, tuple(entries)), *parts)
            if entries:
                self.want(",", "an entry")
                if self.next.text == "}":
                    continue
            key = self.expression()
            self.want(":", "a key")
            entries.append((key, self.expression()))

    def _number(self, sign: str, start: int) -> Node:
        token = self.next
        self.at += 1
        if token.kind == "double":
            return Literal(start, token.end, float(sign + token.text))
        digits = token.text
        value = int(sign + digits, 16 if digits.startswith("0x") else 10) if len(digits) < 30 else _MOST + 1
        if not _LEAST <= value <= _MOST:
            raise ExpressionInvalid(start, "a whole number has 64 bits at most")
        return Literal(start, token.end, value)
