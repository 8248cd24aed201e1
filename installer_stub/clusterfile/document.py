"""Reading YAML and JSON of people: a tree with line numbers, bounded, without anchors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import yaml

from installer_stub.clusterfile.check import Problem
from installer_stub.errors import UsageError

MOST_BYTES: Final = 1 << 18
MOST_LEVELS: Final = 50  # a patch is a text; the parser's time grows with the square of the levels


def compose(
    raw: bytes,
    name: str,
    *,
    most: int = MOST_BYTES,
    too_large: str = "what is that long belongs into a file of the bundle",
    anchored: str = "{place}: anchors and aliases are not read here",
) -> yaml.Node | None:
    """Return the tree of the file called ``name``, None for an empty one.

    ``too_large`` is what to do about more than ``most`` bytes; ``anchored`` is what is said of an anchor (``{name}``, or
    ``{place}`` with the line). Raises UsageError with file and line.
    """
    if len(raw) > most:
        raise UsageError(f"{name} is larger than {most} bytes", too_large)
    try:
        depth = 0
        for event in yaml.parse(raw, Loader=yaml.SafeLoader):
            line = event.start_mark.line + 1 if event.start_mark is not None else 1
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MOST_LEVELS:
                raise UsageError(f"{name}:{line}: nested deeper than {MOST_LEVELS} levels", "correct the file")
            if isinstance(event, yaml.AliasEvent):
                raise UsageError(anchored.format(name=name, place=f"{name}:{line}"), "write it out")
        node = yaml.compose(raw, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise UsageError(f"{name}:{line}: this is no YAML: {error.problem}", "correct the file") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(f"{name}: this is no YAML: {str(error)[:200]}", "correct the file") from None
    return node if isinstance(node, yaml.Node) else None


def refuse(name: str, problems: Iterable[Problem], remedy: str, consequence: str = "") -> None:
    """Raise UsageError with all problems, if there are any. ``consequence`` follows their number."""
    found = sorted(problems)
    if found:
        lines = "\n".join(f"{name}:{each.line}: {each.path or '(the whole file)'}: {each.text}" for each in found)
        count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
        raise UsageError(f"{name} has {count}{consequence}:\n{lines}", remedy)
