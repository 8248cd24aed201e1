"""What docker gets has the Kubefile's lines at the Kubefile's numbers, without our CMDs and with the images that were resolved."""

from __future__ import annotations

import pytest

from bundler.errors import KubefileError
from bundler.kubefile.dockerfile import render
from bundler.kubefile.parse import parse
from bundler.kubefile.position import Positions
from bundler.kubefile.stages import Stages, stages_of
from registry_snapshot.oci.descriptor import Platform

KUBEFILE = """\
ARG VERSION=v1.36.3
FROM --platform=linux/amd64 kubernetes:${VERSION} AS base
COPY a /cluster/a
CMD echo "it's $HOME" \\
    again
RUN <<EOF
set -e
echo "hi"
EOF
FROM golang AS tool
RUN make
FROM base
COPY --from=tool --chmod=0755 /a /b
COPY --from=alpine:3 /c \\
  /d
RUN --mount=type=bind,from=alpine:3,target=/x --mount=from=0,target=/y true
CMD <<EOF
true
EOF
"""
BASES = {("kubernetes:v1.36.3", "linux/amd64"): "base:1", ("golang", ""): "from:2", ("alpine:3", ""): "from:3", ("tool", ""): "never"}


def staged(text: str) -> Stages:
    return stages_of(parse(text), {}, Platform("linux", "amd64"))


def test_lines_keep_their_numbers() -> None:
    lines = render(staged(KUBEFILE), BASES, heredocs=False).splitlines()
    assert lines == [
        "ARG VERSION=v1.36.3",
        "FROM --platform=linux/amd64 base:1 AS base",
        "COPY a /cluster/a",
        '# CMD echo "it\'s $HOME" \\',
        "#     again",
        r'RUN ["/bin/sh", "-c", "set -e\necho \"hi\"\n"]',
        "#",
        "#",
        "#",
        "FROM from:2 AS tool",
        "RUN make",
        "FROM base",
        "COPY --from=tool --chmod=0755 /a /b",
        "COPY --from=from:3 /c \\",
        "  /d",
        "RUN --mount=type=bind,from=from:3,target=/x --mount=from=0,target=/y true",
        "# CMD <<EOF",
        "# true",
        "# EOF",
    ]


def test_here_documents_pass_where_the_builder_knows_them() -> None:
    text = 'FROM x\nRUN <<EOF\n#!/usr/bin/python3\nEOF\nCOPY <<A <<"B C" /x/\na\nA\nb\nB C\n'
    assert render(staged(text), {}, heredocs=True) == text
    for line, only in ((2, text), (2, "FROM x\nCOPY <<A /x\na\nA\n"), (2, "FROM x\nRUN cat <<A <<B\nA\nB\n")):
        with pytest.raises(KubefileError, match="knows no here-documents") as caught:
            render(staged(only), {}, heredocs=False)
        assert caught.value.line == line


def test_an_interpreter_s_here_document_goes_through_the_shell() -> None:
    rendered = render(staged("FROM x\nRUN --mount=type=cache,target=/c python3 <<-EOF\n\tprint(1)\n\tEOF\n"), {}, heredocs=False)
    assert rendered.splitlines()[1] == r'RUN --mount=type=cache,target=/c ["/bin/sh", "-c", "python3 <<-EOF\n\tprint(1)\nEOF\n"]'


def test_the_classic_builder_s_steps_are_found_in_the_kubefile() -> None:
    positions = Positions(staged(KUBEFILE), "Kubefile")
    assert positions.line_of("anything") == 0
    positions.follow("Step 3/9 : COPY a /cluster/a")
    assert positions.line_of("COPY failed: no such file") == 3
    positions.follow('Step 4/9 : RUN ["/bin/sh"…')
    assert positions.line_of("returned a non-zero code: 1") == 6
    positions.follow("Step 30/30 : LABEL ours")
    assert positions.line_of("no space left on device") == 0


@pytest.mark.parametrize(
    ("said", "line"),
    [
        # As docker 20.10 said it, and buildx 0.28 with BuildKit 0.24.
        (" > [tool 2/2] RUN make:\n------\nexecutor failed running [/bin/sh -c make]: exit code: 3", 11),
        (' > [stage-2 2/3] COPY --from=alpine:3 /c   /d:\nfailed to compute cache key: "/c" not found: not found', 14),
        ('Kubefile:16\n--------------------\n  15 |     \nERROR: failed to build: failed to solve: process "/bin/sh -c true" did not complete', 16),
        (" > [linux/amd64 base 2/3] COPY a /cluster/a:", 3),
        ("dockerfile parse error line 10: LABEL must have two arguments", 10),
        ("ERROR: failed to solve: dockerfile parse error on line 10: unknown flag: chmod", 10),
        (" > [tool 2/7] RUN of another count:", 0),
        ("other.sh:16\nsomething else", 0),
        ("Kubefile:160", 0),
    ],
)
def test_buildkit_s_words_are_found_in_the_kubefile(said: str, line: int) -> None:
    assert Positions(staged(KUBEFILE), "Kubefile").line_of(said) == line


def test_from_scratch_is_no_step_of_buildkit() -> None:
    assert Positions(staged("FROM scratch\nCOPY a /\nCOPY b /\n"), "Kubefile").line_of(" > [2/2] COPY b /:") == 3
