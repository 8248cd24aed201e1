"""Patterns mean what they mean to OpenSSH, and none of them takes long."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installer_stub.trust.patterns import matches
from tests.unit.installer_stub.trust.openssh import Pair, keygen

PATTERNS = ["alice@example.com", "*@example.com", "a*e@*.com", "al?ce@example.com", "*", "**", "?", "bob,*", "*,!alice@*", "!alice@*,*", "!bob,alice@example.com"]
PATTERNS += ["!bob", "alice@example.com,", ",alice@example.com", "Alice@example.com", "*c?m", "*x*", "alice@example.com*", "*alice*example*com*", "a" * 1100 + ",*", "!!alice*,*"]


@pytest.mark.parametrize("name", ["alice@example.com", "bob", "b", "jürgen"])
@pytest.mark.parametrize("patterns", [*PATTERNS, "j?rgen", "j??rgen"])
def test_they_match_what_they_match_there(pair: Pair, tmp_path: Path, patterns: str, name: str) -> None:
    file = tmp_path / "allowed_signers"
    file.write_text(f"{patterns} {pair.line}\n")
    there = keygen("-Y", "match-principals", "-I", name, "-f", file, check=False)
    assert matches(name, patterns) == (there.returncode == 0)


@given(st.text("ab", max_size=8), st.text("ab*?", max_size=8))
def test_as_a_plain_definition_has_it(text: str, pattern: str) -> None:
    def defined(text: str, pattern: str) -> bool:
        if not pattern:
            return not text
        if pattern[0] == "*":
            return any(defined(text[at:], pattern[1:]) for at in range(len(text) + 1))
        return bool(text) and pattern[0] in {"?", text[0]} and defined(text[1:], pattern[1:])

    assert matches(text, pattern) == defined(text, pattern)


def test_a_pattern_of_stars_is_no_bomb() -> None:
    began = time.monotonic()
    assert not matches("a" * 500, "*a" * 500 + "b")
    assert time.monotonic() - began < 5
