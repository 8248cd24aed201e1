"""A disk that remembers every step, and what a power cut may leave of them: all that was synced, and any of the rest.

The model is POSIX', which is weaker than any file system: bytes of a file are safe after fsync of the file, names after fsync
of their directory, and what is not synced may be there or not, each step by itself, the bytes of one write in part.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from installer_stub.changes.disk import Disk
from installer_stub.changes.image import Image

Step = tuple[object, ...]


class RecordingDisk(Disk):
    """Does what it is told, and writes it down. Nothing can be renamed over a name in ``mounted``."""

    def __init__(self, root: Path, mounted: tuple[str, ...] = ()) -> None:
        super().__init__(root)
        self.steps: list[Step] = []
        self._mounted = mounted

    def create(self, name: str, data: bytes, mode: int = 0o600) -> None:
        super().create(name, data, mode)
        self.steps.append(("create", name, mode))
        self.steps.append(("append", name, data))

    def append(self, name: str, data: bytes) -> None:
        super().append(name, data)
        self.steps.append(("append", name, data))

    def overwrite(self, name: str, data: bytes) -> None:
        super().overwrite(name, data)
        self.steps.append(("over", name, data))
        self.steps.append(("truncate", name, len(data)))

    def truncate(self, name: str, size: int) -> None:
        super().truncate(name, size)
        self.steps.append(("truncate", name, size))

    def dress(self, name: str, image: Image) -> None:
        super().dress(name, image)
        self.steps.append(("mode", name, image.mode))

    def sync(self, name: str) -> None:
        self.steps.append(("sync", name))

    def rename(self, old: str, new: str) -> None:
        if new in self._mounted:
            raise OSError(errno.EBUSY, "Device or resource busy", new)
        super().rename(old, new)
        self.steps.append(("rename", old, new))

    def symlink(self, name: str, target: str) -> None:
        super().symlink(name, target)
        self.steps.append(("symlink", name, target))

    def unlink(self, name: str) -> None:
        super().unlink(name)
        self.steps.append(("unlink", name))

    def mkdir(self, name: str, mode: int = 0o755) -> None:
        super().mkdir(name, mode)
        self.steps.append(("mkdir", name, mode))

    def rmdir(self, name: str) -> None:
        super().rmdir(name)
        self.steps.append(("unlink", name))

    def empty(self, name: str) -> None:
        children = sorted(child.name for child in self.at(name).iterdir())
        super().empty(name)
        self.steps += [("unlink", f"{name}/{child}") for child in children]


class UnsyncedDisk(Disk):
    """For looking at what a cut left: syncing would only take time."""

    def __init__(self, root: Path, mounted: tuple[str, ...] = ()) -> None:
        super().__init__(root)
        self._mounted = mounted

    def sync(self, name: str) -> None:
        pass

    def rename(self, old: str, new: str) -> None:
        if new in self._mounted:
            raise OSError(errno.EBUSY, "Device or resource busy", new)
        super().rename(old, new)


@dataclass
class Node:
    """A file, a link or a directory. ``durable`` is safe; ``pending`` are steps that are not."""

    kind: str
    data: bytes = b""
    mode: int = 0o644
    target: str = ""
    names: dict[str, Node] = field(default_factory=dict)
    pending: list[Step] = field(default_factory=list)


class Model:
    """What is on the disk after ``steps``, in both senses: what a reader sees, and what a power cut leaves."""

    def __init__(self, root: Path) -> None:
        self.top = _load(root)
        self._seen: dict[str, Node] = {}  # by path, as readers see it
        self._index("", self.top)

    def _index(self, path: str, node: Node) -> None:
        self._seen[path or "/"] = node
        for name, child in node.names.items():
            self._index(f"{path}/{name}", child)

    def do(self, step: Step) -> None:
        verb, name = str(step[0]), str(step[1])
        above, last = self._seen.get(str(PurePosixPath(name).parent)), PurePosixPath(name).name
        match verb:
            case "create" | "mkdir" | "symlink":
                assert above is not None
                kind = {"create": "file", "mkdir": "directory", "symlink": "link"}[verb]
                node = Node(kind, mode=step[2] if isinstance(step[2], int) else 0o777, target=str(step[2]))
                above.pending.append(("name", last, node))
                self._seen[name] = node
            case "unlink":
                assert above is not None
                above.pending.append(("no name", last))
                del self._seen[name]
            case "rename":
                new = str(step[2])
                assert above is not None
                above.pending.append(("rename", last, PurePosixPath(new).name, self._seen[name]))
                moved = {path: node for path, node in self._seen.items() if path == name or path.startswith(f"{name}/")}
                for path in moved:
                    del self._seen[path]
                self._seen |= {new + path[len(name) :]: node for path, node in moved.items()}
            case "sync":
                node = self._seen[name]
                _apply(node, node.pending)
                node.pending = []
            case _:
                self._seen[name].pending.append((verb, step[2]))

    def pending(self) -> list[tuple[Node, int]]:
        nodes = list({id(node): node for node in self._all(self.top)}.values())
        return [(node, place) for node in nodes for place in range(len(node.pending))]

    def _all(self, node: Node) -> Iterator[Node]:
        yield node
        for child in node.names.values():
            yield from self._all(child)
        for step in node.pending:
            for each in step:
                if isinstance(each, Node):
                    yield from self._all(each)

    def can_tear(self, choice: frozenset[tuple[int, int]]) -> bool:
        """Tell whether the last step of some file is a write, which may arrive in part."""
        last = dict(sorted(choice))
        return any(last.get(id(node)) == place and node.pending[place][0] in {"append", "over"} for node, place in self.pending())

    def write(self, root: Path, survives: set[tuple[int, int]], *, torn: bool) -> None:
        """Write what is left into ``root``: of what is pending, the steps in ``survives``."""
        _write(root, self.top, survives, torn=torn)


def left_by_a_cut(model: Model, root: Path, chance: random.Random) -> Iterator[Path]:
    """Yield directories, each with what a power cut may leave now: nothing that is pending, all, all but one, some."""
    pending = [(id(node), place) for node, place in model.pending()]
    choices = [set(), set(pending), *({one} for one in pending[-2:]), *(set(pending) - {one} for one in pending[-2:])]
    choices += [{one for one in pending if chance.random() < 0.5} for _ in range(1 if len(pending) > 2 else 0)]
    unique = {frozenset(choice) for choice in choices}
    for number, choice in enumerate(sorted(unique, key=sorted)):
        for torn in (False, True) if choice and model.can_tear(choice) else (False,):
            target = root / f"{number}-{torn}"
            target.mkdir()
            model.write(target, set(choice), torn=torn)
            yield target


def _apply(node: Node, steps: list[Step], *, torn: bool = False) -> None:
    for at, step in enumerate(steps):
        match step[0]:
            case "name":
                assert isinstance(step[2], Node)
                node.names[str(step[1])] = step[2]
            case "no name":
                node.names.pop(str(step[1]), None)
            case "rename":
                node.names.pop(str(step[1]), None)
                assert isinstance(step[3], Node)
                node.names[str(step[2])] = step[3]
            case "append":
                assert isinstance(step[1], bytes)
                half = torn and at == len(steps) - 1
                node.data += step[1][: len(step[1]) // 2] if half else step[1]
            case "over":
                assert isinstance(step[1], bytes)
                written = step[1][: len(step[1]) // 2] if torn and at == len(steps) - 1 else step[1]
                node.data = written + node.data[len(written) :]
            case "truncate":
                assert isinstance(step[1], int)
                node.data = node.data[: step[1]]
            case "mode":
                assert isinstance(step[1], int)
                node.mode = step[1]


def _write(path: Path, node: Node, survives: set[tuple[int, int]], *, torn: bool) -> None:
    copy = Node(node.kind, node.data, node.mode, node.target, dict(node.names))
    _apply(copy, [step for place, step in enumerate(node.pending) if (id(node), place) in survives], torn=torn)
    if copy.kind == "link":
        path.symlink_to(copy.target)
    elif copy.kind == "file":
        path.write_bytes(copy.data)
        path.chmod(copy.mode)
    else:
        path.mkdir(exist_ok=True)
        for name, child in copy.names.items():
            _write(path / name, child, survives, torn=torn)


def _load(path: Path) -> Node:
    if path.is_symlink():
        return Node("link", target=str(path.readlink()))
    if path.is_file():
        return Node("file", path.read_bytes(), path.stat().st_mode & 0o7777)
    return Node("directory", mode=path.stat().st_mode & 0o7777, names={child.name: _load(child) for child in sorted(path.iterdir())})
