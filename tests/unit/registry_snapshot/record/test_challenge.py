"""Challenges as registries really write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_snapshot.record.challenge import Challenge, parse_challenges


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            ['Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/busybox:pull"'],
            [
                Challenge(
                    "bearer",
                    (
                        ("realm", "https://auth.docker.io/token"),
                        ("service", "registry.docker.io"),
                        ("scope", "repository:library/busybox:pull"),
                    ),
                )
            ],
        ),
        (['Bearer realm="https://a/t?x=1,2", scope="a:b:pull,push"'], [Challenge("bearer", (("realm", "https://a/t?x=1,2"), ("scope", "a:b:pull,push")))]),
        (["bEaReR Realm=https://a/t"], [Challenge("bearer", (("realm", "https://a/t"),))]),
        (["Basic"], [Challenge("basic")]),
        (['Basic realm="say \\"hi\\""'], [Challenge("basic", (("realm", 'say "hi"'),))]),
        (['Basic realm="x", Bearer realm="https://y"'], [Challenge("basic", (("realm", "x"),)), Challenge("bearer", (("realm", "https://y"),))]),
        (['Negotiate, Basic realm="x"'], [Challenge("negotiate"), Challenge("basic", (("realm", "x"),))]),
        (["Basic", 'Bearer realm="y"'], [Challenge("basic"), Challenge("bearer", (("realm", "y"),))]),
        (["", "   ", "=", ",,,", '"'], []),
    ],
)
def test_challenges(lines: list[str], expected: list[Challenge]) -> None:
    assert list(parse_challenges(lines)) == expected


def test_a_missing_parameter_is_empty() -> None:
    assert Challenge("basic").get("realm") == ""


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["Negotiate abc=="], [Challenge("negotiate", (("abc", ""),))]),
        (['Bearer realm="a" , service = "b",,scope=c'], [Challenge("bearer", (("realm", "a"), ("service", "b"), ("scope", "c")))]),
        (['realm="stray", Basic'], [Challenge("basic")]),
        (['Bearer realm="never ends, scope="x"'], [Challenge("bearer", (("realm", "never ends, scope="),)), Challenge("x")]),
        (['Bearer realm="never ends\\'], [Challenge("bearer", (("realm", "never ends"),))]),
        (['Bearer realm="a",realm="b"'], [Challenge("bearer", (("realm", "a"), ("realm", "b")))]),
        (["Bearer realm="], [Challenge("bearer", (("realm", ""),))]),
    ],
)
def test_challenges_that_are_not_well_written(lines: list[str], expected: list[Challenge]) -> None:
    assert list(parse_challenges(lines)) == expected


def test_of_a_parameter_that_stands_twice_the_first_counts() -> None:
    assert parse_challenges(['Bearer realm="a",realm="b"'])[0].get("realm") == "a"


words = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,12}", fullmatch=True)
values = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=30)
offers = st.lists(st.tuples(words, st.lists(st.tuples(words, values), max_size=4)), max_size=4)


@given(offers, st.sampled_from([", ", ",", " ,  "]))
def test_what_is_written_by_the_rules_is_read_back(offered: list[tuple[str, list[tuple[str, str]]]], separator: str) -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    line = separator.join(
        scheme + (" " if pairs else "") + separator.join(f"{name}={quoted(value)}" for name, value in pairs)
        for scheme, pairs in offered
    )
    expected = tuple(
        Challenge(scheme.lower(), tuple((name.lower(), value) for name, value in pairs)) for scheme, pairs in offered
    )
    assert parse_challenges([line]) == expected


@given(st.lists(st.text() | st.text(alphabet=' ,="\\aB\t'), max_size=4))
def test_any_header_is_read(lines: list[str]) -> None:
    for challenge in parse_challenges(lines):
        assert challenge.scheme == challenge.scheme.lower()


@pytest.mark.parametrize("filler", [" ", ",", '"', "\\", "=", "a ", "a=", 'a="', '"\\', "Basic,"])
def test_no_header_takes_long(filler: str) -> None:
    """Quadratic work on 64 KiB, which is what http.client lets through, would take minutes: this ends at once or never."""
    parse_challenges([(filler * 65536)[:65536]])
