"""OpenSSH's pattern lists (ssh_config(5), PATTERNS): ``*`` and ``?``, commas between, ``!`` before what is not meant.

Matched byte by byte, as OpenSSH does, and in a time that is bounded by both lengths' product whatever the pattern is.
"""

from __future__ import annotations

from typing import Final

_ANY: Final = ord("*")
_ONE: Final = ord("?")
_MOST: Final = 1022  # bytes: a longer pattern matches nothing, there as here


def matches(text: str, patterns: str) -> bool:
    """Tell whether ``text`` is meant by a list of patterns: one of them matches, and none of those with ``!``."""
    found = False
    for pattern in patterns.encode(errors="surrogatepass").split(b","):
        plain = pattern.removeprefix(b"!")
        if len(plain) > _MOST:
            return False
        if _matches(text.encode(errors="surrogatepass"), plain):
            if plain != pattern:
                return False
            found = True
    return found


def _matches(text: bytes, pattern: bytes) -> bool:
    """Greedy, with one place to go back to: after the last ``*``, one byte further each time."""
    at = here = 0
    star, resumed = -1, 0
    while at < len(text):
        if here < len(pattern) and pattern[here] == _ANY:
            star, resumed, here = here, at, here + 1
        elif here < len(pattern) and pattern[here] in {_ONE, text[at]}:
            at, here = at + 1, here + 1
        elif star >= 0:
            resumed += 1
            at, here = resumed, star + 1
        else:
            return False
    return not pattern[here:].strip(b"*")
