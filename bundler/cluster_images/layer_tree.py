"""What stands below one directory when layers lie on each other. Pure: entries go in, layer by layer, and a tree comes out.

Source: OCI image-spec layer.md, "Applying Changesets" and "Whiteouts": ``.wh.NAME`` hides NAME of the layers below, ``.wh..wh..opq`` all
that they have in its directory; neither hides anything of its own layer.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from bundler.errors import ClusterImageInvalid

_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_LONGEST: Final = 4096  # characters of a path: Linux's PATH_MAX
_MOST_NAMES: Final = 500_000  # files and directories that layers have below the top; collect takes 200,000
_MOST_ELSEWHERE: Final = 400_000  # files elsewhere that are remembered, and characters of their names: a whole Debian has half of it
_MOST_CHARACTERS: Final = 64 << 20
_REMEDY: Final = "build that image again with docker"

Source = tuple[int, int]  # number of the layer, number of the entry in it


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a layer. ``source`` says where its content is, of a hard link that of what it leads to; ``link`` is a symbolic link's."""

    kind: bytes
    source: Source
    mode: int = 0o755
    size: int = 0
    link: str = ""


@dataclass(slots=True)
class Node:
    """A name in the tree. ``entry`` is None for a directory that nobody wrote down, only what lies in it."""

    entry: Entry | None = None
    children: dict[str, Node] = field(default_factory=dict)

    @property
    def is_directory(self) -> bool:
        """Whether something can lie in it."""
        return self.entry is None or self.entry.kind == tarfile.DIRTYPE


@dataclass(slots=True)
class _Layer:
    """One layer's own tree, and what it hides of those below: ``hidden`` single names, ``opaque`` whole directories."""

    root: Node = field(default_factory=Node)
    hidden: list[tuple[str, ...]] = field(default_factory=list)
    opaque: list[tuple[str, ...]] = field(default_factory=list)


class LayerTree:
    """What stands at ``top``, a name in the root directory, and below it. Files elsewhere are known only as what hard links lead to."""

    def __init__(self, top: str) -> None:
        self._top = top
        self._below = Node()
        self._elsewhere: dict[str, Entry] = {}
        self._layer = _Layer()
        self._names = self._length = 0

    def add(self, tar_entry: tarfile.TarInfo, source: Source) -> None:
        """Take one entry of the layer that is being read. Raises ClusterImageInvalid for a name that leaves the image, and what cannot be."""
        parts = parts_of(tar_entry.name)
        if not parts:
            return
        *directory, name = parts
        if name == _OPAQUE:
            self._layer.opaque.append(tuple(directory))
        elif is_whiteout(parts):
            hidden = name.removeprefix(_WHITEOUT)
            if not hidden.startswith(_WHITEOUT):  # .wh..wh.* are AUFS's own
                self._layer.hidden.append((*directory, *parts_of(hidden)))
        elif parts[0] == self._top:
            self._place(parts, self._entry(tar_entry, source))
        elif tar_entry.isreg() or tar_entry.islnk():
            self._remember("/".join(parts), tar_entry, source)

    def end_layer(self) -> None:
        """Lay what was added over the layers before it."""
        for path in self._layer.opaque:
            if (node := _find(self._below, path)) is not None:
                node.children.clear()
        for path in self._layer.hidden:
            if path and (node := _find(self._below, path[:-1])) is not None:
                node.children.pop(path[-1], None)
        _lay(self._layer.root, self._below)
        self._layer = _Layer()

    @property
    def root(self) -> Node | None:
        """What stands at ``top``, None if nothing does."""
        return self._below.children.get(self._top)

    def _remember(self, name: str, tar_entry: tarfile.TarInfo, source: Source) -> None:
        """Keep what a hard link from below the top could lead to, up to a bound: hardly an image has one."""
        self._length += len(name)
        if len(self._elsewhere) >= _MOST_ELSEWHERE or self._length > _MOST_CHARACTERS:
            return
        found = self._target(parts_of(tar_entry.linkname)) if tar_entry.islnk() else Entry(tarfile.REGTYPE, source, tar_entry.mode, tar_entry.size)
        if found is not None:
            self._elsewhere[name] = found

    def _entry(self, tar_entry: tarfile.TarInfo, source: Source) -> Entry:
        if tar_entry.issparse():
            raise ClusterImageInvalid(f"{tar_entry.name[:200]!r} of layer {source[0] + 1} is a sparse file, which no image has", _REMEDY)
        if not tar_entry.islnk():
            kind = tarfile.REGTYPE if tar_entry.isreg() else tar_entry.type
            return Entry(kind, source, tar_entry.mode, tar_entry.size, tar_entry.linkname if tar_entry.issym() else "")
        target = parts_of(tar_entry.linkname)
        found = self._target(target)
        if found is None or found.kind == tarfile.DIRTYPE:
            problem = f"{tar_entry.name[:200]!r} of layer {source[0] + 1} is a hard link to {tar_entry.linkname[:200]!r}, which is no file of the image"
            raise ClusterImageInvalid(problem, _REMEDY)
        return found

    def _target(self, parts: tuple[str, ...]) -> Entry | None:
        if parts[:1] != (self._top,):
            return self._elsewhere.get("/".join(parts))
        node = _find(self._layer.root, parts) or _find(self._below, parts)
        return node.entry if node is not None else None

    def _place(self, parts: tuple[str, ...], entry: Entry) -> None:
        node = self._layer.root
        for part in parts[:-1]:
            node = node.children.get(part) or self._node(node, part)
            if not node.is_directory:
                problem = f"{'/'.join(parts)[:200]!r} of layer {entry.source[0] + 1} lies in something that is no directory of that layer"
                raise ClusterImageInvalid(problem, _REMEDY)
        there = node.children.get(parts[-1])
        if there is not None and there.is_directory and entry.kind == tarfile.DIRTYPE:
            there.entry = entry
        else:  # of two entries of a name the later stays, as when it is unpacked
            self._node(node, parts[-1]).entry = entry

    def _node(self, parent: Node, name: str) -> Node:
        self._names += 1
        if self._names > _MOST_NAMES:
            raise ClusterImageInvalid(f"layers have more than {_MOST_NAMES} names below /{self._top}", "pack many small files into one archive")
        parent.children[name] = made = Node()
        return made


def walk(root: Node, top: str) -> Iterator[tuple[str, Node]]:
    """Yield every path with its node, parents first, in the order of their names."""
    waiting = [(top, root)]
    while waiting:
        path, node = waiting.pop()
        yield path, node
        waiting += [(f"{path}/{name}", node.children[name]) for name in sorted(node.children, reverse=True)]


def parts_of(name: str) -> tuple[str, ...]:
    """Return a name's parts, none for the root. Raises ClusterImageInvalid for one that leaves the image, or is longer than a path can be."""
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    if ".." in parts or len(name) > _LONGEST:
        raise ClusterImageInvalid(f"a layer names {name[:200]!r}, which leaves the image or is no path", _REMEDY)
    return parts


def is_whiteout(parts: tuple[str, ...]) -> bool:
    """Tell whether an entry of that name hides what lower layers have."""
    return bool(parts) and parts[-1].startswith(_WHITEOUT)


def _find(root: Node, parts: tuple[str, ...]) -> Node | None:
    node: Node | None = root
    for part in parts:
        node = node.children.get(part) if node is not None else None
    return node


def _lay(upper: Node, lower: Node) -> None:
    """Lay one tree over another: directories unite, everything else replaces what was there."""
    waiting = [(upper, lower)]
    while waiting:
        above, below = waiting.pop()
        for name, node in above.children.items():
            there = below.children.get(name)
            if there is None or not node.is_directory or not there.is_directory:
                below.children[name] = node
                continue
            there.entry = node.entry or there.entry
            waiting.append((node, there))
