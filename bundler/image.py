"""The cluster image: a Kubefile and its context through docker's own builder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bundler.engine import Engine, ImageInfo
from bundler.errors import BuildFailed, KubefileError
from bundler.kubefile.context import check_copies, context_paths, context_tar
from bundler.kubefile.dockerfile import (
    COMMANDS_LABEL,
    LABEL_PREFIX,
    LineFinder,
    base_name,
    commands_from_json,
    render,
    stage_names,
)
from bundler.kubefile.parse import Kubefile, parse
from installer_stub.bundle.model import ClusterCommand
from installer_stub.phases.base import Reporter


@dataclass(frozen=True, slots=True)
class Source:
    """A Kubefile with its context, read and checked before docker is asked for anything."""

    kubefile: Kubefile
    directory: Path
    paths: tuple[str, ...]
    build_args: Mapping[str, str]

    @property
    def base(self) -> str:
        """The image that the last stage begins with; a stage's name is followed to its own."""
        froms = {item: base_name(self.kubefile, self.build_args, item) for item in self.kubefile.named("FROM")}
        stages = {words[2].lower(): image for item, image in froms.items() if len(words := item.without_flags().split()) == 3}
        image = list(froms.values())[-1]
        for _ in froms:
            image = stages.get(image.lower(), image)
        return image

    @property
    def bases(self) -> tuple[str, ...]:
        """Every image that a FROM names, without names of stages."""
        stages = stage_names(self.kubefile)
        names = (base_name(self.kubefile, self.build_args, item) for item in self.kubefile.named("FROM"))
        return tuple(dict.fromkeys(name for name in names if name.lower() not in stages))


def read_source(directory: Path, file: Path | None = None, build_args: Mapping[str, str] | None = None) -> Source:
    """Return the checked Kubefile of a context directory. Raises KubefileError with file and line, UsageError."""
    path = file or directory / "Kubefile"
    arguments = dict(build_args or {})
    paths = context_paths(directory, path.name)
    try:
        kubefile = parse(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise KubefileError(str(path), 0, "there is no such file", "name it with -f, or name the directory that has it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise KubefileError(str(path), 0, f"cannot be read: {error}", "it must be a text file in UTF-8") from None
    check_copies(kubefile, directory, paths, arguments)
    return Source(kubefile, directory, paths, arguments)


def build_image(
    engine: Engine,
    source: Source,
    *,
    tag: str,
    bases: Mapping[str, str],
    platform: str,
    reporter: Reporter,
    labels: Mapping[str, str] | None = None,
) -> ImageInfo:
    """Build a source and return its image. ``bases`` says by which image docker knows a recipe's name.

    Raises KubefileError with the line that docker was at when it failed.
    """
    inherited = commands_of(engine.image(bases.get(source.base, source.base)) if source.base != "scratch" else None)
    dockerfile = render(source.kubefile, source.build_args, bases, inherited, labels)
    finder = LineFinder(source.kubefile)

    def output(line: str) -> None:
        finder.follow(line)
        if f": LABEL {LABEL_PREFIX}" not in line:  # ours, and long
            reporter.step(f"docker: {line}")

    try:
        return engine.build(
            context_tar(source.directory, source.paths, dockerfile),
            tag=tag,
            output=output,
            build_args=source.build_args,
            platform=platform,
        )
    except BuildFailed as error:
        line = finder.line_of(error.problem)
        raise KubefileError(source.kubefile.file, line, f"docker build failed: {error.problem}", error.remedy or _remedy(error.problem)) from None


def commands_of(image: ImageInfo | None) -> tuple[ClusterCommand, ...]:
    """Return the commands that an image carries; an ordinary image, or none, carries none."""
    text = image.labels.get(COMMANDS_LABEL, "") if image else ""
    return commands_from_json(text) if text else ()


def _remedy(problem: str) -> str:
    if "returned a non-zero code" in problem:
        return "the command's own output is above; correct that line and build again: earlier layers are kept"
    if "pull access denied" in problem or "not found" in problem or "manifest unknown" in problem:
        return "check the image's name, or run: airseal base list; log in with docker login if it is private"
    if "no such host" in problem or "dial tcp" in problem or "timeout" in problem.lower():
        return "docker could not reach a registry: check the engine's network, its proxy and its registry-mirrors"
    return "correct that line and build again: earlier layers are kept"
