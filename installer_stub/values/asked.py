"""Secrets that have to be set and that nobody has given: a person at a terminal types them, unseen; elsewhere they are named, as ever."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from installer_stub.clusterfile.check import Problem
from installer_stub.host.command import Secret
from installer_stub.plan.settings import SiteSettings
from installer_stub.values.convert import converted, node_of
from installer_stub.values.model import Kept, Wished
from installer_stub.values.schema import Field, Schema
from installer_stub.values.site_values import lacking

Ask = Callable[[str], Secret]  # a prompt → what was typed
_TRIES: Final = 3


def asked(schema: Schema, recorded: SiteSettings, wished: Wished, kept: Kept, ask: Ask | None) -> Wished:
    """Return ``wished`` with what a person types for the secrets that are missing; as it is where ``ask`` is None.

    Nobody is asked for a secret if other values are missing too: the run ends all the same. Nothing typed is no answer.
    """
    missing, lost = lacking(schema, recorded, wished, kept)
    fields = [schema.field(path) for path in dict.fromkeys((*missing, *lost))]
    if ask is None or any(field is None or not field.secret for field in fields):
        return wished
    typed: dict[str, Secret] = {}
    for field in fields:
        value = _typed(field, ask) if field is not None else None
        if field is None or value is None:
            break
        typed[field.path] = value
    return replace(wished, secret=tuple(sorted({**dict(wished.secret), **typed}.items())), dropped=wished.dropped - typed.keys())


def _typed(field: Field, ask: Ask) -> Secret | None:
    """Return what was typed as JSON, None for nothing, or for what the schema does not allow three times."""
    prompt = f"{field.path}, a secret of this site" + (f" ({field.description})" if field.description else "")
    for _ in range(_TRIES):
        text = ask(prompt).reveal()
        if not text:
            return None
        value = converted(node_of(text, field.limits), field.limits)
        if not isinstance(value, Problem):
            return Secret(value)
        prompt = f"{field.path}: {value.text}; once more"
    return None
