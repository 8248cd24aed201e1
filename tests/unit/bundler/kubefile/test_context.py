"""What is left out of the context, a COPY that certainly has no source, and a tar that streams."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from bundler.errors import KubefileError, UsageError
from bundler.kubefile.context import RENDERED, check_sources, context_paths, context_tar, ignore_lines
from bundler.kubefile.parse import parse
from bundler.kubefile.stages import stages_of
from registry_snapshot.oci.descriptor import Platform


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name in ("Kubefile", "manifests/a.yaml", "manifests/b.yaml", "charts/web/values.yaml", "secret.key", "with space.txt", "old.run"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return tmp_path


def check(directory: Path, text: str) -> None:
    check_sources(stages_of(parse(f"FROM x\n{text}\n"), {}, Platform("linux", "amd64")), directory)


@pytest.mark.parametrize(
    "text",
    [
        "COPY manifests /cluster/manifests",
        "COPY manifests/ ./charts/ /cluster/",
        "COPY . /cluster",
        "COPY /manifests/a.yaml ../manifests/a.yaml /x/",
        "COPY absent*.yaml /x/",
        'COPY ["with space.txt", "/x/"]',
        'COPY "with space.txt" /x/',
        "COPY --from=other nothing /x",
        "COPY $UNKNOWN /x",
        "COPY <<EOF /x\nabsent\nEOF",
        "ADD https://example.com/a.tgz git@example.com:a/b.git /x/",
    ],
)
def test_what_may_be_there_is_left_to_docker(directory: Path, text: str) -> None:
    check(directory, text)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("COPY manifest /x", 2, "there is no such file"),
        ("RUN a\nADD manifests/c.yaml /x", 3, "ADD manifests/c.yaml: there is no such file"),
        ("COPY ../other /x", 2, "leaves the context"),
        ("COPY manifests/../../other /x", 2, "leaves the context"),
    ],
)
def test_what_certainly_is_not(directory: Path, text: str, line: int, words: str) -> None:
    with pytest.raises(KubefileError, match=words) as caught:
        check(directory, text)
    assert caught.value.line == line


def paths(directory: Path, output: Path | None = None, kubefile: str = "Kubefile") -> tuple[str, ...]:
    return context_paths(directory, ignore_lines(directory, directory / kubefile, output), kubefile)


def test_artifacts_the_output_and_its_log_are_never_in_the_context(directory: Path) -> None:
    for name in ("shop", ".shop.part", "shop.log", "shop.sha256", "shop.sig", "old.run.sha256", "old.run.sig", "build/other.run", "build/.other.run.part", "x[1].bin", "x1.bin"):
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).touch()
    (directory / ".dockerignore").write_text("!shop\n!build/other.run\n")
    there = paths(directory, directory / "shop")
    assert {"shop", ".shop.part", "shop.log", "shop.sha256", "shop.sig", "old.run.sha256", "old.run.sig", "old.run", "build/.other.run.part"} & set(there) == set()
    assert "build/other.run" in there  # a user may want one; the output itself, never
    there = paths(directory, directory / "x[1].bin")
    assert ("x[1].bin" in there, "x1.bin" in there) == (False, True)
    assert "shop.log" in paths(directory, Path("/elsewhere/shop"))


def test_the_kubefile_s_own_ignore_file_stands_for_the_context_s(directory: Path) -> None:
    (directory / ".dockerignore").write_text("# keys\n*.key\nmanifests\n!manifests/a.yaml\n")
    assert {"secret.key", "manifests/b.yaml"} & set(paths(directory)) == set()
    assert "manifests/a.yaml" in paths(directory)
    (directory / "Kubefile.dockerignore").write_text("charts\n")
    there = paths(directory)
    assert ("secret.key" in there, "charts/web/values.yaml" in there) == (True, False)
    (directory / "Kubefile.dockerignore").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="cannot be read"):
        paths(directory)


def test_the_tar_holds_what_stands_there(directory: Path) -> None:
    (directory / "link").symlink_to("manifests/a.yaml")
    (directory / "run.sh").write_text("#!/bin/sh\n")
    (directory / "run.sh").chmod(0o755)
    (directory / ("long" * 40)).write_bytes(b"x" * 3_000_000)
    data = b"".join(context_tar(directory, paths(directory), "FROM x\n"))
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
