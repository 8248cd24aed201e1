"""From the record and a request to the values of a site: pure. What is said again is no change; what is said otherwise is one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from installer_stub.errors import UsageError
from installer_stub.host.command import Secret
from installer_stub.plan.settings import Pairs, SiteSettings
from installer_stub.site.merge import Difference
from installer_stub.values.model import Effective, Kept, Wished, effective, merged
from installer_stub.values.schema import Schema


@dataclass(frozen=True, slots=True)
class SiteValues:
    """``settings`` are the record's, as they are to be; ``given`` is what masters keep beside it, for root alone.

    ``changed`` are values that another one was recorded for; ``refused`` those of them that stay for the life of the cluster.
    """

    settings: SiteSettings
    effective: Effective
    given: Kept
    changed: tuple[Difference, ...] = ()
    refused: tuple[Difference, ...] = ()


def site_values(schema: Schema, recorded: SiteSettings, wished: Wished, kept: Kept, salt: str, *, begun: bool) -> SiteValues:
    """Return what ``wished`` makes of the record. ``begun``: there is a site already, and what it uses are values too.

    ``kept`` are the secrets of a master; ``salt`` is for a site that has none yet. Raises UsageError for what has to be set and
    is not, and for secrets that the record knows and no master has.
    """
    given = merged(kept, wished, salt)
    settings = replace(recorded, values=_plain(recorded, wished), secrets=given.marks())
    now, _ = effective(schema, settings.values, given)
    missing, lost = lacking(schema, recorded, wished, kept)
    if missing or lost:
        raise UsageError(_absent(schema, missing, lost), "set them with --set PATH=VALUE, --values FILE, or --set-file PATH=FILE for secrets; inspect --values explains each")
    if not begun:
        return SiteValues(settings, now, given)
    before, _ = effective(schema, recorded.values, kept)
    changed = tuple(_differences(schema, before, now))
    for_life = {field.path for field in schema.fields if field.immutable}
    refused = tuple(each for each in changed if each.option in for_life)
    return SiteValues(settings, now, given, tuple(each for each in changed if each not in refused), refused)


def lacking(schema: Schema, recorded: SiteSettings, wished: Wished, kept: Kept) -> tuple[tuple[str, ...], list[str]]:
    """Return the paths of what has to be set and is not, and of secrets that the record knows and ``kept`` has not."""
    _, missing = effective(schema, _plain(recorded, wished), merged(kept, wished, ""))
    named = {path for path, _ in wished.plain} | {path for path, _ in wished.secret} | wished.dropped
    return missing, sorted({path for path, _ in recorded.secrets} - {path for path, _ in kept.secrets} - named)


def _plain(recorded: SiteSettings, wished: Wished) -> Pairs:
    plain = {path: text for path, text in recorded.values if path not in wished.dropped} | dict(wished.plain)
    return tuple(sorted(plain.items()))


def _differences(schema: Schema, before: Effective, now: Effective) -> list[Difference]:
    one: dict[str, str | Secret] = {**dict(before.plain), **dict(before.secrets)}
    other: dict[str, str | Secret] = {**dict(now.plain), **dict(now.secrets)}
    found = []
    for field in schema.fields:
        if one.get(field.path) != other.get(field.path):
            recorded, requested = (str(each.get(field.path, "nothing")) for each in (one, other))  # a Secret shows stars
            found.append(Difference(field.path, recorded, requested, f"leave {field.path} as it is recorded: a cluster keeps it for life"))
    return found


def _absent(schema: Schema, missing: tuple[str, ...], lost: list[str]) -> str:
    lines = [f"  - {path}: has to be set" + (f": {text}" if (text := _description(schema, path)) else "") for path in missing]
    lines += [f"  - {path}: is a secret of this site, and no master that answers has it" for path in lost if path not in missing]
    return "values are missing; nothing was changed:\n" + "\n".join(lines)


def _description(schema: Schema, path: str) -> str:
    field = schema.field(path)
    return field.description if field is not None else ""
