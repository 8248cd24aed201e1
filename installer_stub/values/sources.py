"""Where values come from, as a command line or a Clusterfile names them: nothing is read or checked yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import yaml


@dataclass(frozen=True, slots=True)
class Given:
    """One value as it was given, not checked yet. ``open`` is where others can read it: no place for a secret."""

    path: str
    node: yaml.Node | str  # a text of a command line, or a node of a file
    where: str  # "values.yaml:3", "--set"
    open: bool = False


@dataclass(frozen=True, slots=True)
class Sources:
    """Where values come from, as the command line names them. Files are read when the values are needed."""

    sets: tuple[str, ...] = ()
    set_files: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    clusterfile: tuple[Given, ...] = ()

    @property
    def any(self) -> bool:
        """Tell whether anything is given at all."""
        return bool(self.sets or self.set_files or self.files or self.clusterfile)


NOTHING: Final = Sources()
