"""What people give: ``--set``, ``--set-file``, ``--values`` and a Clusterfile, checked against the schema all at once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import yaml

from installer_stub.clusterfile.check import Problem, entries, line_of
from installer_stub.clusterfile.document import MOST_BYTES, compose
from installer_stub.errors import UsageError
from installer_stub.host.command import Secret
from installer_stub.values.convert import converted, node_of
from installer_stub.values.model import Wished
from installer_stub.values.schema import Schema
from installer_stub.values.sources import Given, Sources

_NULL: Final = "tag:yaml.org,2002:null"
_PUBLIC: Final = "is a secret, and a command line or a Clusterfile can be read by others; give it with --set-file {path}=FILE or --values FILE"


def given_by(sources: Sources) -> tuple[Given, ...]:
    """Return all that is given; of two for one path the later one counts. Raises UsageError for what cannot be read."""
    found = list(sources.clusterfile)
    for file in sources.files:
        node = compose(_read(file, "--values"), str(file))
        found += [] if node is None else leaves(node, str(file))
    for text in sources.set_files:
        path, equals, name = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--set-file {path}: no file is named", f"write --set-file {path or 'PATH'}=FILE")
        try:
            found.append(Given(path, _read(Path(name), "--set-file").decode().removesuffix("\n"), f"--set-file {name}"))
        except UnicodeDecodeError:
            raise UsageError(f"--set-file {path}: {name} is no text in UTF-8", "name another file") from None
    for text in sources.sets:
        path, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set {path[:100]}: there is no value", f"write --set {path[:100]}=VALUE; null takes it back to its default")
        found.append(Given(path, value, "--set", open=True))
    return tuple(found)


def leaves(node: yaml.Node, name: str, *, public: bool = False, path: str = "") -> Iterator[Given]:
    """Return every value of a tree that a file called ``name`` holds, with its line."""
    if isinstance(node, yaml.MappingNode) and (node.value or not path):
        for field, _, value in entries(node):
            yield from leaves(value, name, public=public, path=f"{path}.{field}" if path else field)
    else:
        yield Given(path, node, f"{name}:{line_of(node)}", public)


def check_given(schema: Schema, given: Iterable[Given]) -> Wished:
    """Return what is wished. Raises UsageError with everything that is wrong, as ``where: path: problem``."""
    problems: list[str] = []
    plain: dict[str, str] = {}
    secret: dict[str, Secret] = {}
    dropped: set[str] = set()
    for each in given:
        field = schema.field(each.path)
        if field is None:
            problems.append(f"{each.where}: {each.path or '(the whole file)'}: {_unknown(schema, each.path)}")
            continue
        if each.node == "null" or (isinstance(each.node, yaml.Node) and each.node.tag == _NULL):
            plain.pop(each.path, None)
            secret.pop(each.path, None)
            dropped.add(each.path)
            continue
        if field.secret and each.open:
            problems.append(f"{each.where}: {each.path}: {_PUBLIC.format(path=each.path)}")
            continue
        node = node_of(each.node, field.limits) if isinstance(each.node, str) else each.node
        value = converted(node, field.limits)
        if isinstance(value, Problem):
            problems.append(f"{each.where}: {each.path}: {value.text}")
            continue
        dropped.discard(each.path)
        if field.secret:
            secret[each.path] = Secret(value)
        else:
            plain[each.path] = value
    if problems:
        count = "1 value is" if len(problems) == 1 else f"{len(problems)} values are"
        lines = "\n".join(dict.fromkeys(problems))
        raise UsageError(f"{count} not what the bundle's schema allows; nothing was changed:\n{lines}", "inspect --values lists what can be set")
    return Wished(tuple(sorted(plain.items())), tuple(sorted(secret.items())), frozenset(dropped))


def _unknown(schema: Schema, path: str) -> str:
    if not schema.fields:
        return "this bundle has no values to set: it declares none in values.schema.json"
    below = [field.path for field in schema.fields if field.path.startswith(f"{path}.")]
    if below:
        return f"is an object; set {', '.join(below[:5])}"
    return f"there is no such value; there are {', '.join(field.path for field in schema.fields[:20])}"


def _read(file: Path, option: str) -> bytes:
    try:
        with file.open("rb") as opened:
            raw = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{option} {file}: cannot be read: {error.strerror}", "name a file") from None
    if len(raw) > MOST_BYTES:
        raise UsageError(f"{option} {file}: is larger than {MOST_BYTES} bytes", "what is that long belongs into a file of the bundle")
    return raw


def text_of(secret: Secret) -> str:
    """Return a secret's value as a file holds it: a text without its quotes, everything else as JSON."""
    value = json.loads(secret.reveal())
    return value if isinstance(value, str) else secret.reveal()


def secrets_of(secrets: Iterable[tuple[str, Secret]]) -> tuple[Secret, ...]:
    """Return what a log has to mask for these values: each as JSON, and as a file holds it."""
    return tuple(each for _, secret in secrets for each in (secret, Secret(text_of(secret))))
