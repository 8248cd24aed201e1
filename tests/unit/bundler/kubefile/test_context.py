"""A COPY without its source is refused before docker is asked, and the context is a tar that streams."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from bundler.errors import KubefileError, UsageError
from bundler.kubefile.context import RENDERED, check_copies, context_paths, context_tar
from bundler.kubefile.parse import parse


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name in ("Kubefile", "manifests/a.yaml", "manifests/b.yaml", "charts/web/values.yaml", "secret.key", "with space.txt"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return tmp_path


def check(directory: Path, text: str, arguments: dict[str, str] | None = None) -> None:
    kubefile = parse(f"FROM x\n{text}\n")
    check_copies(kubefile, directory, context_paths(directory, "Kubefile"), arguments or {})


@pytest.mark.parametrize(
    "text",
    [
        "COPY manifests /cluster/manifests",
        "COPY manifests/ ./charts/ /cluster/",
        "COPY . /cluster",
        "COPY /manifests/a.yaml /x",
        "COPY manifests/*.yaml /x/",
        "COPY char?s/*/values.yaml /x/",
        'COPY ["with space.txt", "/x/"]',
        "COPY --from=other nothing /x",
        "ARG D=manifests\nCOPY $D/a.yaml /x",
        "ENV D=charts\nCOPY ${D} /x",
        "ENV D charts\nCOPY ${D} /x",
        "COPY $UNKNOWN /x",
    ],
)
def test_sources_that_are_there(directory: Path, text: str) -> None:
    check(directory, text)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("COPY manifest /x", 2, "there is no such file"),
        ("RUN a\nCOPY manifests/c.yaml /x", 3, "there is no such file"),
        ("COPY manifests/*.json /x", 2, "there is no such file"),
        ("COPY *.yaml /x", 2, "there is no such file"),
        ("COPY ../other /x", 2, "leaves the context"),
        ("COPY manifests/../../other /x", 2, "leaves the context"),
        ("ARG D=none\nCOPY $D /x", 3, "COPY none"),
        ("COPY manifests", 2, "needs a source and a target"),
        ('COPY "manifests /x', 2, "cannot be read"),
    ],
)
def test_sources_that_are_not(directory: Path, text: str, line: int, words: str) -> None:
    with pytest.raises(KubefileError, match=words) as caught:
        check(directory, text)
    assert caught.value.line == line


def test_a_build_argument_decides(directory: Path) -> None:
    check(directory, "ARG D=none\nCOPY $D /x", {"D": "manifests"})


def test_what_dockerignore_leaves_out_is_said_to_be(directory: Path) -> None:
    (directory / ".dockerignore").write_text("# keys\n*.key\nmanifests\n!manifests/a.yaml\n")
    assert "secret.key" not in context_paths(directory, "Kubefile")
    check(directory, "COPY manifests/a.yaml /x")
    with pytest.raises(KubefileError, match=r"\.dockerignore leaves it out") as caught:
        check(directory, "COPY secret.key /x")
    assert "!secret.key" in caught.value.remedy


def test_a_context_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a directory"):
        context_paths(tmp_path / "nowhere", "Kubefile")


def test_the_tar_holds_what_stands_there(directory: Path) -> None:
    (directory / "link").symlink_to("manifests/a.yaml")
    (directory / "run.sh").write_text("#!/bin/sh\n")
    (directory / "run.sh").chmod(0o755)
    (directory / ("long" * 40)).write_bytes(b"x" * 3_000_000)
    data = b"".join(context_tar(directory, context_paths(directory, "Kubefile"), "FROM x\n"))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        entries = {entry.name: entry for entry in tar}
        assert tar.extractfile(RENDERED).read() == b"FROM x\n"  # type: ignore[union-attr]
        assert tar.extractfile("long" * 40).read() == b"x" * 3_000_000  # type: ignore[union-attr]
    assert entries["link"].linkname == "manifests/a.yaml"
    assert entries["run.sh"].mode == 0o755
    assert entries["manifests"].isdir()
    assert {entry.uid for entry in entries.values()} == {0}
    assert {entry.mtime for entry in entries.values()} == {0}


def test_the_tar_comes_in_pieces(directory: Path) -> None:
    (directory / "big").write_bytes(b"x" * 5_000_000)
    assert max(map(len, context_tar(directory, ("big",), "FROM x\n"))) <= 1 << 20


def test_a_pipe_in_the_context_is_named(directory: Path) -> None:
    os.mkfifo(directory / "pipe")
    with pytest.raises(UsageError, match="pipe is neither file, directory nor link"):
        list(context_tar(directory, ("pipe",), "FROM x\n"))
