"""Text of others on its way to a terminal: labels, commands, file names, what hosts and programs print.

A terminal obeys what it is sent: escape sequences retitle it, hide lines, or type into its input. Everything that a person
reads goes through here, and shows what it is made of.
"""

from __future__ import annotations

import json
import re
import sys
from typing import IO, Any, Final

_ESCAPED: Final = re.compile(r"[^\n\t -~]")  # candidates: what is neither ASCII's letters nor a line's end
_ESCAPED_INLINE: Final = re.compile(r"[^ -~]")


def printable(text: str, *, lines: bool = True) -> str:
    r"""Return ``text`` with every character that shows nothing of itself as an escape: ``\x1b``, ``\u202e``.

    Letters of any language stay. With ``lines`` line ends and tabs stay too; without, as for a name or a label, they do not.
    """
    if text.isprintable():
        return text
    if lines:
        text = text.replace("\r\n", "\n")
    return (_ESCAPED if lines else _ESCAPED_INLINE).sub(_escape, text)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return JSON that a terminal may be sent: the same value, its characters escaped as JSON does."""
    text = json.dumps(value, ensure_ascii=False, default=str, indent=indent)
    return text if text.isprintable() else _ESCAPED.sub(_escape_json, text)


def say(text: str, *, stream: IO[str] | None = None, end: str = "\n") -> None:
    """Print ``text`` for a person, to stdout if no other stream is given."""
    print(printable(text), file=stream or sys.stdout, end=end, flush=True)


def _escape(found: re.Match[str]) -> str:
    letter = found[0]
    if letter.isprintable():
        return letter
    code = ord(letter)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _escape_json(found: re.Match[str]) -> str:
    letter = found[0]
    if letter.isprintable():
        return letter
    return json.dumps(letter)[1:-1]  # as surrogate pairs, where it takes two
