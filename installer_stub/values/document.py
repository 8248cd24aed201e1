"""Reading YAML and JSON of people: a tree with line numbers, bounded, without anchors."""

from __future__ import annotations

from typing import Final

import yaml

from installer_stub.clusterfile.check import Problem
from installer_stub.errors import UsageError

MOST_BYTES: Final = 1 << 18
_MOST_LEVELS: Final = 50


def compose(raw: bytes, name: str) -> yaml.Node | None:
    """Return the tree of the file called ``name``, None for an empty one. Raises UsageError with file and line."""
    if len(raw) > MOST_BYTES:
        raise UsageError(f"{name} is larger than {MOST_BYTES} bytes", "what is that long belongs into a file of the bundle")
    try:
        depth = 0
        for event in yaml.parse(raw, Loader=yaml.SafeLoader):
            line = event.start_mark.line + 1 if event.start_mark is not None else 1
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _MOST_LEVELS:
                raise UsageError(f"{name}:{line}: nested deeper than {_MOST_LEVELS} levels", "correct the file")
            if isinstance(event, yaml.AliasEvent):
                raise UsageError(f"{name}:{line}: anchors and aliases are not read here", "write it out")
        node = yaml.compose(raw, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise UsageError(f"{name}:{line}: this is no YAML: {error.problem}", "correct the file") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(f"{name}: this is no YAML: {str(error)[:200]}", "correct the file") from None
    return node if isinstance(node, yaml.Node) else None


def line_of(node: yaml.Node) -> int:
    """Return the line at which a node begins, from one."""
    return int(node.start_mark.line) + 1 if node.start_mark is not None else 0


def refuse(name: str, problems: list[Problem], remedy: str) -> None:
    """Raise UsageError with all problems, if there are any."""
    if problems:
        lines = "\n".join(f"{name}:{each.line}: {each.path or '(the whole file)'}: {each.text}" for each in sorted(problems))
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise UsageError(f"{name} has {count}:\n{lines}", remedy)
