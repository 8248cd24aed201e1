"""Conditions that a bundle declares itself, in ``/cluster/conditions.yaml``: what has to be true before it counts as ready.

::

    conditions:
      - name: the database takes writes
        of: {kind: clusters.postgresql.example.org, namespace: db, name: main}
        jsonpath: "{.status.phase}"
        is: Running
        timeout: 300
      - name: the shop answers
        command: [scripts/probe.sh, --once]
        timeout: 60
    may-stay-unready:
      - {kind: DaemonSet, namespace: gpu, name: plugin, because: no host of the build has a GPU}

A jsonpath is kubectl's; a command runs as a CMD does, and its exit code says yes (0) or not yet. CEL is not understood: there is no
evaluator of it among what is frozen into the installer, and half of one would say yes to what it did not understand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from installer_stub.clusterfile.check import Problem, check, entries
from installer_stub.clusterfile.document import compose, refuse

FILE: Final = "conditions.yaml"
TIMEOUT: Final = 300  # seconds, where a condition says none
_NO_CEL: Final = "CEL is not supported: no evaluator of it is in the installer; write a jsonpath with of and is, or a command"


def _text(most: int = 253) -> dict[str, object]:
    return {"type": "string", "minLength": 1, "maxLength": most}


def _object(*more: str) -> dict[str, object]:
    fields = {"kind": _text(), "namespace": _text(), "name": _text(), **{each: _text(1024) for each in more}}
    return {"type": "object", "additionalProperties": False, "required": ["kind", "name", *more], "properties": fields}


_CONDITION: Final[Mapping[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {
        "name": _text(),
        "of": _object(),
        "jsonpath": _text(4096),
        "is": {"type": "string", "maxLength": 4096},
        "command": {"type": "array", "items": {"type": "string", "maxLength": 65536}, "minItems": 1, "maxItems": 100},
        "cel": {"x-not-yet": _NO_CEL},
        "timeout": {"type": "integer", "minimum": 1, "maximum": 86400},
    },
}
SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "conditions": {"type": "array", "items": _CONDITION, "maxItems": 100},
        "may-stay-unready": {"type": "array", "items": _object("because"), "maxItems": 1000},
    },
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition. Either ``jsonpath`` of an object (``kind``, ``namespace``, ``object``) is ``wanted``, or ``command`` ends with 0."""

    name: str
    timeout: float  # seconds
    command: tuple[str, ...] = ()
    kind: str = ""
    namespace: str = ""
    object: str = ""
    jsonpath: str = ""
    wanted: str = ""


@dataclass(frozen=True, slots=True)
class Declared:
    """What a bundle declares: conditions, and what may stay unready, as (kind, namespace, name)."""

    conditions: tuple[Condition, ...] = ()
    excused: frozenset[tuple[str, str, str]] = frozenset()


NOTHING: Final = Declared()


def parse(raw: bytes, name: str = FILE) -> Declared:
    """Return what the file called ``name`` declares. Raises UsageError with all problems, as ``file:line: path: problem``."""
    node = compose(raw, name, too_large="declare less, or let one command check many things", anchored="{name} has anchors and aliases")
    if node is None:
        return NOTHING
    refuse(name, [*check(node, SCHEMA), *_together(node)], "correct the file in the directory that becomes /cluster")
    return _value(yaml.load(raw, Loader=yaml.SafeLoader))


def _together(node: yaml.Node) -> Iterator[Problem]:
    """What no field shows alone: a condition is of one kind, and has a name of its own."""
    listed = {name: value for name, _, value in entries(node)}.get("conditions") if isinstance(node, yaml.MappingNode) else None
    seen: set[str] = set()
    for index, item in enumerate(listed.value if isinstance(listed, yaml.SequenceNode) else ()):
        if not isinstance(item, yaml.MappingNode):
            continue
        fields = {name: value for name, _, value in entries(item)}
        path, line = f"conditions[{index}]", item.start_mark.line + 1
        asked, ran = {"of", "jsonpath", "is"} & fields.keys(), "command" in fields
        if "cel" in fields:
            continue
        if asked and ran:
            yield Problem(line, path, "is a jsonpath or a command, not both")
        elif not asked and not ran:
            yield Problem(line, path, "needs a jsonpath with of and is, or a command")
        elif asked and len(asked) < 3:
            yield Problem(line, path, f"needs {', '.join(sorted({'of', 'jsonpath', 'is'} - asked))} too")
        if "name" in fields and isinstance(fields["name"], yaml.ScalarNode):
            if fields["name"].value in seen:
                yield Problem(fields["name"].start_mark.line + 1, f"{path}.name", "another condition has this name")
            seen.add(fields["name"].value)


def _value(document: Mapping[str, Any]) -> Declared:
    return Declared(
        tuple(
            Condition(
                each["name"],
                float(each.get("timeout", TIMEOUT)),
                tuple(each.get("command", ())),
                each.get("of", {}).get("kind", ""),
                each.get("of", {}).get("namespace", ""),
                each.get("of", {}).get("name", ""),
                each.get("jsonpath", ""),
                each.get("is", ""),
            )
            for each in document.get("conditions", ())
        ),
        frozenset((each["kind"], each.get("namespace", ""), each["name"]) for each in document.get("may-stay-unready", ())),
    )
