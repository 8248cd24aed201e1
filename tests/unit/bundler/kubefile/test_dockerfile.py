"""What docker gets has the Kubefile's lines at the Kubefile's numbers, and the commands in a label."""

from __future__ import annotations

import json
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import BuildFailed
from bundler.kubefile.dockerfile import (
    LineFinder,
    base_name,
    commands_from_json,
    commands_to_json,
    render,
    stage_names,
)
from bundler.kubefile.parse import parse
from installer_stub.bundle.model import ClusterCommand

KUBEFILE = """\
ARG VERSION=v1.36.3
FROM kubernetes:${VERSION} AS base
COPY a /cluster/a
CMD echo "it's $HOME" \\
    again
RUN <<EOF
set -e
echo "hi"
EOF
LABEL x=y
CMD ["true"]
"""
BASES = {"kubernetes:v1.36.3": "airseal.internal/base/kubernetes:v1.36.3-abc"}


def test_lines_keep_their_numbers() -> None:
    lines = render(parse(KUBEFILE), {}, BASES, []).splitlines()
    assert lines[:11] == [
        "ARG VERSION=v1.36.3",
        "FROM airseal.internal/base/kubernetes:v1.36.3-abc AS base",
        "COPY a /cluster/a",
        '# CMD echo "it\'s $HOME" \\',
        "#     again",
        r'RUN ["/bin/sh", "-c", "set -e\necho \"hi\"\n"]',
        "#",
        "#",
        "#",
        "LABEL x=y",
        '# CMD ["true"]',
    ]
    assert len(lines) == 12
    assert lines[11].startswith("LABEL internal.airseal.commands='")


def test_commands_of_the_base_come_first_and_lose_their_line() -> None:
    inherited = [ClusterCommand(("kubectl", "apply"), 9)]
    label = render(parse(KUBEFILE), {}, {}, inherited).splitlines()[-1]
    commands = commands_from_json(re.search("'(.*)'", label)[1])  # type: ignore[index]
    assert [(command.argv[0], command.line) for command in commands] == [("kubectl", 0), ("/bin/sh", 4), ("true", 11)]
    assert commands[1].text() == "echo \"it's $HOME\"     again"


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1))
def test_no_text_breaks_out_of_the_label(text: str) -> None:
    """Between single quotes docker takes everything as it is, and nothing else may end them."""
    label = render(parse("FROM x\n"), {}, {}, [ClusterCommand((text,), 0)]).splitlines()[-1]
    quoted = label.removeprefix("LABEL internal.airseal.commands=")
    assert quoted[0] == quoted[-1] == "'"
    assert "'" not in quoted[1:-1]
    assert set(quoted) <= set(string.printable) - set("\n\r\t\v\f")
    assert json.loads(quoted[1:-1]) == [{"argv": [text], "line": 0}]


def test_further_labels_of_a_recipe() -> None:
    last = render(parse("FROM scratch\n"), {}, {}, [], {"internal.airseal.kubernetes": "v1.36.3"}).splitlines()[-1]
    assert last == "LABEL internal.airseal.commands='[]' internal.airseal.kubernetes='v1.36.3'"


def test_an_image_that_is_no_recipe_is_left_to_docker() -> None:
    first = render(parse("FROM --platform=linux/amd64 alpine:3\n"), {}, BASES, []).splitlines()[0]
    assert first == "FROM --platform=linux/amd64 alpine:3"


def test_the_base_of_a_from_with_arguments() -> None:
    kubefile = parse("ARG V=v1\nARG NAME=kubernetes:$V\nFROM --platform=linux/amd64 ${NAME} AS Base\n")
    first = kubefile.named("FROM")[0]
    assert base_name(kubefile, {}, first) == "kubernetes:v1"
    assert base_name(kubefile, {"V": "v2"}, first) == "kubernetes:v2"
    assert stage_names(kubefile) == {"base"}


def test_flags_of_a_recipe_s_from_survive() -> None:
    text = "FROM --platform=linux/amd64 kubernetes:v1.36.3\n"
    assert render(parse(text), {}, BASES, []).startswith(f"FROM --platform=linux/amd64 {BASES['kubernetes:v1.36.3']}\n")


def test_an_interpreter_s_here_document_goes_through_the_shell() -> None:
    rendered = render(parse("FROM x\nRUN python3 <<EOF\nprint(1)\nEOF\n"), {}, {}, [])
    assert rendered.splitlines()[1] == r'RUN ["/bin/sh", "-c", "python3 <<EOF\nprint(1)\nEOF\n"]'


def test_commands_survive_the_label() -> None:
    commands = (ClusterCommand(("a", 'b "c"'), 3), ClusterCommand(("ü",), 0))
    assert commands_from_json(commands_to_json(commands)) == commands


@pytest.mark.parametrize("text", ["", "[1]", '[{"argv": 1}]', '[{"line": 1}]'])
def test_a_label_that_we_did_not_write(text: str) -> None:
    with pytest.raises(BuildFailed, match="cannot be read"):
        commands_from_json(text)


def test_docker_s_steps_are_found_in_the_kubefile() -> None:
    finder = LineFinder(parse(KUBEFILE))
    assert finder.line_of("anything") == 0
    finder.follow("Step 3/6 : COPY a /cluster/a\n ---> 123")
    assert finder.line_of("COPY failed: no such file") == 3
    finder.follow('Step 4/6 : RUN ["/bin/sh"…')
    assert finder.line_of("returned a non-zero code: 1") == 6
    finder.follow("Step 6/6 : LABEL internal.airseal.commands=…")
    assert finder.line_of("no space left on device") == 0


def test_docker_s_own_parse_errors_name_a_line() -> None:
    finder = LineFinder(parse(KUBEFILE))
    assert finder.line_of("dockerfile parse error line 10: LABEL must have two arguments") == 10
