"""The examinations. Each answers yes, no or could not tell; facts in, judgement out, so that every answer can be tried."""

from __future__ import annotations

import json
import platform
import shlex
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from bundler.disk import existing
from bundler.errors import BuildError, DockerError, StubMissing
from bundler.lab.way import Way
from bundler.pack.stubs import MACHINES, stub_for
from installer_stub.ui.transfer import size
from registry_snapshot.oci.descriptor import Platform

# Measured with the example: 387 MB of image, 580 MB of artifact, both again while it is rehearsed, and images in docker's volumes.
_CACHE_BYTES: Final = 10 << 30
_DOCKER_BYTES: Final = 10 << 30
_MEMORY: Final = 3 << 30  # one master and one node use 2 GiB
_WAYS: Final = {
    Way.DIRECT: "directly, docker's networks are on this machine",
    Way.RELAY: "by a relay in the lab: docker's networks are elsewhere (remote, docker-in-docker, a mounted socket, a virtual machine)",
}


class Answer(StrEnum):
    """What an examination found."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "could not tell"


@dataclass(frozen=True, slots=True)
class Examined:
    """One thing that a build needs. ``remedy`` for every answer but yes."""

    what: str
    answer: Answer
    found: str = ""
    remedy: str = ""

    def line(self) -> str:
        """Say it in one line."""
        sign = {Answer.YES: "✓", Answer.NO: "✗", Answer.UNKNOWN: "?"}[self.answer]
        return f"{sign} {self.what}{f': {self.found}' if self.found else ''}" + (f"\n    what to do: {self.remedy}" if self.answer is not Answer.YES else "")


def of_engine(info: Mapping[str, Any]) -> tuple[Examined, ...]:
    """Examine an engine by what ``docker info`` says of it."""
    machine = str(info.get("Architecture", ""))
    memory = int(info.get("MemTotal") or 0)
    found = [
        Examined("a docker engine", Answer.YES, f"{info.get('ServerVersion', '?')} on {info.get('OperatingSystem', '?')}, {info.get('NCPU', '?')} CPUs"),
        Examined(
            "hosts of this architecture", Answer.YES if machine in MACHINES and Platform.of_machine(machine) == Platform.of_machine(platform.machine()) else Answer.NO, machine,
            "build each platform on a machine of its own kind",
        ),
        Examined(
            "memory for a cluster", Answer.UNKNOWN if not memory else Answer.YES if memory >= _MEMORY else Answer.NO, size(memory) if memory else "",
            f"{size(_MEMORY)} for one master and one node; more hosts want more",
        ),
        of_rights(info),
    ]  # fmt: skip
    return tuple(found)


def of_rights(info: Mapping[str, Any]) -> Examined:
    """Examine whether an engine may give its containers all that a host needs."""
    return Examined(
        "containers may be privileged", Answer.NO if _rootless(info) else Answer.YES, "rootless or has userns-remap" if _rootless(info) else "",
        "use an engine that runs as root: hosts are containers with systemd and containerd in them",
    )  # fmt: skip


def of_way(look: Callable[[], Way]) -> Examined:
    """Examine how hosts will come to the recorder; ``look`` finds out, or raises BuildError."""
    what = "hosts can reach the recorder"
    try:
        way = look()
    except DockerError as error:
        return Examined(what, Answer.NO, error.problem, error.remedy)
    except BuildError as error:
        return Examined(what, Answer.UNKNOWN, error.problem, error.remedy)
    return Examined(what, Answer.YES, _WAYS[way])


def of_clients(environment: Mapping[str, str], config: Path) -> Examined:
    """Examine whether ``docker``, which builds the image, speaks to the engine that runs the cluster.

    That one is DOCKER_HOST's, or this machine's own; docker has contexts besides (docker context use). ``config`` is docker's
    configuration file.
    """
    what = "docker build and the cluster use one engine"
    if environment.get("DOCKER_HOST"):
        return Examined(what, Answer.YES, environment["DOCKER_HOST"])
    try:
        context = environment.get("DOCKER_CONTEXT") or json.loads(config.read_text()).get("currentContext") or "default"
    except FileNotFoundError:
        context = "default"
    except (OSError, ValueError, AttributeError) as error:
        return Examined(what, Answer.UNKNOWN, f"{config}: {error}", "mend the file: docker reads it too")
    if context == "default":
        return Examined(what, Answer.YES, "this machine's own")
    return Examined(what, Answer.NO, f"docker's context is {context}", f"export DOCKER_HOST=$(docker context inspect -f '{{{{.Endpoints.docker.Host}}}}' {shlex.quote(str(context))})")


def _rootless(info: Mapping[str, Any]) -> bool:
    return any("rootless" in str(option) or "userns" in str(option) for option in info.get("SecurityOptions") or ())


def of_disk(what: str, path: Path, wanted: int) -> Examined:
    """Examine the room where ``path`` is, or will be."""
    try:
        free = shutil.disk_usage(existing(path)).free
    except OSError as error:
        return Examined(what, Answer.UNKNOWN, f"{path}: {error.strerror}", "the engine's disk is not this machine's: look there")
    return Examined(what, Answer.YES if free >= wanted else Answer.NO, f"{size(free)} free at {path}", f"{size(wanted)} are enough for most applications")


def _of_stub(cache: Path) -> Examined:
    what = f"the installer for hosts like this machine ({platform.machine()})"
    try:
        stub = stub_for([str(Platform.of_machine(platform.machine()))], cache)
    except (BuildError, OSError) as error:
        remedy = error.remedy if isinstance(error, StubMissing) else ""
        return Examined(what, Answer.NO, error.problem if isinstance(error, BuildError) else str(error), remedy or "for others: --stub")
    return Examined(what, Answer.YES, f"glibc {stub.glibc} or newer, {size(stub.size)}")


def of_machine(cache: Path, docker_root: str) -> tuple[Examined, ...]:
    """Examine this machine: room, a docker client with BuildKit, the installer. ``docker_root`` is empty where it is another's."""
    client = shutil.which("docker")
    return (
        of_disk("room in the cache", cache, _CACHE_BYTES),
        of_disk("room in docker", Path(docker_root), _DOCKER_BYTES) if docker_root else Examined("room in docker", Answer.UNKNOWN, "its disk is not this machine's", f"look there: {size(_DOCKER_BYTES)} are enough for most applications"),
        Examined("a docker client, for BuildKit", Answer.YES if client else Answer.NO, client or "no docker in PATH", "install docker-ce-cli or docker.io: secrets, caches and here-documents want BuildKit"),
        _of_stub(cache),
    )  # fmt: skip
