"""Whose CMDs an image has, and which images have to be known before it is built."""

from __future__ import annotations

import pytest

from bundler.errors import KubefileError
from bundler.kubefile.parse import parse
from bundler.kubefile.stages import stages_of
from installer_stub.bundle.model import ClusterCommand
from registry_snapshot.oci.descriptor import Platform

AMD = Platform("linux", "amd64")
BASE = (ClusterCommand(("flannel",), 9, 30),)


def commands(text: str, *, target: str = "") -> list[tuple[str, int]]:
    return [(each.argv[-1], each.line) for each in stages_of(parse(text), {}, AMD, target).commands(BASE)]


@pytest.mark.parametrize(
    ("text", "target", "expected"),
    [
        ("FROM k\nCMD a\nCMD b\n", "", [("flannel", 0), ("a", 2), ("b", 3)]),
        ("FROM k AS one\nCMD a\nFROM one\nCMD b\n", "", [("flannel", 0), ("a", 2), ("b", 4)]),
        ("FROM k AS One\nCMD a\nFROM ONE AS two\nFROM two\n", "", [("flannel", 0), ("a", 2)]),
        ("FROM golang AS tool\nUSER me\nENTRYPOINT x\nCMD not-ours\nFROM k\nCMD b\n", "", [("flannel", 0), ("b", 6)]),
        ("FROM k AS one\nCMD a\nFROM k AS two\nCMD b\n", "one", [("flannel", 0), ("a", 2)]),
        ("FROM k AS one\nCMD a\nFROM k AS two\nCMD b\n", "0", [("flannel", 0), ("a", 2)]),
        ("FROM k\nCMD []\nCMD b\n", "", [("b", 3)]),
        ("FROM k AS one\nCMD a\nFROM one\nCMD b\nCMD []\n", "", []),
    ],
)
def test_commands_add_up_along_the_stages(text: str, target: str, expected: list[tuple[str, int]]) -> None:
    assert commands(text, target=target) == expected


def test_an_inherited_command_keeps_its_time_and_loses_its_line() -> None:
    assert stages_of(parse("FROM k\n"), {}, AMD).commands(BASE) == (ClusterCommand(("flannel",), 0, 30),)


def images(text: str, **arguments: str) -> list[tuple[int, str, str]]:
    return [(each.line, each.image, each.platform) for each in stages_of(parse(text), arguments, AMD).images()]


@pytest.mark.parametrize(
    ("text", "arguments", "expected"),
    [
        ("ARG V=v1\nARG N=k:$V\nFROM ${N}\n", {}, [(3, "k:v1", "")]),
        ("ARG V=v1\nFROM k:${V}\n", {"V": "v2"}, [(2, "k:v2", "")]),
        ("ARG V\nFROM k:${V:-v3}\n", {}, [(2, "k:v3", "")]),
        ("FROM --platform=$BUILDPLATFORM go:$TARGETARCH\n", {}, [(1, "go:amd64", "linux/amd64")]),
        ("FROM scratch\nCOPY --from=k:v1 /a /b\n", {}, [(2, "k:v1", "")]),
        ("FROM a AS one\nFROM unused\nFROM scratch\nCOPY --from=one /a /b\n", {}, [(1, "a", "")]),
        ("FROM a\nFROM scratch\nCOPY --from=0 /a /b\n", {}, [(1, "a", "")]),
        ("FROM scratch\nRUN --mount=type=bind,from=t:1,target=/t --mount=type=cache,target=/c x\n", {}, [(2, "t:1", "")]),
        ("FROM a\nRUN echo --from=b\nCOPY --from=$X /a /b\n", {}, [(1, "a", "")]),
        ("FROM a\nFROM a\nCOPY --from=a /x /y\n", {}, [(2, "a", "")]),
    ],
)
def test_images_that_the_target_needs(text: str, arguments: dict[str, str], expected: list[tuple[int, str, str]]) -> None:
    assert images(text, **arguments) == expected


@pytest.mark.parametrize(
    ("text", "target", "line", "words"),
    [
        ("FROM $X\n", "", 1, "not known"),
        ("FROM a\nARG V=1\nFROM k:$V\n", "", 3, "not known"),
        ("FROM a b\n", "", 1, "not understood"),
        ("FROM a\n", "other", 0, "no stage 'other'"),
        ("FROM a\nENTRYPOINT x\n", "", 2, "use CMD"),
        ("FROM a AS b\nENTRYPOINT x\nFROM b\n", "", 2, "use CMD"),
    ],
)
def test_what_cannot_be_known_has_its_line(text: str, target: str, line: int, words: str) -> None:
    with pytest.raises(KubefileError) as caught:
        stages_of(parse(text), {}, AMD, target)
    assert caught.value.line == line
    assert words in str(caught.value)
