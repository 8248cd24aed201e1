"""Recipes of bases: what a base is made of, read once from ``bases/<name>/recipe.yaml`` into values.

``recipe.yaml`` of the kubernetes base explains every key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bundler.bases.edits import EDITS
from bundler.errors import RecipeError
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.descriptor import Platform
from registry_snapshot.oci.reference import Reference
from registry_snapshot.store.bounded import read_file

DIRECTORY = Path(__file__).parent
_FORMATS = ("bare", "list")
_ARCHIVES = ("", "tar", "deb")
_MOST_VALUES: Final = 10_000  # of a recipe; ours has 300
_VERSION = re.compile(r"[\w][\w.-]{0,127}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a download: ``source`` in its archive (empty: the download itself), ``target`` in the context."""

    source: str
    target: str
    mode: int


@dataclass(frozen=True, slots=True)
class Download:
    """One URL and what vouches for it. ``checksum_url`` is empty where the publisher has no checksum file."""

    url: str
    also: tuple[str, ...]
    checksum_url: str
    checksum_format: str
    archive: str
    members: tuple[Member, ...]
    edit: str

    @property
    def file_name(self) -> str:
        """The last part of the URL, as checksum lists name it."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A base in one version for one platform. ``directory`` holds its Kubefile and its pins."""

    name: str
    version: str
    platform: Platform
    parts: Mapping[str, str]  # {"kubernetes": "v1.36.3", …}
    downloads: tuple[Download, ...]
    directory: Path
    balancer: str = ""  # reference of the image through which nodes reach the API; empty: nodes reach one master

    @property
    def title(self) -> str:
        """``kubernetes:v1.36.3``, as FROM names it."""
        return f"{self.name}:{self.version}"

    @property
    def pins_file(self) -> Path:
        """Where the repository pins this version's downloads."""
        return self.directory / f"{self.version}.sha256"


def known_bases(directory: Path = DIRECTORY) -> tuple[str, ...]:
    """Return every base that there is a recipe for, as ``name:version``."""
    files = sorted(directory.glob("*/recipe.yaml"))
    return tuple(f"{file.parent.name}:{version}" for file in files for version in _versions(file))


def find_recipe(image: str, platform: Platform, directory: Path = DIRECTORY) -> Recipe | None:
    """Return the recipe that a FROM's name means, or None for an image that is docker's business.

    Raises RecipeError when the base is known and the version is not, or the recipe itself is wrong.
    """
    name, _, version = image.partition(":")
    file = directory / name / "recipe.yaml"
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) or not file.is_file():
        return None
    versions = _versions(file)
    if version not in versions:
        asked = f"version {version}" if version else "no version"
        raise RecipeError(f"base {name}: {asked} is not in its recipe", f"write one of: {', '.join(f'{name}:{known}' for known in versions)}")
    parts = {key: str(value) for key, value in versions[version].items()}
    fill = {**parts, "arch": platform.architecture}
    try:
        described = _load(file)
        downloads = tuple(_download(item, fill) for item in described["downloads"])
        balancer = _image(str(described.get("balancer", "")).format_map(fill))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecipeError(f"{file}: cannot be used: {error!r}", "compare it with bundler/bases/kubernetes/recipe.yaml") from None
    return Recipe(name, version, platform, parts, downloads, file.parent, balancer)


def _versions(file: Path) -> dict[str, dict[str, Any]]:
    versions = _load(file).get("versions")
    if not isinstance(versions, dict) or not all(_VERSION.fullmatch(str(version)) for version in versions):
        raise RecipeError(f"{file}: has no versions", "compare it with bundler/bases/kubernetes/recipe.yaml")
    return {str(version): dict(parts) for version, parts in versions.items()}


def _load(file: Path) -> dict[str, Any]:
    import yaml

    try:
        value = yaml.safe_load(read_file(file))
    except (OSError, yaml.YAMLError) as error:
        raise RecipeError(f"{file}: cannot be read: {error}") from None
    if not isinstance(value, dict):
        raise RecipeError(f"{file}: is not a mapping")
    if _is_laughter(value):
        raise RecipeError(f"{file}: its aliases stand for more than {_MOST_VALUES} values", "write less")
    return value


def _is_laughter(value: object) -> bool:
    """Tell whether aliases of aliases make a small file a huge value: it is small as long as nobody writes it out."""
    waiting, seen = [value], 0
    while waiting and seen <= _MOST_VALUES:
        seen += 1
        here = waiting.pop()
        waiting += [*here.keys(), *here.values()] if isinstance(here, dict) else here if isinstance(here, list) else ()
    return seen > _MOST_VALUES


def _download(item: dict[str, Any], fill: Mapping[str, str]) -> Download:
    checksum = item.get("checksum") or {}
    archive, edit = str(item.get("archive", "")), str(item.get("edit", ""))
    members = tuple(
        Member(str(value.get("from", "")).format_map(fill), str(target), _mode(value["mode"]))
        for target, value in item["files"].items()
    )
    if archive not in _ARCHIVES or checksum.get("format", "bare") not in _FORMATS or (edit and edit not in EDITS):
        raise ValueError(f"archive, checksum format or edit of {item['url']}")
    if any(bool(member.source) != bool(archive) or ".." in member.target.split("/") for member in members):
        raise ValueError(f"files of {item['url']}")
    return Download(
        url=str(item["url"]).format_map(fill),
        also=tuple(str(url).format_map(fill) for url in item.get("also", ())),
        checksum_url=str(checksum.get("url", "")).format_map(fill),
        checksum_format=str(checksum.get("format", "bare")),
        archive=archive,
        members=members,
        edit=edit,
    )


def _image(text: str) -> str:
    """Return a reference in full, as the lock will have it. Raises ValueError."""
    try:
        return str(Reference.parse(text)) if text else ""
    except RegistryError as error:
        raise ValueError(error.problem) from None


def _mode(value: object) -> int:
    """Return a file mode. YAML 1.1 reads 0755 as octal, so the number is right already."""
    if not isinstance(value, int) or not 0 < value <= 0o777:
        raise ValueError(f"mode {value!r}")
    return value
