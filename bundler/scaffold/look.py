"""What lies in a directory: charts, kustomizations, directories and files of manifests. Looks only."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

_KUSTOMIZATIONS: Final = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_MANIFEST: Final = re.compile(rb"^(apiVersion|kind):", re.MULTILINE)
_HEAD: Final = 1 << 16  # bytes of a file that are looked at
_MOST: Final = 5000  # directories


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart. ``path`` is relative to the context; ``missing`` are dependencies that are not in its charts/."""

    path: str
    name: str
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """What was found, paths relative to the context and sorted."""

    charts: tuple[Chart, ...] = ()
    kustomizations: tuple[str, ...] = ()
    manifests: tuple[str, ...] = ()  # directories whose own files are manifests; "." for the context itself
    shared: tuple[str, ...] = ()  # what kustomizations build on: paths within the context


def look(context: Path, below: Path) -> Content:
    """Return what lies in ``below``, a directory within ``context``. A chart's or kustomization's own files are part of it."""
    charts: list[Chart] = []
    kustomizations: list[str] = []
    manifests: list[str] = []
    for directory, files in _directories(below):
        path = directory.relative_to(context).as_posix()
        if "Chart.yaml" in files:
            charts.append(_chart(directory, path))
        elif any(name in files for name in _KUSTOMIZATIONS):
            kustomizations.append(path)
        elif any(_is_manifest(directory / name) for name in files):
            manifests.append(path)
    used = _used(context, kustomizations)
    shared = tuple(sorted(path for path in used if not path.startswith("..")))
    return Content(tuple(charts), tuple(path for path in kustomizations if path not in used), tuple(manifests), shared)


def _directories(top: Path) -> Iterator[tuple[Path, list[str]]]:
    for count, (name, below, files) in enumerate(os.walk(top)):
        below[:] = sorted(each for each in below if not each.startswith("."))
        if count >= _MOST:
            return
        yield Path(name), sorted(files)
        if "Chart.yaml" in files or any(each in files for each in _KUSTOMIZATIONS if "Chart.yaml" not in files and Path(name) == top):
            below.clear()


def _chart(directory: Path, path: str) -> Chart:
    value = _yaml(directory / "Chart.yaml")
    name = str(value.get("name") or directory.name)
    listed = value.get("dependencies")
    wanted = [str(each.get("name", "")) for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    there = [each.name for each in (directory / "charts").iterdir()] if (directory / "charts").is_dir() else []
    missing = tuple(each for each in wanted if not any(have == each or have.startswith(f"{each}-") for have in there))
    return Chart(path, re.sub(r"[^a-z0-9-]", "-", name.lower()).strip("-") or "app", missing)


def _used(context: Path, found: list[str]) -> set[str]:
    """Return what kustomizations build on, relative to the context: bases, not overlays."""
    used: set[str] = set()
    for path in found:
        file = next(context / path / name for name in _KUSTOMIZATIONS if (context / path / name).is_file())
        value = _yaml(file)
        for key in ("resources", "bases", "components"):
            listed = value.get(key)
            names = [each for each in listed if isinstance(each, str)] if isinstance(listed, list) else []
            used |= {os.path.relpath((context / path / name).resolve(), context.resolve()) for name in names}
    return used


def _is_manifest(file: Path) -> bool:
    if file.suffix not in {".yaml", ".yml", ".json"} or not file.is_file():
        return False
    try:
        with file.open("rb") as opened:
            head = opened.read(_HEAD)
    except OSError:
        return False
    return len(set(_MANIFEST.findall(head))) == 2


def _yaml(file: Path) -> dict[str, object]:
    try:
        with file.open("rb") as opened:
            value = yaml.safe_load(opened.read(_HEAD))
    except (OSError, yaml.YAMLError, RecursionError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
