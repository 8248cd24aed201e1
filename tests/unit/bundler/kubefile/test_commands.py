"""CMD in all its forms, and the label in which commands travel."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import BuildFailed, KubefileError
from bundler.kubefile.commands import EVERYTHING_BEFORE, command_of, commands_from_json, commands_to_json
from bundler.kubefile.parse import parse
from installer_stub.bundle.model import COMMAND_SECONDS, ClusterCommand


def command(text: str) -> ClusterCommand:
    (instruction,) = parse(f"FROM x\n{text}\n").named("CMD")
    return command_of("Kubefile", instruction)


@pytest.mark.parametrize(
    ("text", "argv", "timeout"),
    [
        ("CMD kubectl get nodes", ("/bin/sh", "-ec", "kubectl get nodes"), COMMAND_SECONDS),
        ('CMD ["helm", "list"]', ("helm", "list"), COMMAND_SECONDS),
        ("CMD --timeout=90s sh a.sh --timeout=1h", ("/bin/sh", "-ec", "sh a.sh --timeout=1h"), 90),
        ('CMD --timeout=1h30m ["helm", "list"]', ("helm", "list"), 5400),
        ("CMD [ -f x ]", ("/bin/sh", "-ec", "[ -f x ]"), COMMAND_SECONDS),
        ("CMD [ -f x ] && y", ("/bin/sh", "-ec", "[ -f x ] && y"), COMMAND_SECONDS),
        ("CMD <<EOF\na\nb\nEOF", ("/bin/sh", "-ec", "a\nb\n"), COMMAND_SECONDS),
        ("CMD kubectl apply -f - <<'EOF'\na: $b\nEOF", ("/bin/sh", "-ec", "kubectl apply -f - <<'EOF'\na: $b\nEOF\n"), COMMAND_SECONDS),
        ("CMD cat <<A - <<-B\n1\nA\n\t2\n\tB", ("/bin/sh", "-ec", "cat <<A - <<-B\n1\nA\n\t2\nB\n"), COMMAND_SECONDS),
        ("CMD cat <<< hello; echo $((1 << n))", ("/bin/sh", "-ec", "cat <<< hello; echo $((1 << n))"), COMMAND_SECONDS),
    ],
)
def test_forms(text: str, argv: tuple[str, ...], timeout: int) -> None:
    assert command(text) == ClusterCommand(argv, 2, timeout)


def test_an_empty_list_takes_away_what_stands_before() -> None:
    assert command("CMD []") is EVERYTHING_BEFORE


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('CMD [""]', "empty word"),
        ("CMD ['kubectl', 'get']", "not JSON"),
        ('CMD ["kubectl", "get",]', "not JSON"),
        ("CMD --timeout=5 x", "no length of time"),
        ("CMD --timeout=0s x", "no length of time"),
        ("CMD --timeout=25h x", "no length of time"),
        ("CMD --timeout x", "no length of time"),
        ("CMD --time=5m x", "no option --time"),
        ("CMD --timeout=5m", "no command"),
        ("CMD <<EOF\n#!/usr/bin/python3\nEOF", "interpreter of its own"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, words: str) -> None:
    with pytest.raises(KubefileError, match=words) as caught:
        command(text)
    assert caught.value.line == 2
    assert caught.value.remedy


@given(st.lists(st.tuples(st.text(min_size=1), st.integers(0, 10**6), st.integers(1, 86400))))
def test_commands_survive_the_label(values: list[tuple[str, int, int]]) -> None:
    commands = tuple(ClusterCommand((text,), line, timeout) for text, line, timeout in values)
    assert commands_from_json(commands_to_json(commands), "x") == commands


@pytest.mark.parametrize("text", ["", "[1]", "7", '[{"argv": 1}]', '[{"line": 1}]'])
def test_a_label_that_we_did_not_write(text: str) -> None:
    with pytest.raises(BuildFailed, match="cannot be read"):
        commands_from_json(text, "x")
