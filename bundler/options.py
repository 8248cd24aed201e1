"""What the command line asked for, parsed once into values."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bundler.errors import UsageError
from bundler.lab.topology import ONE_HOST, Topology
from bundler.lab.way import Way
from bundler.policy.read import Policy
from bundler.signing.signing import UNSIGNED, Signing
from bundler.titles import cache_directory as cache_directory  # noqa: PLC0414 - these three are also had from here
from bundler.titles import cache_root as cache_root  # noqa: PLC0414
from bundler.titles import parse_title as parse_title  # noqa: PLC0414
from installer_stub.values.sources import NOTHING as NO_VALUES
from installer_stub.values.sources import Sources
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.descriptor import Platform


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """How docker builds the cluster image. ``secrets`` and ``ssh`` are as docker's options of these names have them."""

    secrets: tuple[str, ...] = ()
    ssh: tuple[str, ...] = ()
    target: str = ""  # a stage's name or number; empty: the last one
    pull: bool = False  # ask registries also for images that docker has
    no_cache: bool = False
    docker_config: Path | None = None  # None: $DOCKER_CONFIG or ~/.docker


@dataclass(frozen=True, slots=True)
class RehearsalOptions:
    """How the finished file is proved, and how open the recording's network was."""

    topology: Topology = field(default_factory=lambda: Topology(1, 1))
    skip: bool = False
    keep: bool = False
    allow_internet: bool = False

    @property
    def allowed(self) -> tuple[str, ...]:
        """What the recording may do that no site lets it, as the receipt says it."""
        return ("the internet, while it was recorded",) if self.allow_internet else ()


@dataclass(frozen=True, slots=True)
class StepOptions:
    """What a build goes on from, and what it is held to."""

    locked: Path | None = None  # an artifact or a lock: anything that would differ is an error
    update: tuple[str, ...] = ()  # images that are asked anew; all others stay what they were


@dataclass(frozen=True, slots=True)
class AttachedOptions:
    """What upstreams keep for the images that are recorded: signatures, attestations, bills of materials."""

    taken: bool = True
    policy: Policy | None = None  # who has to have signed which image


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """Everything ``airseal build`` is told. Times in seconds."""

    name: str
    version: str
    output: Path
    context: Path
    kubefile: Path | None  # None: Kubefile in the context
    build_args: Mapping[str, str]
    mirrors: Path | None
    mirror: tuple[str, ...]
    ca: tuple[Path, ...]
    pins: Path | None
    accept_checksums: bool  # publishers' own checksum files vouch for what nobody has pinned
    docker_config: Path | None  # None: $DOCKER_CONFIG or ~/.docker
    platforms: tuple[Platform, ...]
    host_image: str  # empty: ours
    settle_timeout: float
    quiet_period: float
    stub: Path | None  # a wheel or directory that was named
    keep: bool
    strict: bool  # what neither the recording nor a list knew is an error
    cache: Path
    image: ImageOptions = ImageOptions()
    values: Sources = NO_VALUES  # what the recorded cluster gets; nothing of it is sealed
    rehearsal: RehearsalOptions = field(default_factory=RehearsalOptions)
    steps: StepOptions = StepOptions()
    way: Way = Way.AUTO  # how the temporary cluster comes to the recorder
    recorded_on: Topology = ONE_HOST
    signing: Signing = UNSIGNED
    attached: AttachedOptions = AttachedOptions()

    @property
    def title(self) -> str:
        """``NAME:VERSION``."""
        return f"{self.name}:{self.version}"


def parse_build_args(texts: Iterable[str]) -> dict[str, str]:
    """Return ``NAME=VALUE`` pairs; a name alone takes its value from the environment, as docker does. Raises UsageError."""
    arguments = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise UsageError(f"--build-arg {text[:100]!r} has no name", "write --build-arg NAME=VALUE")
        if not equals and name not in os.environ:
            raise UsageError(f"--build-arg {name}: there is no such variable in the environment", "write --build-arg NAME=VALUE")
        arguments[name] = value if equals else os.environ[name]
    return arguments


def parse_platform(text: str) -> tuple[Platform, ...]:
    """Return the platforms to build for. Raises UsageError for what the temporary cluster cannot run."""
    try:
        platform = Platform.parse(text)
    except RegistryError as error:
        raise UsageError(error.problem, error.remedy) from None
    if platform.os != "linux":
        raise UsageError(f"{text} cannot be built", "hosts are Linux: write linux/amd64 or linux/arm64")
    return (platform,)


def check_output(path: Path) -> Path:
    """Return the output file, absolute. Raises UsageError if it cannot become one."""
    if path.is_dir():
        raise UsageError(f"{path} is a directory", "name a file, for example -o shop.run")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path.absolute().parent} does not exist", "make it, or write -o somewhere else")
    if not os.access(path.absolute().parent, os.W_OK):
        raise UsageError(f"{path.absolute().parent} may not be written", "write -o somewhere else")
    return path.absolute()


def check_seconds(name: str, value: float) -> float:
    """Return a time in seconds. Raises UsageError for one that makes no sense."""
    if not 0 <= value <= 24 * 3600:
        raise UsageError(f"{name} {value:g} makes no sense", "give seconds, from 0 to a day")
    return value
