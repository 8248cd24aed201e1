"""Where the test bed keeps what it made, and how a thing is made once: whole or not at all, by one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_STAMP = "recipe"


class TestBedError(Exception):
    """What went wrong, where and why, with what to do about it."""

    __test__ = False


@dataclass(frozen=True)
class Cache:
    """The directories of the test bed below one root."""

    root: Path

    @classmethod
    def default(cls) -> Cache:
        """Return the cache of this user: ``${XDG_CACHE_HOME:-~/.cache}/airseal/testbed``."""
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return cls(Path(base) / "airseal" / "testbed")

    @property
    def parts(self) -> Path:
        return self.root / "parts"

    @property
    def rootfs(self) -> Path:
        return self.root / "rootfs"

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def internet(self) -> Path:
        return self.root / "internet"

    @property
    def ssh(self) -> Path:
        return self.root / "ssh"

    @property
    def beds(self) -> Path:
        return self.root / "beds"

    @property
    def mirrors(self) -> Path:
        return self.root / "mirrors.yaml"

    @property
    def pins(self) -> Path:
        """What the programs of an internet of our own hash to: they are compiled here, so the product's own pins are not theirs."""
        return self.root / "pins.sha256"

    @property
    def ca(self) -> Path:
        return self.root / "ca.crt"

    @property
    def docker_config(self) -> Path:
        return self.root / "docker-config"

    @property
    def build_args(self) -> Path:
        return self.root / "build-args"


def key_of(*recipe: object) -> str:
    """Return a short name for a recipe: two recipes with the same text make the same thing."""
    return hashlib.sha256("\0".join(map(str, recipe)).encode()).hexdigest()[:32]


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock; it ends with the process, however that ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_built(target: Path, key: str) -> bool:
    """Tell whether ``target`` is there, whole, and made by this recipe."""
    stamp = target / _STAMP
    return stamp.is_file() and stamp.read_text() == key


def build_once(target: Path, key: str, build: Callable[[Path], None]) -> bool:
    """Let ``build`` fill a directory that then becomes ``target``; return False if this recipe's result was there.

    An interrupted build leaves only a ``.new`` directory behind, which the next one throws away.
    """
    with locked(target.with_name(f".{target.name}.lock")):
        if is_built(target, key):
            return False
        for stale in target.parent.glob(f".{target.name}.*.new"):
            shutil.rmtree(stale, ignore_errors=True)
        # A name of its own: what an interrupted build had started may still be writing to the old one.
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".new", dir=target.parent))
        temporary.chmod(0o755)
        build(temporary)
        (temporary / _STAMP).write_text(key)
        shutil.rmtree(target, ignore_errors=True)
        temporary.rename(target)
        return True


def write_secret(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    temporary.rename(path)


def write_whole(path: Path, data: str | bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(data.encode() if isinstance(data, str) else data)
    temporary.rename(path)
