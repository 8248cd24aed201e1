"""A Kubefile is checked before docker is asked, and docker's failures get the Kubefile's lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bundler.engine import ImageInfo
from bundler.errors import BuildFailed, KubefileError
from bundler.image import build_image, commands_of, read_source
from bundler.kubefile.dockerfile import COMMANDS_LABEL
from tests.unit.bundler.reporter import Remembering

BASE = "airseal.internal/base/kubernetes:v1-abc"


class FakeEngine:
    """The part of Engine that builds: says ``output``, then fails with ``error`` or gives an image."""

    def __init__(self, output: tuple[str, ...] = (), error: str = "", labels: Mapping[str, str] | None = None) -> None:
        self._output, self._error = output, error
        self._images = {BASE: ImageInfo("sha256:0", labels or {}, {}, "linux/amd64", 1)}
        self.asked: dict[str, Any] = {}
        self.context = b""

    def image(self, name: str) -> ImageInfo | None:
        return self._images.get(name)

    def build(self, context: Iterator[bytes], *, output: Callable[[str], None], **asked: Any) -> ImageInfo:
        self.context, self.asked = b"".join(context), asked
        for line in self._output:
            output(line)
        if self._error:
            raise BuildFailed(self._error)
        return ImageInfo("sha256:1", {}, {}, "linux/amd64", 1)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "a.yaml").write_text("kind: Pod\n")
    (tmp_path / "Kubefile").write_text("ARG V=v1\nFROM kubernetes:$V\nCOPY a.yaml /cluster/\nRUN false\nCMD kubectl get nodes\n")
    return tmp_path


def build(engine: FakeEngine, directory: Path, **arguments: Any) -> Remembering:
    reporter = Remembering()
    source = read_source(directory, build_args=arguments)
    build_image(
        engine,  # type: ignore[arg-type]
        source,
        tag="airseal.internal/image/shop:1",
        bases={("kubernetes:v1", ""): BASE},
        platform="linux/amd64",
        reporter=reporter,
    )
    return reporter


def test_docker_gets_the_base_s_real_name_and_all_commands(directory: Path) -> None:
    engine = FakeEngine(labels={COMMANDS_LABEL: '[{"argv": ["kubectl", "apply"], "line": 9}]'})
    build(engine, directory)
    assert f"FROM {BASE}\n".encode() in engine.context
    commands = '[{"argv": ["kubectl", "apply"], "line": 0}, {"argv": ["/bin/sh", "-ec", "kubectl get nodes"], "line": 5}]'
    assert engine.asked["labels"] == {COMMANDS_LABEL: commands}
    assert engine.asked["tag"] == "airseal.internal/image/shop:1"


def test_too_many_commands_for_a_label_are_refused(directory: Path) -> None:
    (directory / "Kubefile").write_text(f"FROM kubernetes:v1\nCMD <<EOF\n{'x' * 100_000}\nEOF\n")
    with pytest.raises(KubefileError, match="its CMDs are 1000"):
        build(FakeEngine(), directory)


def test_a_failing_run_has_its_line(directory: Path) -> None:
    output = ("Step 1/5 : ARG V=v1", "Step 2/5 : FROM x", "Step 3/5 : COPY a.yaml /cluster/", "Step 4/5 : RUN false")
    engine = FakeEngine(output, "The command '/bin/sh -c false' returned a non-zero code: 1")
    with pytest.raises(KubefileError) as caught:
        build(engine, directory)
    assert str(caught.value).startswith(f"{directory}/Kubefile:4: docker build failed: The command '/bin/sh -c false'")
    assert caught.value.remedy


def test_output_is_shown_but_for_our_own_label(directory: Path) -> None:
    engine = FakeEngine(("Step 4/5 : RUN echo hello", "hello", "Step 5/5 : LABEL internal.airseal.commands='…'"))
    assert build(engine, directory).steps[1:] == ["docker: Step 4/5 : RUN echo hello", "docker: hello"]


def test_no_kubefile(tmp_path: Path) -> None:
    with pytest.raises(KubefileError, match="there is no such file"):
        read_source(tmp_path)


def test_a_kubefile_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "Kubefile").write_bytes(b"\xff\xfe")
    with pytest.raises(KubefileError, match="cannot be read"):
        read_source(tmp_path)


def test_a_missing_source_stops_before_docker(directory: Path) -> None:
    (directory / "a.yaml").unlink()
    engine = FakeEngine()
    with pytest.raises(KubefileError, match=r"Kubefile:3: COPY a\.yaml"):
        build(engine, directory)
    assert engine.context == b""


def test_ordinary_images_carry_no_commands() -> None:
    assert commands_of(None) == ()
    assert commands_of(ImageInfo("x", {}, {}, "linux/amd64", 1)) == ()
