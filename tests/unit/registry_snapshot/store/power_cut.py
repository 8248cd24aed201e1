"""A file system that loses power: what programs do to it is recorded, and any state that a cut may leave is made.

POSIX promises little. What was written reaches the disk in any order, in blocks, or not at all, until ``fsync`` of the
file returned; a file may have its new length and nothing in it; names that were made, renamed or removed may or may not
be on the disk, each by itself, until ``fsync`` of their directory returned.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from registry_snapshot.store import disk


@dataclass(frozen=True)
class Op:
    """One thing that was done. ``node`` numbers a file or a directory."""

    kind: str  # make, write, truncate, rename, remove, sync, ack
    node: int = 0
    parent: int = 0
    name: str = ""
    target: str = ""
    offset: int = 0
    data: bytes = b""
    ack: object = None


class Trace:
    """What was done below ``root``, in order."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ops: list[Op] = []
        self._nodes: dict[tuple[int, int], int] = {}
        self._number(root)

    def acknowledged(self, what: object) -> None:
        """Note that somebody was told that ``what`` is kept."""
        self.ops.append(Op("ack", ack=what))

    def _number(self, path: Path | int) -> int:
        found = os.fstat(path) if isinstance(path, int) else path.lstat()
        return self._nodes.setdefault((found.st_dev, found.st_ino), len(self._nodes))

    def _is_ours(self, path: Path) -> bool:
        return path.is_relative_to(self.root)

    @contextmanager
    def recording(self, patch: pytest.MonkeyPatch) -> Iterator[None]:
        """Record what this process does below the root."""
        with patch.context() as inner:
            for name in ("open", "mkdir", "rename", "replace", "unlink", "write", "ftruncate", "fsync", "fdatasync"):
                inner.setattr(os, name, getattr(self, f"_{'rename' if name == 'replace' else name}")(getattr(os, name)))
            inner.setattr(disk, "_write", os.write)
            yield

    def _open(self, real: Callable[..., int]) -> Callable[..., int]:
        def opened(path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
            target = Path(os.fspath(path)) if not isinstance(path, int) else Path()
            new = self._is_ours(target) and not os.path.lexists(target)
            descriptor = real(path, flags, mode, **more)
            if new:
                # A number that a removed file had is another file's now.
                self._nodes.pop((os.fstat(descriptor).st_dev, os.fstat(descriptor).st_ino), None)
                self._nodes[(os.fstat(descriptor).st_dev, os.fstat(descriptor).st_ino)] = 10_000 + len(self.ops)
                self.ops.append(Op("make", self._number(descriptor), self._number(target.parent), target.name, data=b"f"))
            return descriptor

        return opened

    def _mkdir(self, real: Callable[..., None]) -> Callable[..., None]:
        def made(path: Any, mode: int = 0o777, **more: Any) -> None:
            real(path, mode, **more)
            target = Path(os.fspath(path))
            if self._is_ours(target):
                self.ops.append(Op("make", self._number(target), self._number(target.parent), target.name, data=b"d"))

        return made

    def _rename(self, real: Callable[..., None]) -> Callable[..., None]:
        def renamed(source: Any, target: Any, **more: Any) -> None:
            old, new = Path(os.fspath(source)), Path(os.fspath(target))
            real(source, target, **more)
            if self._is_ours(old):
                assert old.parent == new.parent, "between directories is another question"
                self.ops.append(Op("rename", self._number(new), self._number(new.parent), old.name, new.name))

        return renamed

    def _unlink(self, real: Callable[..., None]) -> Callable[..., None]:
        def removed(path: Any, **more: Any) -> None:
            target = Path(os.fspath(path))
            ours = self._is_ours(target) and os.path.lexists(target)
            real(path, **more)
            if ours:
                self.ops.append(Op("remove", 0, self._number(target.parent), target.name))

        return removed

    def _write(self, real: Callable[..., int]) -> Callable[..., int]:
        def written(descriptor: int, data: Any) -> int:
            count = real(descriptor, data)
            if (os.fstat(descriptor).st_dev, os.fstat(descriptor).st_ino) in self._nodes:
                offset = os.lseek(descriptor, 0, os.SEEK_CUR) - count
                self.ops.append(Op("write", self._number(descriptor), offset=offset, data=bytes(data)[:count]))
            return count

        return written

    def _ftruncate(self, real: Callable[..., None]) -> Callable[..., None]:
        def truncated(descriptor: int, length: int) -> None:
            real(descriptor, length)
            self.ops.append(Op("truncate", self._number(descriptor), offset=length))

        return truncated

    def _fsync(self, real: Callable[..., None]) -> Callable[..., None]:
        def synced(descriptor: int) -> None:
            real(descriptor)
            self.ops.append(Op("sync", self._number(descriptor)))

        return synced

    _fdatasync = _fsync


@dataclass
class _Node:
    """What a file or directory is on the disk for certain, and what may have come to it since."""

    is_directory: bool
    data: bytearray = field(default_factory=bytearray)
    names: dict[str, int] = field(default_factory=dict)
    pending: list[Op] = field(default_factory=list)


class Disk:
    """What the first ``count`` operations of a trace leave when the power is cut; ``chance`` decides what reached the disk."""

    def __init__(self, trace: Trace, count: int, chance: random.Random, block: int = 512) -> None:
        self._chance = chance
        self._block = block
        self._nodes = {0: _Node(is_directory=True)}
        self.acknowledged: list[object] = []
        for op in trace.ops[:count]:
            self._do(op)

    def materialise(self, root: Path) -> None:
        """Make the state below the empty directory ``root``."""
        for node in self._nodes.values():
            for op in node.pending:
                self._apply(node, op, lucky=self._chance.random())
        self._put(0, root)

    def _do(self, op: Op) -> None:
        if op.kind == "ack":
            self.acknowledged.append(op.ack)
        elif op.kind == "sync":
            node = self._nodes[op.node]
            for each in node.pending:
                self._apply(node, each, lucky=0.0)
            node.pending.clear()
        elif op.kind in {"write", "truncate"}:
            self._nodes[op.node].pending += self._blocks(op)
        else:
            if op.kind == "make":
                self._nodes[op.node] = _Node(is_directory=op.data == b"d")
            self._nodes[op.parent].pending.append(op)

    def _blocks(self, op: Op) -> list[Op]:
        """Return a write in the blocks that reach the disk each by itself."""
        if op.kind == "truncate":
            return [op]
        parts, at = [], op.offset
        while at < op.offset + len(op.data):
            end = min((at // self._block + 1) * self._block, op.offset + len(op.data))
            parts.append(Op("write", op.node, offset=at, data=op.data[at - op.offset : end - op.offset]))
            at = end
        return parts

    @staticmethod
    def _apply(node: _Node, op: Op, *, lucky: float) -> None:
        """Do it if ``lucky`` is below a third, or half of it: the length of a write without its data."""
        done = lucky < 0.34
        if op.kind == "write":
            end = op.offset + len(op.data)
            if lucky < 0.67 and len(node.data) < end:
                node.data += bytes(end - len(node.data))
            if done:
                node.data[op.offset : end] = op.data
        elif done and op.kind == "truncate":
            del node.data[op.offset :]
            node.data += bytes(op.offset - len(node.data))
        elif done and op.kind == "make":
            node.names[op.name] = op.node
        elif done and op.kind == "rename":
            node.names.pop(op.name, None)
            node.names[op.target] = op.node
        elif done and op.kind == "remove":
            node.names.pop(op.name, None)

    def _put(self, number: int, path: Path) -> None:
        node = self._nodes[number]
        if not node.is_directory:
            path.write_bytes(node.data)
            return
        path.mkdir(exist_ok=True)
        for name, child in node.names.items():
            self._put(child, path / name)
