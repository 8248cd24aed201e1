"""A Kubefile is read as docker reads a Dockerfile, and every complaint names its line."""

from __future__ import annotations

import pytest

from bundler.errors import KubefileError
from bundler.kubefile.parse import expand, parse

GOOD = """\
# escape=\\
# a comment

ARG VERSION=v1.36.3
FROM kubernetes:${VERSION}
COPY --chown=0:0 manifests/ /cluster/manifests/
RUN apk add \\
    # a comment inside

    curl \\
 && echo "a # b"
env A=1 B="two words"
LABEL team=shop
CMD kubectl apply -f manifests/
CMD ["helm", "upgrade", "--install", "web", "charts/web"]
CMD for i in 1 2; do \\
      echo $i; \\
    done
"""


def test_names_lines_and_texts() -> None:
    seen = [(item.name, item.line, item.end) for item in parse(GOOD).instructions]
    assert seen == [
        ("ARG", 4, 4),
        ("FROM", 5, 5),
        ("COPY", 6, 6),
        ("RUN", 7, 11),
        ("ENV", 12, 12),
        ("LABEL", 13, 13),
        ("CMD", 14, 14),
        ("CMD", 15, 15),
        ("CMD", 16, 18),
    ]
    assert parse(GOOD).instructions[3].text == 'apk add     curl  && echo "a # b"'


def test_flags_are_apart_from_what_is_copied() -> None:
    copy = parse(GOOD).named("COPY")[0]
    assert (copy.flags(), copy.without_flags()) == ({"chown": "0:0"}, "manifests/ /cluster/manifests/")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 0, "empty"),
        ("# only a comment\n", 0, "empty"),
        ("ARG A=1\n", 1, "no FROM"),
        ("\nCOPY a /b\nFROM x\n", 2, "no FROM before it"),
        ("FROM x\n\nFETCH http://x\n", 3, "'FETCH' is not an instruction"),
        ("FROM x\nRUN\n", 2, "nothing after it"),
        ("FROM x\nRUN <<EOF\nhello\n", 2, "never ends"),
        ("# escape=x\nFROM x\n", 1, "escape directive"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(KubefileError) as caught:
        parse(text, "Kubefile")
    assert caught.value.line == line
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"Kubefile:{line}: " if line else "Kubefile: ")
    assert caught.value.remedy


def test_an_unknown_instruction_lists_the_known() -> None:
    with pytest.raises(KubefileError, match="FROM, COPY, ADD, RUN, ENV, ARG, LABEL, WORKDIR, CMD"):
        parse("FROM x\nFETCH y\n")


def test_the_other_escape_character() -> None:
    kubefile = parse("# escape=`\nFROM x\nRUN a `\n  b\nRUN c\\\n")
    assert [item.text for item in kubefile.named("RUN")] == ["a   b", "c\\"]


def test_a_directive_counts_only_at_the_top() -> None:
    assert parse("FROM x\n# escape=`\nRUN a \\\n b\n").escape == "\\"


@pytest.mark.parametrize(
    ("text", "documents", "end"),
    [
        ("RUN <<-'END'\n\techo a\n\tEND", [("END", "\techo a\n")], 4),
        ("COPY <<A <<B /x/\n1\nA\n2\nB", [("A", "1\n"), ("B", "2\n")], 6),
        ('ADD <<"A B" /x\nFROM nothing\nA B', [("A B", "FROM nothing\n")], 4),
        ("CMD kubectl apply -f - <<EOF\nRUN\nEOF", [("EOF", "RUN\n")], 4),
        ("RUN a \\\n <<EOF\nx\nEOF", [("EOF", "x\n")], 5),
        ("RUN cat <<< hello", [], 2),
        ("RUN echo $((1 << n)) '<<EOF' x<<EOF", [], 2),
        ("ENV X=<<EOF", [], 2),
    ],
)
def test_here_documents(text: str, documents: list[tuple[str, str]], end: int) -> None:
    kubefile = parse(f"FROM x\n{text}\nLABEL a=b\n")
    assert [(each.word, each.body) for each in kubefile.instructions[1].heredocs] == documents
    assert (kubefile.instructions[1].end, kubefile.instructions[2].line) == (end, end + 1)


def test_only_a_newline_ends_a_line() -> None:
    assert parse("FROM x\r\nRUN a\x0cb\u2028c\r\nCMD d\r\n").named("CMD")[0].line == 3


def test_a_continuation_at_the_end_of_the_file() -> None:
    assert parse("FROM x\nRUN a \\").instructions[1].text == "a"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A/${A}", "1/1"),
        ("${B:-two}", "two"),
        ("${A:+yes}${B:+no}", "yes"),
        ("$B", "$B"),
        (r"\$A", "$A"),
        ("plain", "plain"),
    ],
)
def test_variables(text: str, expected: str) -> None:
    assert expand(text, {"A": "1"}) == expected
