"""A schema is read whole, or everything that is wrong in it is said at once with its line."""

from __future__ import annotations

import json

import pytest

from installer_stub.errors import UsageError
from installer_stub.values.schema import lines_of, parse_schema, tree

SHOP = """\
{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "required": ["db"],
 "properties": {
  "replicas": {"type": "integer", "minimum": 1, "maximum": 9, "default": 2, "description": "how many"},
  "zones": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]+$"}, "maxItems": 2, "default": ["a"]},
  "tls": {"type": "boolean", "default": false, "x-immutable": true},
  "ratio": {"type": "number", "enum": [0.5, 1]},
  "db": {"type": "object", "required": ["password"], "additionalProperties": false, "properties": {
    "host": {"type": "string", "default": "db", "maxLength": 10},
    "password": {"type": "string", "writeOnly": true, "minLength": 8, "description": "of the database"},
    "token": {"type": "string", "x-secret": true}}}}}
"""


def schema(text: str = SHOP):
    return parse_schema(text.encode())


def test_fields_in_their_order_with_what_they_may_be() -> None:
    found = {field.path: field for field in schema().fields}
    assert list(found) == ["replicas", "zones", "tls", "ratio", "db.host", "db.password", "db.token"]
    assert [field.path for field in found.values() if field.required] == ["db.password"]
    assert [field.path for field in found.values() if field.secret] == ["db.password", "db.token"]
    assert [field.path for field in found.values() if field.immutable] == ["tls"]
    assert (found["zones"].default, found["tls"].default, found["ratio"].limits.enum) == ('["a"]', "false", ("0.5", "1"))
    assert found["db.host"].variable == "AIRSEAL_VALUE_DB_HOST"


def test_what_is_required_in_what_is_not_required_is_not() -> None:
    text = SHOP.replace('"required": ["db"],\n', "\n")
    assert not any(field.required for field in schema(text).fields)


def test_help_tells_of_every_field_and_shows_no_secret() -> None:
    lines = list(lines_of(schema(SHOP.replace('"x-secret": true', '"x-secret": true, "default": "hunter22"'))))
    assert lines[0] == "  replicas (integer, default 2): how many"
    assert "  tls (boolean, default false, for life)" in lines
    assert "  db.password (string, required, secret): of the database" in lines
    assert not any("hunter22" in line for line in lines)


@pytest.mark.parametrize(
    ("properties", "line", "words"),
    [
        ('"a": {"type": "text"}', 2, "a: needs a type"),
        ('"a": {}', 2, "a: needs a type"),
        ('"a": {"type": "string", "format": "date"}', 2, "'format' is not understood"),
        ('"a": {"type": "object", "properties": {"b": {"type": "integer", "default": "x"}}}', 2, "a.b: its own default: a whole number is wanted"),
        ('"a": {"type": "string", "enum": [1]}', 2, "enum is a list of values of the type string"),
        ('"a": {"type": "string", "enum": ["x"], "default": "y"}', 2, "its own default"),
        ('"a": {"type": "string", "pattern": "("}', 2, "unterminated"),
        ('"a": {"type": "integer", "minimum": "one"}', 2, "could not convert"),
        ('"a": {"type": "array"}', 2, "needs items"),
        ('"a": {"type": "array", "items": {"type": "object"}}', 2, "needs items with a type"),
        ('"a": {"type": "object"}', 2, "an object needs properties"),
        ('"a": {"type": "object", "additionalProperties": true, "properties": {}}', 2, "objects are closed"),
        ('"a": {"type": "object", "required": ["b"], "properties": {}}', 2, "requires 'b'"),
        ('"a.b": {"type": "string"}', 2, "is no name"),
        ('"a": "string"', 2, "an object is wanted"),
        ('"a-b": {"type": "string"},\n"a_b": {"type": "string"}', 1, "the same environment variable as a-b"),
        ('"a": &x {"type": "string"}, "b": *x', 2, "anchors"),
    ],
)
def test_what_no_site_could_use(properties: str, line: int, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        schema(f'{{"type": "object", "properties": {{\n{properties}}}}}')
    assert f"values.schema.json:{line}: " in caught.value.problem
    assert words in caught.value.problem


def test_all_problems_are_said_at_once() -> None:
    with pytest.raises(UsageError, match="has 2 problems"):
        schema('{"type": "object", "properties": {"a": {}, "b": {"type": "array"}}}')


@pytest.mark.parametrize("text", ["", "[]", "{", "x" * (1 << 18) + "x"])
def test_what_is_no_schema(text: str) -> None:
    with pytest.raises(UsageError):
        schema(text)


def test_values_become_the_tree_that_charts_want() -> None:
    assert tree({"a.b": "1", "a.c": '"x"', "d": "[true]"}) == {"a": {"b": 1, "c": "x"}, "d": [True]}
    assert json.dumps(tree({})) == "{}"
