"""``/cluster/values.schema.json``: what a site may set. A subset of JSON Schema (2020-12), read into fields.

::

    {"type": "object", "properties": {
      "replicas": {"type": "integer", "minimum": 1, "default": 2, "description": "how many"},
      "db": {"type": "object", "required": ["password"], "properties": {
        "host": {"type": "string", "pattern": "^[a-z0-9.-]+$", "default": "db"},
        "password": {"type": "string", "writeOnly": true, "minLength": 8}}}}}

Objects hold fields and are closed. A field is a string, integer, number, boolean, or an array of these. ``writeOnly`` or
``x-secret`` makes it a secret; ``x-immutable`` one that stays for the life of the cluster. A word that is not known here would be
a check that nobody makes, so it is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import yaml

from installer_stub.clusterfile.check import Problem, entries, line_of
from installer_stub.clusterfile.document import compose, refuse
from installer_stub.values.convert import Limits, converted, scalar

FILE: Final = "values.schema.json"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
_TYPES: Final = ("string", "integer", "number", "boolean", "array")
_ABOUT: Final = frozenset({"title", "description", "$schema", "$id", "$comment", "examples"})
_OBJECT: Final = _ABOUT | {"type", "properties", "required", "additionalProperties"}
_FIELD: Final = _ABOUT | {"type", "default", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "items", "minItems", "maxItems", "writeOnly", "x-secret", "x-immutable"}
_MOST_FIELDS: Final = 1000


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that a site may set. ``path`` is its names joined by dots; ``default`` is JSON, None where there is none."""

    path: str
    limits: Limits
    default: str | None = None
    required: bool = False
    secret: bool = False
    immutable: bool = False
    description: str = ""

    @property
    def variable(self) -> str:
        """Return the name of its environment variable."""
        return "AIRSEAL_VALUE_" + re.sub(r"[^A-Z0-9]", "_", self.path.upper())


@dataclass(frozen=True, slots=True)
class Schema:
    """All fields, in the order in which they are declared."""

    fields: tuple[Field, ...] = ()

    def field(self, path: str) -> Field | None:
        """Return the field at ``path``, None where there is none."""
        return next((field for field in self.fields if field.path == path), None)


NO_VALUES: Final = Schema()


def parse_schema(raw: bytes, name: str = FILE) -> Schema:
    """Return what the schema declares. Raises UsageError with all problems, as ``file:line: path: problem``."""
    node = compose(raw, name)
    problems: list[Problem] = []
    fields: list[Field] = []
    if isinstance(node, yaml.MappingNode):
        _object(node, (), fields, problems)
    else:
        problems.append(Problem(1, "", 'an object is wanted: {"type": "object", "properties": {…}}'))
    seen: dict[str, str] = {}
    problems += [
        Problem(1, field.path, f"has the same environment variable as {other}: {field.variable}")
        for field in fields
        if (other := seen.setdefault(field.variable, field.path)) != field.path
    ]
    if len(fields) > _MOST_FIELDS:
        problems.append(Problem(1, "", f"declares {len(fields)} values; {_MOST_FIELDS} is the most"))
    refuse(name, problems, "correct the file in the directory that becomes /cluster")
    return Schema(tuple(fields))


def _object(node: yaml.MappingNode, path: tuple[str, ...], fields: list[Field], problems: list[Problem], *, needed: bool = True) -> None:
    words = {name: value for name, _, value in entries(node)}
    here = ".".join(path)
    problems += [Problem(line_of(key), here, f"{name!r} is not understood in an object") for name, key, _ in entries(node) if name not in _OBJECT]
    if "additionalProperties" in words and words["additionalProperties"].value != "false":
        problems.append(Problem(line_of(words["additionalProperties"]), here, "objects are closed: leave additionalProperties out, or say false"))
    required = {item.value: item for item in words["required"].value} if isinstance(words.get("required"), yaml.SequenceNode) else {}
    properties = words.get("properties")
    if not isinstance(properties, yaml.MappingNode):
        problems.append(Problem(line_of(node), here, "an object needs properties"))
        return
    names = {name for name, _, _ in entries(properties)}
    problems += [Problem(line_of(item), here, f"requires {name!r}, which is not among its properties") for name, item in required.items() if name not in names]
    for name, key, value in entries(properties):
        below = (*path, name)
        if not _NAME.fullmatch(name):
            problems.append(Problem(line_of(key), ".".join(below), "is no name: letters, digits, '_' and '-', beginning with a letter"))
        elif not isinstance(value, yaml.MappingNode):
            problems.append(Problem(line_of(value), ".".join(below), "an object is wanted"))
        elif _type(value) == "object":
            _object(value, below, fields, problems, needed=needed and name in required)
        else:
            found = _field(value, ".".join(below), required=needed and name in required)
            if isinstance(found, Field):
                fields.append(found)
            else:
                problems += found


def _field(node: yaml.MappingNode, path: str, *, required: bool) -> Field | list[Problem]:
    words = {name: value for name, _, value in entries(node)}
    problems = [Problem(line_of(key), path, f"{name!r} is not understood in a field of type {_type(node)}") for name, key, _ in entries(node) if name not in _FIELD]
    limits: Limits | None = None
    if _type(node) not in _TYPES:
        problems.append(Problem(line_of(node), path, f"needs a type: object, {', '.join(_TYPES)}"))
    else:
        try:
            limits = _limits(words)
        except (ValueError, re.error) as error:
            problems.append(Problem(line_of(node), path, str(error)))
    default: str | None = None
    if limits is not None and "default" in words:
        value = converted(words["default"], limits)
        if isinstance(value, Problem):
            problems.append(Problem(line_of(words["default"]), path, f"its own default: {value.text}"))
        else:
            default = value
    if problems or limits is None:
        return problems
    return Field(
        path,
        limits,
        default,
        required,
        secret=_flag(words, "writeOnly") or _flag(words, "x-secret"),
        immutable=_flag(words, "x-immutable"),
        description=words["description"].value if isinstance(words.get("description"), yaml.ScalarNode) else "",
    )


def _limits(words: dict[str, yaml.Node]) -> Limits:
    kind = words["type"].value
    pattern = str(words["pattern"].value) if "pattern" in words else ""
    re.compile(pattern)
    items = words.get("items")
    item: Limits | None = None
    if kind == "array":
        inner = {name: value for name, _, value in entries(items)} if isinstance(items, yaml.MappingNode) else {}
        if "type" not in inner or inner["type"].value not in _TYPES[:-1]:
            raise ValueError("an array needs items with a type: string, integer, number or boolean")
        if unknown := sorted(inner.keys() - _FIELD):
            raise ValueError(f"{', '.join(unknown)} is not understood in items")
        item = _limits(inner)
    enum: tuple[str, ...] = ()
    if "enum" in words:
        found = words["enum"].value if isinstance(words["enum"], yaml.SequenceNode) else []
        values = [scalar(each, kind) for each in found]
        enum = tuple(value for value in values if isinstance(value, str))
        if not enum or len(enum) < len(values):
            raise ValueError(f"enum is a list of values of the type {kind}")
    least, most = ("minItems", "maxItems") if kind == "array" else ("minLength", "maxLength")
    return Limits(
        kind,
        item,
        enum,
        pattern,
        _number(words, "minimum"),
        _number(words, "maximum"),
        int(_number(words, least) or 0),
        int(_number(words, most) or 1 << 15),
    )


def _number(words: dict[str, yaml.Node], name: str) -> float | None:
    return float(words[name].value) if name in words else None


def _flag(words: dict[str, yaml.Node], name: str) -> bool:
    return name in words and words[name].value == "true"


def _type(node: yaml.MappingNode) -> str:
    return next((str(value.value) for name, _, value in entries(node) if name == "type"), "")


def lines_of(schema: Schema) -> Iterator[str]:
    """Return a line of help for every field."""
    for field in schema.fields:
        default = f"default {field.default}" if field.default is not None and not field.secret else "required" if field.required else "no default"
        marks = ", ".join([field.limits.kind, default, *(["secret"] if field.secret else []), *(["for life"] if field.immutable else [])])
        yield f"  {field.path} ({marks})" + (f": {field.description}" if field.description else "")


def tree(pairs: dict[str, str]) -> dict[str, object]:
    """Return values by dotted paths, each JSON, as the nested object that charts want."""
    root: dict[str, object] = {}
    for path, text in sorted(pairs.items()):
        *above, name = path.split(".")
        at = root
        for step in above:
            inner = at.setdefault(step, {})
            assert isinstance(inner, dict)  # noqa: S101 - a schema has no field within a field
            at = inner
        at[name] = json.loads(text)
    return root
