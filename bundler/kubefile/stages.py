"""Stages: which images a Kubefile begins with and copies from, and whose CMDs the image has that comes out at the end."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from bundler.kubefile.commands import EVERYTHING_BEFORE, command_of
from bundler.kubefile.parse import Instruction, Kubefile, expand
from installer_stub.bundle.model import ClusterCommand
from registry_snapshot.oci.descriptor import Platform

SCRATCH: Final = "scratch"
COPY_FROM: Final = re.compile(r"(?<=--from=)[^\s]+")
MOUNT_FROM: Final = re.compile(r"(--mount=\S*?\bfrom=)([^\s,]+)")


@dataclass(frozen=True, slots=True)
class Stage:
    """One FROM and what follows it. ``base`` has its ARGs filled in; ``parent`` is the earlier stage it names, if it does."""

    number: int
    name: str  # lower case; empty for one without AS
    base: str
    platform: str  # of --platform, with its ARGs filled in; empty for that of the build
    begin: Instruction
    instructions: tuple[Instruction, ...]
    parent: int | None


@dataclass(frozen=True, slots=True, order=True)
class Named:
    """An image that the Kubefile names and that is no stage of it. ``line`` is where it is named first."""

    line: int
    image: str
    platform: str


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages of a Kubefile, and the one that is built."""

    kubefile: Kubefile
    all: tuple[Stage, ...]
    target: Stage

    @property
    def chain(self) -> tuple[Stage, ...]:
        """The target and the stages that it stands on, the first one first."""
        found = [self.target]
        while (parent := found[-1].parent) is not None:
            found.append(self.all[parent])
        return tuple(reversed(found))

    @property
    def root(self) -> str:
        """The image, or ``scratch``, that all of the target stands on."""
        return self.chain[0].base

    def commands(self, inherited: tuple[ClusterCommand, ...]) -> tuple[ClusterCommand, ...]:
        """Return the target's commands: the base's, then those of its stages in order. Those of other stages are not its own."""
        found = [ClusterCommand(each.argv, 0, each.timeout) for each in inherited]  # a base's lines are those of another file
        for stage in self.chain:
            for instruction in stage.instructions:
                if instruction.name == "CMD":
                    command = command_of(self.kubefile.file, instruction)
                    found = [] if command is EVERYTHING_BEFORE else [*found, command]
        return tuple(found)

    def images(self) -> tuple[Named, ...]:
        """Return the images that the target needs: of FROM, COPY --from and RUN --mount=from=, each once, by line."""
        found: dict[tuple[str, str], Named] = {}
        for stage in self._needed():
            if stage.parent is None and stage.base != SCRATCH:
                found.setdefault((stage.base, stage.platform), Named(stage.begin.line, stage.base, stage.platform))
            for instruction in stage.instructions:
                for image in _copied_from(instruction):
                    if self.stage(image, stage) is None and "$" not in image:
                        found.setdefault((image, ""), Named(instruction.line, image, ""))
        return tuple(sorted(found.values()))

    def stage(self, name: str, before: Stage) -> Stage | None:
        """Return the stage that a --from means in ``before``: by its name or its number."""
        earlier = self.all[: before.number]
        if name.isdigit():
            return earlier[int(name)] if int(name) < len(earlier) else None
        return next((stage for stage in reversed(earlier) if stage.name == name.lower()), None)

    def _needed(self) -> Iterator[Stage]:
        left, seen = [self.target], set[int]()
        while left:
            stage = left.pop()
            if stage.number in seen:
                continue
            seen.add(stage.number)
            yield stage
            left += [self.all[stage.parent]] if stage.parent is not None else []
            named = (self.stage(image, stage) for instruction in stage.instructions for image in _copied_from(instruction))
            left += [each for each in named if each is not None]


def stages_of(
    kubefile: Kubefile, build_args: Mapping[str, str], platform: Platform, target: str = "", builder: Platform | None = None
) -> Stages:
    """Return the stages; ``target`` is the name or number of the one that is built, the last one if it is empty.

    ``builder`` is the engine's own platform, where that is not ``platform``. Raises KubefileError for a FROM whose image cannot be known, for a target that is none, and for what no target can have.
    """
    variables = _before_first_from(kubefile, build_args, platform, builder or platform)
    found: list[Stage] = []
    for begin, instructions in _sections(kubefile):
        words = begin.without_flags().split()
        if len(words) not in {1, 3} or (len(words) == 3 and words[1].upper() != "AS"):
            raise kubefile.error(begin.line, "FROM is not understood", "write FROM image, or FROM image AS name")
        base, wanted = expand(words[0], variables), expand(begin.flags().get("platform", ""), variables)
        if "$" in base or "$" in wanted or not base:
            hint = "set it by an ARG before the first FROM, or by --build-arg"
            raise kubefile.error(begin.line, f"FROM {words[0]}: what it names is not known", hint)
        parent = next((stage.number for stage in reversed(found) if stage.name and stage.name == base.lower()), None)
        found.append(Stage(len(found), words[2].lower() if len(words) == 3 else "", base, wanted, begin, instructions, parent))
    stages = Stages(kubefile, tuple(found), _target(kubefile, found, target))
    for stage in stages.chain:
        for instruction in stage.instructions:
            if instruction.name == "ENTRYPOINT":
                hint = "use CMD: it runs on the first master once the cluster is up, and may be given several times"
                raise kubefile.error(instruction.line, "ENTRYPOINT has no meaning in a cluster image", hint)
    stages.commands(())
    return stages


def _target(kubefile: Kubefile, found: list[Stage], target: str) -> Stage:
    if not target:
        return found[-1]
    named = next((stage for stage in found if stage.name == target.lower() or str(stage.number) == target), None)
    if named is None:
        names = ", ".join(stage.name for stage in found if stage.name) or "none has a name"
        raise kubefile.error(0, f"it has no stage {target!r}", f"--target names one of its stages: {names}")
    return named


def _sections(kubefile: Kubefile) -> Iterator[tuple[Instruction, tuple[Instruction, ...]]]:
    begin: Instruction | None = None
    body: list[Instruction] = []
    for instruction in kubefile.instructions:
        if instruction.name != "FROM":
            body.append(instruction)
            continue
        if begin is not None:
            yield begin, tuple(body)
        begin, body = instruction, []
    if begin is not None:
        yield begin, tuple(body)


def _before_first_from(kubefile: Kubefile, build_args: Mapping[str, str], platform: Platform, builder: Platform) -> dict[str, str]:
    """Return what FROM can use: the ARGs before the first one, and those that BuildKit sets by itself."""
    variables: dict[str, str] = {}
    for prefix, each in (("TARGET", platform), ("BUILD", builder)):
        parts = {"PLATFORM": str(each), "OS": each.os, "ARCH": each.architecture, "VARIANT": each.variant}
        variables |= {f"{prefix}{name}": value for name, value in parts.items()}
    for item in kubefile.instructions:
        if item.name != "ARG":
            break
        for word in item.text.split():
            name, given, default = word.partition("=")
            value = build_args.get(name, expand(default.strip("\"'"), variables) if given else None)
            if value is not None:
                variables[name] = value
    return variables


def _copied_from(instruction: Instruction) -> Iterator[str]:
    flags = instruction.text[: len(instruction.text) - len(instruction.without_flags())]
    if instruction.name in {"COPY", "ADD"}:
        yield from COPY_FROM.findall(flags)
    elif instruction.name == "RUN":
        yield from (name for _, name in MOUNT_FROM.findall(flags))
