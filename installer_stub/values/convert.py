"""One value: from how a person wrote it to JSON, or what is wrong with it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

import yaml

from installer_stub.clusterfile.check import Problem, line_of

_STRING: Final = "tag:yaml.org,2002:str"
_BOOLEAN: Final = "tag:yaml.org,2002:bool"
# YAML 1.1 reads 022 as 18 and 1:30 as 90: only what everybody reads alike is taken.
_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?")
_WORDS: Final = {"string": "a text", "integer": "a whole number", "number": "a number", "boolean": "true or false", "array": "a list"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a value may be. ``enum`` are JSON texts; lengths are characters of a text, or items of a list."""

    kind: str
    item: Limits | None = None
    enum: tuple[str, ...] = ()
    pattern: str = ""
    minimum: float | None = None
    maximum: float | None = None
    shortest: int = 0
    longest: int = 1 << 15


def node_of(text: str, limits: Limits) -> yaml.Node:
    """Return what ``--set PATH=text`` means for a field: a text as it is; a list in brackets, or its items with commas."""
    if limits.kind == "array":
        listed = text.strip()
        if listed.startswith("["):
            try:
                found = yaml.compose(listed, Loader=yaml.SafeLoader)
            except yaml.YAMLError:
                found = None
            return found if isinstance(found, yaml.Node) else _scalar_node(text)
        items = [item.strip() for item in text.split(",")] if listed else []
        return yaml.SequenceNode("tag:yaml.org,2002:seq", [_typed(item, limits.item or limits) for item in items])
    return _typed(text, limits)


def converted(node: yaml.Node, limits: Limits) -> str | Problem:
    """Return the value as JSON, or the problem with it; a problem never shows the value, which may be a secret."""
    if limits.kind == "array":
        return _array(node, limits)
    value = scalar(node, limits.kind)
    if not isinstance(value, str):
        return value
    wrong = _wrong(value, limits)
    return Problem(line_of(node), "", wrong) if wrong else value


def scalar(node: yaml.Node, kind: str) -> str | Problem:
    """Return a scalar of that kind as JSON, or the problem with it."""
    text = str(node.value) if isinstance(node, yaml.ScalarNode) else None
    if kind == "string" and node.tag == _STRING and text is not None:
        return json.dumps(text)
    if kind == "integer" and text is not None and node.tag != _STRING and _INTEGER.fullmatch(text):
        return text
    if kind == "number" and text is not None and node.tag != _STRING and _NUMBER.fullmatch(text):
        return text
    if kind == "boolean" and node.tag == _BOOLEAN and text in {"true", "false"}:
        return text
    hint = " (write it in quotes)" if kind == "string" and text else ""
    return Problem(line_of(node), "", f"{_WORDS[kind]} is wanted{hint}")


def _array(node: yaml.Node, limits: Limits) -> str | Problem:
    if not isinstance(node, yaml.SequenceNode) or limits.item is None:
        return Problem(line_of(node), "", "a list is wanted")
    if not limits.shortest <= len(node.value) <= limits.longest:
        return Problem(line_of(node), "", f"from {limits.shortest} to {limits.longest} items are wanted, not {len(node.value)}")
    items = []
    for index, each in enumerate(node.value):
        value = converted(each, limits.item)
        if isinstance(value, Problem):
            return Problem(value.line, "", f"item {index}: {value.text}")
        items.append(value)
    return f"[{', '.join(items)}]"


def _wrong(value: str, limits: Limits) -> str:
    if limits.enum and value not in limits.enum:
        return f"{' or '.join(limits.enum)} is wanted"
    if limits.kind == "string":
        text = json.loads(value)
        if not limits.shortest <= len(text) <= limits.longest:
            return f"from {limits.shortest} to {limits.longest} characters are wanted, not {len(text)}"
        if limits.pattern and not re.search(limits.pattern, text):
            return f"does not match {limits.pattern}"
    elif limits.kind in {"integer", "number"}:
        number = float(value)
        if limits.minimum is not None and number < limits.minimum:
            return f"{limits.minimum:g} or more is wanted"
        if limits.maximum is not None and number > limits.maximum:
            return f"{limits.maximum:g} or less is wanted"
    return ""


def _typed(text: str, limits: Limits) -> yaml.ScalarNode:
    """Return a text as the kind of scalar that a field wants: on a command line everything is a text."""
    if limits.kind == "string":
        return _scalar_node(text)
    return yaml.ScalarNode(_BOOLEAN if text in {"true", "false"} else "tag:yaml.org,2002:int", text)


def _scalar_node(text: str) -> yaml.ScalarNode:
    return yaml.ScalarNode(_STRING, text)
