"""Conditions that a bundle declares itself, in ``/cluster/conditions.yaml``: what has to be true before it counts as ready.

::

    conditions:
      - name: the database takes writes
        of: {kind: clusters.postgresql.example.org, namespace: db, name: main}
        jsonpath: "{.status.phase}"
        is: Running
        timeout: 300
      - name: the database has its replicas
        of: {kind: clusters.postgresql.example.org, namespace: db, name: main}
        cel: object.status.readyInstances >= 2 && object.status.conditions.exists(c, c.type == "Ready" && c.status == "True")
      - name: the shop answers
        command: [scripts/probe.sh, --once]
        timeout: 60
    may-stay-unready:
      - {kind: DaemonSet, namespace: gpu, name: plugin, because: no host of the build has a GPU}

A jsonpath is kubectl's; CEL is ``installer_stub.cel``'s, with the object as ``object`` (or ``self``), and what is not understood of it is refused
when the file is read; a command runs as a CMD does, and its exit code says yes (0) or not yet.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from installer_stub.cel.condition import Expression
from installer_stub.cel.tokens import MOST_CHARACTERS
from installer_stub.cel.tree import ExpressionInvalid
from installer_stub.clusterfile.check import Problem, check, entries
from installer_stub.clusterfile.document import compose, refuse
from installer_stub.quiet.paths import path_problem

FILE: Final = "conditions.yaml"
TIMEOUT: Final = 300  # seconds, where a condition says none
_FORMS: Final = "a jsonpath with of and is, a cel with of, or a command"
_NEAR: Final = 40  # characters of an expression that show where it is wrong


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
        "cel": _text(MOST_CHARACTERS),
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
    """One condition. ``jsonpath`` of an object (``kind``, ``namespace``, ``object``) is ``wanted``, or ``cel`` is true of it, or ``command`` ends with 0."""

    name: str
    timeout: float  # seconds
    command: tuple[str, ...] = ()
    kind: str = ""
    namespace: str = ""
    object: str = ""
    jsonpath: str = ""
    wanted: str = ""
    cel: Expression | None = None

    @property
    def silent(self) -> bool:
        """Whether nothing of what stands in the object may be told: it is a Secret."""
        return self.kind.lower().partition(".")[0] in {"secret", "secrets"}


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
        yield from (Problem(line, path, problem) for problem in _forms(fields.keys()))
        for form, problem_of in (("cel", _cel_problem), ("jsonpath", path_problem)):
            if form in fields:
                yield from _expression(fields[form], f"{path}.{form}", problem_of)
        if "name" in fields and isinstance(fields["name"], yaml.ScalarNode):
            if fields["name"].value in seen:
                yield Problem(fields["name"].start_mark.line + 1, f"{path}.name", "another condition has this name")
            seen.add(fields["name"].value)


def _forms(fields: Collection[str]) -> Iterator[str]:
    """Return what is wrong with a condition that has these fields."""
    used = [form for form in ("jsonpath", "cel", "command") if form in fields]
    if not used and {"of", "is"}.isdisjoint(fields):
        yield f"needs {_FORMS}"
        return
    if len(used) > 1 or (used == ["command"] and not {"of", "is"}.isdisjoint(fields)) or (used == ["cel"] and "is" in fields):
        yield f"is {_FORMS}: not more than one of them"
        return
    wanted = {"cel": {"of"}, "command": set[str]()}.get("".join(used), {"of", "jsonpath", "is"})
    if missing := sorted(wanted - {*fields}):
        yield f"needs {', '.join(missing)} too"


def _cel_problem(source: str) -> tuple[int, str] | None:
    try:
        Expression.read(source)
    except ExpressionInvalid as error:
        return error.at, error.problem
    return None


def _expression(node: yaml.Node, path: str, problem_of: Callable[[str], tuple[int, str] | None]) -> Iterator[Problem]:
    """Return what is wrong with an expression, in the line where it is wrong."""
    if not isinstance(node, yaml.ScalarNode) or not 0 < len(node.value) <= MOST_CHARACTERS:
        return  # said already
    source = str(node.value)
    if found := problem_of(source):
        line, before = node.start_mark.line + 1, source[: found[0]]
        if node.style == "|":  # the one style whose lines are the file's
            line, before = line + 1 + before.count("\n"), before.rpartition("\n")[2]
        near = source[found[0] :].strip().partition("\n")[0][:_NEAR]
        yield Problem(line, path, f"at character {len(before) + 1}{f' ({near})' if near else ', the end'}: {found[1]}")


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
                Expression.read(each["cel"]) if "cel" in each else None,
            )
            for each in document.get("conditions", ())
        ),
        frozenset((each["kind"], each.get("namespace", ""), each["name"]) for each in document.get("may-stay-unready", ())),
    )
