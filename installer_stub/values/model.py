"""Values as they are wished, recorded and used. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Final

from installer_stub.host.command import Secret
from installer_stub.plan.settings import Pairs
from installer_stub.values.schema import NO_VALUES, Schema, tree

Secrets = tuple[tuple[str, Secret], ...]
_NO_SALT: Final = "00" * 16  # of a site whose secrets are all defaults: those stand in the bundle, and are none


@dataclass(frozen=True, slots=True)
class Wished:
    """What one request says of values: JSON by path. ``dropped`` go back to their defaults."""

    plain: Pairs = ()
    secret: Secrets = ()
    dropped: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Kept:
    """The secrets that a site has, as its masters keep them for root alone. ``salt`` makes their marks worthless to others."""

    salt: str = ""
    secrets: Secrets = ()

    def marks(self) -> Pairs:
        """Return what the record may hold of them: whether a secret is the same, and nothing else."""
        return tuple((path, mark(self.salt, path, secret)) for path, secret in self.secrets)


@dataclass(frozen=True, slots=True)
class Effective:
    """What CMDs and charts see: everything recorded, and the schema's defaults for the rest."""

    schema: Schema = NO_VALUES
    plain: Pairs = ()
    kept: Kept = Kept()

    @property
    def secrets(self) -> Secrets:
        """All secrets, those with a default of the schema too."""
        return self.kept.secrets

    @property
    def variables(self) -> dict[str, str]:
        """Return the environment: every value that is no secret. A text without its quotes, everything else as JSON."""
        found = {}
        for path, text in self.plain:
            field = self.schema.field(path)
            if field is not None:
                value = json.loads(text)
                found[field.variable] = value if isinstance(value, str) else text
        return found

    @property
    def identity(self) -> str:
        """Return what changes with any value, and tells nothing of a secret; empty for a bundle without values."""
        if not self.schema.fields:
            return ""
        return hashlib.sha256(json.dumps([self.plain, self.kept.marks()]).encode()).hexdigest()

    def document(self) -> str:
        """Return all values, secrets too, as the file that ``helm -f`` reads: JSON, which is YAML."""
        every = {**dict(self.plain), **{path: secret.reveal() for path, secret in self.secrets}}
        return json.dumps(tree(every), indent=2, ensure_ascii=False) + "\n"


NOTHING: Final = Effective()


def mark(salt: str, path: str, secret: Secret) -> str:
    """Return a secret's mark: an HMAC with the site's salt, which stands beside the secret itself and nowhere else."""
    return hmac.new(bytes.fromhex(salt), f"{path}\0{secret.reveal()}".encode(), hashlib.sha256).hexdigest()[:32]


def merged(kept: Kept, wished: Wished, salt: str) -> Kept:
    """Return the secrets that a site has after ``wished``. ``salt`` is the new one, for a site that has none."""
    secrets = {path: secret for path, secret in kept.secrets if path not in wished.dropped} | dict(wished.secret)
    return Kept(kept.salt or salt, tuple(sorted(secrets.items()))) if secrets else kept


def effective(schema: Schema, plain: Pairs, kept: Kept) -> tuple[Effective, tuple[str, ...]]:
    """Return what is used, and the paths of what has to be set and is not. What the schema does not know any more is left out."""
    recorded = {path: text for path, text in plain if (field := schema.field(path)) is not None and not field.secret}
    secrets = {path: secret for path, secret in kept.secrets if (field := schema.field(path)) is not None and field.secret}
    missing = []
    for field in schema.fields:
        if field.path in recorded or field.path in secrets:
            continue
        if field.default is None:
            missing += [field.path] if field.required else []
        elif field.secret:
            secrets[field.path] = Secret(field.default)
        else:
            recorded[field.path] = field.default
    whole = Kept(kept.salt or _NO_SALT, tuple(sorted(secrets.items()))) if secrets else kept
    return Effective(schema, tuple(sorted(recorded.items())), whole), tuple(missing)
