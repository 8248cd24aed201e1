"""Random words of a site - names of clusters, checksums, keys in base64 - told apart without being kept.

Two installations never share them, but what is one word in one of them is one word in the other: a node that trusts another
authority than the rest is seen, a digest that only one file has wrong too.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

_TOKEN = re.compile(r"(?<![A-Za-z0-9+/_=-])(?:[0-9a-f]{16,}|[A-Za-z0-9+/_-]{32,}={0,2})(?![A-Za-z0-9+/_=-])")
_HEX = re.compile(r"(?=[a-f]*[0-9])[0-9a-f]+")
_PATH = re.compile(r"/?[a-z0-9._-]*[a-z._-]{3}[a-z0-9._-]*(/[a-z0-9._+-]+)*/?|[a-z]+([-_/][a-z0-9]+)+")
_WORD = re.compile(r"<word [0-9a-f]{12}>")


def masked(text: str) -> str:
    """Return ``text`` with ``<random>`` for each random word: for names, which are compared one by one."""
    return _TOKEN.sub(lambda found: "<random>" if _random(found[0]) else found[0], text)


def worded(text: str) -> str:
    """Return ``text`` with ``<word HASH>`` for each random word: for contents, which ``Words`` compares."""
    return _TOKEN.sub(lambda found: f"<word {_hash(found[0])}>" if _random(found[0]) else found[0], text)


def _random(token: str) -> bool:
    return _HEX.fullmatch(token) is not None or _PATH.fullmatch(token) is None


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Words:
    """Which word of one site stands where which one of the other does. One for one, in every text of all hosts."""

    there: dict[str, str] = field(default_factory=dict)
    back: dict[str, str] = field(default_factory=dict)

    def same(self, was: str, now: str) -> bool:
        """Tell whether two texts are the same but for their random words, and each of these is the one it was in other texts."""
        if _WORD.sub("<word>", was) != _WORD.sub("<word>", now):
            return False
        pairs = zip(_WORD.findall(was), _WORD.findall(now), strict=True)
        return all(self.there.setdefault(one, other) == other and self.back.setdefault(other, one) == one for one, other in pairs)
