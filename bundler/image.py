"""The cluster image: a Kubefile and its context through docker's builder."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bundler.engine import Engine, ImageInfo
from bundler.errors import BuildFailed, KubefileError
from bundler.kubefile.buildkit import BuildKit, BuildKitFailed, Order
from bundler.kubefile.commands import MOST_LABEL, commands_from_json, commands_to_json
from bundler.kubefile.context import check_sources, context_paths, context_tar, ignore_lines
from bundler.kubefile.dockerfile import COMMANDS_LABEL, Bases, render
from bundler.kubefile.parse import parse
from bundler.kubefile.position import Positions
from bundler.kubefile.sealer import translated
from bundler.kubefile.stages import SCRATCH, Stages, stages_of
from bundler.options import ImageOptions
from installer_stub.bundle.model import ClusterCommand
from installer_stub.phases.reporter import Reporter
from installer_stub.ui.output import pass_on
from registry_snapshot.oci.descriptor import Platform
from registry_snapshot.store.bounded import read_file

_AS_USUAL: Final = ImageOptions()
_HERE: Final = Platform("linux", "amd64")
_ONLY_CLASSIC: Final = "no docker client here builds with BuildKit: docker's classic builder does it, without RUN --mount, COPY --chmod and ADD --checksum"
find_buildkit = functools.cache(BuildKit.find)


@dataclass(frozen=True, slots=True)
class Source:
    """A Kubefile with its context, read and checked before docker is asked for anything."""

    stages: Stages
    directory: Path
    file: Path
    ignore: tuple[str, ...]
    build_args: Mapping[str, str]


def read_source(
    directory: Path,
    file: Path | None = None,
    build_args: Mapping[str, str] | None = None,
    *,
    platform: Platform = _HERE,
    target: str = "",
    output: Path | None = None,
) -> Source:
    """Return the checked Kubefile of a context directory, from which ``output`` is left out.

    Raises KubefileError with file and line, UsageError.
    """
    path = file or directory / "Kubefile"
    arguments = dict(build_args or {})
    if not directory.is_dir():
        raise KubefileError(str(directory), 0, "is not a directory", "name the directory that holds the Kubefile and what it copies")
    try:
        kubefile = translated(parse(read_file(path).decode(), str(path)), directory)
    except FileNotFoundError:
        raise KubefileError(str(path), 0, "there is no such file", "name it with -f, or name the directory that has it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise KubefileError(str(path), 0, f"cannot be read: {error}", "it must be a text file in UTF-8") from None
    stages = stages_of(kubefile, arguments, platform, target)
    check_sources(stages, directory)
    return Source(stages, directory, path, ignore_lines(directory, path, output), arguments)


def build_image(
    engine: Engine,
    source: Source,
    *,
    tag: str,
    bases: Bases,
    platform: str,
    reporter: Reporter,
    labels: Mapping[str, str] | None = None,
    options: ImageOptions = _AS_USUAL,
) -> ImageInfo:
    """Build a source and return its image. ``bases`` says under which name docker has what the Kubefile names.

    Raises KubefileError with the line that docker was at when it failed.
    """
    stages = source.stages
    root = stages.chain[0]
    inherited = commands_of(engine.image(bases.get((root.base, root.platform), root.base))) if root.base != SCRATCH else ()
    commands = commands_to_json(stages.commands(inherited))
    if len(commands) > MOST_LABEL:
        hint = "put long here-documents into files, COPY them, and let CMD name the files"
        raise stages.kubefile.error(0, f"its CMDs are {len(commands)} bytes long; {MOST_LABEL} is the most", hint)
    buildkit = find_buildkit(options.docker_config)
    order = Order(
        source.directory,
        render(stages, bases, heredocs=bool(buildkit and (stages.kubefile.syntax or engine.knows_heredocs))),
        source.ignore,
        source.file.name,
        tag,
        platform,
        {**(labels or {}), COMMANDS_LABEL: commands},
        source.build_args,
        options.secrets,
        options.ssh,
        options.target,
        options.no_cache,
    )
    positions = Positions(stages, order.name)

    def output(line: str) -> None:
        positions.follow(line)
        for (image, _), name in bases.items():
            line = line.replace(name, image)
        if f"LABEL {COMMANDS_LABEL}" not in line:  # ours, and long
            pass_on(reporter, "docker", line)

    try:
        if buildkit is not None:
            return _with_buildkit(engine, buildkit, order, output)
        reporter.step(_ONLY_CLASSIC)
        return _classic(engine, order, output)
    except BuildFailed as error:
        said = error.said if isinstance(error, BuildKitFailed) else error.problem
        problem = f"docker build failed: {error.problem}"
        raise KubefileError(stages.kubefile.file, positions.line_of(said), problem, error.remedy or _remedy(said)) from None


def commands_of(image: ImageInfo | None) -> tuple[ClusterCommand, ...]:
    """Return the commands that an image carries; an ordinary image, or none, carries none."""
    text = image.labels.get(COMMANDS_LABEL, "") if image else ""
    return commands_from_json(text, COMMANDS_LABEL) if text else ()


def _with_buildkit(engine: Engine, buildkit: BuildKit, order: Order, output: Callable[[str], None]) -> ImageInfo:
    made = buildkit.build(order, output)
    found = engine.image(made)
    if found is None:
        raise BuildFailed(f"docker build ended and there is no image {made}", "look at the engine's log")
    return found


def _classic(engine: Engine, order: Order, output: Callable[[str], None]) -> ImageInfo:
    if order.secrets or order.ssh:
        raise BuildFailed("--secret and --ssh need BuildKit", "install docker's buildx plug-in (package docker-buildx or docker-buildx-plugin)")
    paths = context_paths(order.context, order.ignore, order.name)
    return engine.build(
        context_tar(order.context, paths, order.dockerfile),
        tag=order.tag,
        output=output,
        build_args=order.build_args,
        labels=order.labels,
        platform=order.platform,
        target=order.target,
        no_cache=order.no_cache,
    )


def _remedy(problem: str) -> str:
    if "returned a non-zero code" in problem or "did not complete successfully" in problem or "executor failed running" in problem:
        return "the command's own output is above; correct that line and build again: earlier layers are kept"
    if "pull access denied" in problem or "manifest unknown" in problem:
        return "check the image's name, or run: airseal base list; log in with docker login if it is private"
    if "no such host" in problem or "dial tcp" in problem or "timeout" in problem.lower():
        return "docker could not reach a registry: check the engine's network, its proxy and its registry-mirrors"
    if "not found" in problem:
        return "check the file's spelling, and that no line of .dockerignore leaves it out (*.run is left out of every context)"
    return "correct that line and build again: earlier layers are kept"
