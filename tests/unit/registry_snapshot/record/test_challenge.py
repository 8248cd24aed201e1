"""Challenges as registries really write them."""

from __future__ import annotations

import pytest

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
