"""kubectl's jsonpath: what kubectl reads passes, what it would refuse, or take for a text, is told before."""

from __future__ import annotations

import pytest

from installer_stub.quiet.paths import path_problem


@pytest.mark.parametrize(
    "text",
    [
        "{.status.phase}",
        "{.status.conditions[?(@.type=='Ready')].status}",
        '{.status.conditions[?(@.type=="Ready")].status}{"/"}{.metadata.name}',
        "{range .items[*]}{.metadata.name}{'\\n'}{end}",
        "{.metadata.annotations.app\\.io/name} of {.kind}",
        "{..image}",
        "{$.status['phase','reason']}",
        "{@}",
        "{.items[0:2].a} {.items[-1]}",
        "{.a[?(@.b==']')].c}",
        "{ .status.phase }",
        "{}",
    ],
)
def test_what_kubectl_reads(text: str) -> None:
    assert path_problem(text) is None


@pytest.mark.parametrize(
    ("text", "at", "problem"),
    [
        (".status.phase", 0, "write {.status.phase}"),
        ("status.phase", 0, "write {.status.phase}"),
        ("Running", 0, "has no {…}"),
        ("{.status.phase", 0, "{ is not closed"),
        ("{.a} {.b\n}", 5, "{ is not closed"),
        ("{status.phase}", 1, "a field begins with a dot: {.status}"),
        ("{.status.conditions[?(@.type=='Ready')}", 19, "[ is not closed"),
        ("{.a[0}", 3, "[ is not closed"),
        ("{.a['b]}", 3, "[ is not closed"),
        ("{'a}", 1, "a text in ' that does not end"),
        ("{range .items[*]}{.a}", 1, "{range …} has no {end}"),
        ("{.a}{end}", 5, "{end} ends nothing"),
        ("{.a}{{.b}}", 5, "'{' means nothing here"),
        ("{.a == 1}", 4, "'=' means nothing here"),
    ],
)
def test_what_kubectl_does_not(text: str, at: int, problem: str) -> None:
    found = path_problem(text)
    assert found is not None
    assert found[0] == at
    assert problem in found[1]
