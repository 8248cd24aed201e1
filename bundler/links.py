"""Links within /cluster: what is found at each path, with directories that links lead to. Pure.

A host gets plain files, so a link becomes a copy of what it leads to (stored once), and an empty directory a file ``.keep``.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping
from typing import Final

from bundler.errors import BuildFailed

KEEP: Final = ".keep"
_MOST_HOPS: Final = 40  # as Linux follows (path_resolution(7))
_MOST: Final = 100_000  # paths that links may make
_LONGEST: Final = 4096  # characters of one: Linux's PATH_MAX; links that lead into each other make ever longer ones


def ends_of(files: Collection[str], links: Mapping[str, str]) -> dict[str, str]:
    """Return for each path below /cluster which of ``files`` stands there; ``links`` are paths and what they lead to.

    Raises BuildFailed for a link that leads nowhere, or into the directory that it lies in.
    """
    ends = {path: path for path in files}
    below: dict[str, list[str]] = {}
    for path in (*files, *links):
        for parent in _parents(path):
            below.setdefault(parent, []).append(path)
    left = [(path, path) for path in links]
    steps = 0
    while left:
        name, link = left.pop()
        steps += 1
        if steps + len(ends) - len(files) > _MOST:
            raise BuildFailed(f"links in /cluster make more than {_MOST} files", "copy what is needed instead of linking directories")
        target = _resolved(link, links)
        if target in ends and target in files:
            ends[name] = target
        elif target in below and not _lies_in(name, target) and not _lies_in(link, target):
            for inner in below[target]:
                alias = name + inner[len(target) :] if target else f"{name}/{inner}"
                if len(alias) > _LONGEST:
                    raise BuildFailed(f"/cluster/{link} leads to ever longer paths, {alias[:60]}…", "a link cannot hold itself, nor two each other: remove it")
                if inner in links:
                    left.append((alias, inner))
                else:
                    ends[alias] = inner
        elif target in below:
            raise BuildFailed(f"/cluster/{link} links to the directory that it lies in", "a link cannot hold itself: remove it")
        else:
            raise BuildFailed(f"/cluster/{link} links to {links[link]}, which is no file in /cluster", "copy what it should lead to, or remove it")
    return ends


def empty_directories(directories: Collection[str], others: Collection[str]) -> tuple[str, ...]:
    """Return those of ``directories`` in which nothing lies. ``others`` are all files and links."""
    used = {parent for path in (*directories, *others) for parent in _parents(path)}
    return tuple(sorted(path for path in directories if path and path not in used))


def _resolved(path: str, links: Mapping[str, str]) -> str:
    """Return where a link leads, links on the way and links that it leads to followed."""
    for _ in range(_MOST_HOPS):
        at = next((part for part in (*reversed(tuple(_parents(path))), path) if part in links), None)
        if at is None:
            return path
        path = posixpath.normpath(links[at] + path[len(at) :]).lstrip("/")
        path = "" if path == "." else path
    return f"{path}/."  # a ring: no path of ours ends like that


def _parents(path: str) -> list[str]:
    """Return the directories that a path lies in, the nearest first; "" is /cluster itself."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[:count]) for count in range(len(parts), -1, -1)]


def _lies_in(path: str, directory: str) -> bool:
    return not directory or f"{path}/".startswith(f"{directory}/")
