"""The file of ``--require-signatures``: which images have to be signed, and by whom.

::

    rules:
      - images: [registry.example.com/shop/**]
        keys: [keys/shop.pub, keys/shop-old.pub]      # one of them is enough; files beside this one
      - images: [docker.io/library/redis]
        keys: [keys/redis.pub]
        signed-as: [build.example.com/mirror/redis]   # other names that the signature may say, for images that were copied
      - images: [registry.k8s.io/**]
        unsigned: allowed
        reason: Kubernetes signs without keys, which cannot be verified offline

The first rule with a pattern that matches an image's full repository decides; an image that no rule is about is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from bundler.errors import UsageError
from bundler.policy.patterns import MOST, matches, pattern_problem
from bundler.policy.verifier import Verifier
from installer_stub.clusterfile.check import Problem, check, entries, line_of
from installer_stub.clusterfile.document import MOST_BYTES, compose, refuse
from installer_stub.errors import UsageError as FileWrong
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Repository

OPTION: Final = "--require-signatures"
_REMEDY: Final = f"correct the file of {OPTION}"
_KEYLESS: Final = "signatures without a key (Fulcio, Rekor) are not verified: they need services on the internet; name keys, or say unsigned: allowed with a reason"


def _texts(most: int, length: int) -> dict[str, object]:
    return {"type": "array", "minItems": 1, "maxItems": most, "items": {"type": "string", "minLength": 1, "maxLength": length}}


_RULE: Final[Mapping[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["images"],
    "properties": {
        "images": _texts(200, MOST),
        "keys": _texts(20, 4096),
        "signed-as": _texts(50, MOST),
        "unsigned": {"type": "string", "enum": ["allowed"]},
        "reason": {"type": "string", "minLength": 1, "maxLength": 500},
        "keyless": {"x-not-yet": _KEYLESS},
    },
}
SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["rules"],
    "properties": {"rules": {"type": "array", "minItems": 1, "maxItems": 500, "items": _RULE}},
}


@dataclass(frozen=True, slots=True)
class Rule:
    """Images whose repository one of ``images`` matches have a signature by one of ``keys``, or need none because of ``unsigned``.

    A signature names the image's own repository, or one that ``signed_as`` matches.
    """

    images: tuple[str, ...]
    keys: tuple[Verifier, ...] = ()
    signed_as: tuple[str, ...] = ()
    unsigned: str = ""

    def names(self, signed: Repository, pulled: Repository) -> bool:
        """Tell whether a signature that names ``signed`` counts for an image of ``pulled``."""
        return signed == pulled or any(matches(str(signed), pattern) for pattern in self.signed_as)


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of the file ``name``, in order. ``digest`` is of the file's bytes."""

    name: str
    digest: Digest
    rules: tuple[Rule, ...]

    def rule_for(self, repository: Repository) -> Rule | None:
        """Return the rule that decides on a repository, None if there is none."""
        name = str(repository)
        return next((rule for rule in self.rules if any(matches(name, pattern) for pattern in rule.images)), None)

    def to_key(self) -> dict[str, object]:
        """Return what decides how a recording is judged, as JSON values: the file, and the keys that it only names."""
        return {"policy": str(self.digest), "keys": [[key.fingerprint for key in rule.keys] for rule in self.rules]}


def load(path: Path) -> Policy:
    """Return the policy in a file, its keys loaded. Raises UsageError with all that is wrong with it, as ``file:line: path: problem``."""
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{OPTION} {path}: {error.strerror}", "name a YAML file with rules (docs/signatures.md)") from None
    return parse(raw, path)


def parse(raw: bytes, path: Path) -> Policy:
    """Return what the bytes of the file ``path`` say. Raises UsageError."""
    name = str(path)
    try:
        node = compose(raw, name, too_large="let fewer rules with patterns say it", anchored="{place}: anchors and aliases are not read here")
        if node is None:
            raise UsageError(f"{name} is empty: an image that no rule is about is refused, so every build would be", _REMEDY)
        refuse(name, [*check(node, SCHEMA), *_together(node)], _REMEDY)
    except FileWrong as error:
        raise UsageError(error.problem, error.remedy) from None
    document = yaml.load(raw, Loader=yaml.SafeLoader)
    known: dict[str, Verifier] = {}
    return Policy(name, Digest.of(raw), tuple(_rule(each, path.parent, known) for each in document["rules"]))


def _rule(value: Mapping[str, Any], directory: Path, known: dict[str, Verifier]) -> Rule:
    for name in value.get("keys", ()):
        if name not in known:
            known[name] = Verifier.load(directory / name, name)
    keys = tuple(known[name] for name in value.get("keys", ()))
    return Rule(tuple(value["images"]), keys, tuple(value.get("signed-as", ())), value.get("reason", ""))


def _together(node: yaml.Node) -> Iterator[Problem]:
    """What no field shows alone: a rule names keys, or says why there are none; and patterns can mean something."""
    listed = {name: value for name, _, value in entries(node)}.get("rules") if isinstance(node, yaml.MappingNode) else None
    for index, item in enumerate(listed.value if isinstance(listed, yaml.SequenceNode) else ()):
        if not isinstance(item, yaml.MappingNode):
            continue
        fields = {name: value for name, _, value in entries(item)}
        path = f"rules[{index}]"
        if "keyless" not in fields and ("keys" in fields) == ("unsigned" in fields):
            yield Problem(line_of(item), path, "needs keys, or unsigned: allowed with a reason; not both")
        if ("unsigned" in fields) != ("reason" in fields):
            yield Problem(line_of(item), path, "unsigned: allowed and reason belong together")
        if "signed-as" in fields and "keys" not in fields:
            yield Problem(line_of(item), path, "signed-as is about signatures, and this rule has no keys")
        for field in ("images", "signed-as"):
            patterns = fields.get(field)
            for number, each in enumerate(patterns.value if isinstance(patterns, yaml.SequenceNode) else ()):
                if isinstance(each, yaml.ScalarNode) and each.value and (problem := pattern_problem(each.value)):
                    yield Problem(line_of(each), f"{path}.{field}[{number}]", f"{each.value[:80]!r} {problem}")
