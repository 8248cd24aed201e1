"""Checking a YAML document against the schema: all that is wrong at once, each with its line and its path."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from installer_stub.clusterfile.formats import CHECKS

_TAGS: Final = {
    "string": "tag:yaml.org,2002:str",
    "integer": "tag:yaml.org,2002:int",
    "object": "tag:yaml.org,2002:map",
    "array": "tag:yaml.org,2002:seq",
}
_BOOLEAN: Final = "tag:yaml.org,2002:bool"
_FLOAT: Final = "tag:yaml.org,2002:float"
_PLAIN: Final = frozenset({*_TAGS.values(), _BOOLEAN, _FLOAT, "tag:yaml.org,2002:null"})
_DECIMAL: Final = re.compile(r"-?[0-9]{1,15}\.[0-9]{1,15}")
_WORDS: Final = {"string": "a text", "integer": "a whole number", "object": "a mapping", "array": "a list"}


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong. ``line`` counts from one."""

    line: int
    path: str
    text: str


def check(node: yaml.Node, schema: Mapping[str, Any], path: str = "") -> Iterator[Problem]:
    """Return everything about ``node`` that the schema does not allow."""
    later = schema.get("x-not-yet")
    if later:
        yield Problem(line_of(node), path, str(later))
        return
    said = schema.get("type", [])
    wanted = [said] if isinstance(said, str) else said
    if wanted and not any(_is_a(node, each) for each in wanted):
        hint = " (write it in quotes)" if wanted == ["string"] and isinstance(node, yaml.ScalarNode) and node.value else ""
        yield Problem(line_of(node), path, f"{' or '.join(_WORDS[each] for each in wanted)} is wanted{hint}")
    elif schema.get("x-free"):
        yield from _free(node, path)
    elif isinstance(node, yaml.MappingNode):
        yield from _mapping(node, schema, path)
    elif isinstance(node, yaml.SequenceNode):
        yield from _sequence(node, schema, path)
    elif isinstance(node, yaml.ScalarNode):
        yield from _scalar(node, schema, path)


def entries(node: yaml.MappingNode) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    """Return name, key and value of every entry whose key is a text."""
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode):
            yield key.value, key, value


def _mapping(node: yaml.MappingNode, schema: Mapping[str, Any], path: str) -> Iterator[Problem]:
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    seen: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            yield Problem(line_of(key), path, "a name of a field is a text")
    for name, key, value in entries(node):
        here = f"{path}.{name}" if path else name
        if name in seen:
            yield Problem(line_of(key), here, f"written twice, first in line {seen[name]}")
        elif name in known:
            yield from check(value, known[name], here)
        elif others is False:
            yield Problem(line_of(key), here, f"there is no such field; there are {', '.join(known)}")
        elif isinstance(others, Mapping):
            wrong = CHECKS.get(schema.get("propertyNames", {}).get("format", ""), _anything)(name)
            if wrong:
                yield Problem(line_of(key), here, f"{name[:60]!r} {wrong}")
            yield from check(value, others, here)
        seen.setdefault(name, line_of(key))
    for name in schema.get("required", ()):
        if name not in seen:
            yield Problem(line_of(node), f"{path}.{name}" if path else name, "is missing")


def _sequence(node: yaml.SequenceNode, schema: Mapping[str, Any], path: str) -> Iterator[Problem]:
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    if len(node.value) < least:
        yield Problem(line_of(node), path, f"at least {least} is wanted")
    if most is not None and len(node.value) > most:
        yield Problem(line_of(node), path, f"has {len(node.value)} items; {most} is the most")
        return
    for index, item in enumerate(node.value):
        yield from check(item, schema.get("items", {}), f"{path}[{index}]")


def _free(node: yaml.Node, path: str) -> Iterator[Problem]:
    """What is passed on to others has to be JSON, and to read the same for everybody."""
    if isinstance(node, yaml.MappingNode):
        yield from _mapping(node, {}, path)
        for name, _, value in entries(node):
            yield from _free(value, f"{path}.{name}")
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _free(item, f"{path}[{index}]")
    elif isinstance(node, yaml.ScalarNode) and node.tag == _TAGS["integer"]:
        yield from _scalar(node, {"type": "integer"}, path)
    elif node.tag == _BOOLEAN and node.value not in {"true", "false"}:
        yield Problem(line_of(node), path, f"{node.value!r} means true or false to some and a text to others; write true, false, or quotes")
    elif node.tag not in _PLAIN or (node.tag == _FLOAT and not _DECIMAL.fullmatch(node.value)):
        yield Problem(line_of(node), path, "a text is wanted here (write it in quotes)")


def _scalar(node: yaml.ScalarNode, schema: Mapping[str, Any], path: str) -> Iterator[Problem]:
    text, line = str(node.value), line_of(node)
    if schema.get("type") == "integer":
        # YAML 1.1 reads 022 as 18 and 1:30 as 90: only what everybody reads alike is taken.
        if not (text.isascii() and text.isdigit()) or (text.startswith("0") and text != "0") or len(text) > 18:
            yield Problem(line, path, "a whole number is wanted, in decimal")
            return
        number = int(text)
        if not schema.get("minimum", number) <= number <= schema.get("maximum", number):
            yield Problem(line, path, f"from {schema['minimum']} to {schema['maximum']} is wanted, not {number}")
        return
    if "enum" in schema and text not in schema["enum"]:
        yield Problem(line, path, f"{' or '.join(schema['enum'])} is wanted, not {text[:60]!r}")
    elif len(text) < schema.get("minLength", 0) or len(text) > schema.get("maxLength", 1 << 16):
        yield Problem(line, path, f"from {schema.get('minLength', 0)} to {schema.get('maxLength')} characters are wanted")
    elif (wrong := CHECKS[schema["format"]](text) if schema.get("format") in CHECKS else "") :
        yield Problem(line, path, f"{text[:60]!r} {wrong}")


def _is_a(node: yaml.Node, wanted: str) -> bool:
    return bool(node.tag == _TAGS[wanted])


def _anything(text: str) -> str:
    del text
    return ""


def line_of(node: yaml.Node) -> int:
    """Return the line at which a node begins, from one; 0 for a node that stands in no file."""
    return int(node.start_mark.line) + 1 if node.start_mark is not None else 0
