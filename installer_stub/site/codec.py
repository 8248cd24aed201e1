"""The bytes of a SiteRecord and of an Identity: canonical JSON with a checksum. ``encode(decode(x)) == x`` or an error.

Canonical: keys sorted, no blanks, UTF-8, one newline at the end. ``checksum`` is the SHA-256 of the document without it, so
that a torn or edited file is seen; it protects against accidents, not against root.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from installer_stub.errors import RecordError
from installer_stub.host.model import Role
from installer_stub.plan.settings import AS_USUAL, MOST_PATCH, SiteSettings
from installer_stub.site.fields import Fields, Malformed
from installer_stub.site.model import (
    BundleState,
    Change,
    Identity,
    InstalledBundle,
    Networks,
    Site,
    SiteHost,
    SiteRecord,
    Versions,
)

RECORD_FORMAT: Final = "airseal.site/1"
IDENTITY_FORMAT: Final = "airseal.host/1"
MOST_BYTES: Final = 1 << 20  # etcd takes 1.5 MiB; 5000 hosts are 0.9 MB
_MOST_EPOCHS: Final = 1 << 53
_FAMILY: Final = "airseal."


def encode_record(record: SiteRecord) -> bytes:
    """Return the record's one spelling."""
    site = record.site
    settings = {} if site.settings == AS_USUAL else {"settings": _settings_value(site.settings)}
    return _sealed(
        {
            **settings,
            "format": RECORD_FORMAT,
            "cluster": record.cluster,
            "epoch": record.epoch,
            "authority": record.authority,
            "versions": {"kubernetes": record.versions.kubernetes, "airseal": record.versions.airseal},
            "changed": {"at": record.changed.at, "by": record.changed.by, "verb": record.changed.verb},
            "networks": {"pods": site.networks.pods, "services": site.networks.services},
            "pending": list(record.pending),
            "endpoint": site.endpoint,
            "sans": list(site.sans),
            "options": dict(site.options),
            "bundles": [
                {"name": each.name, "version": each.version, "digest": each.digest, "state": each.state.value}
                | ({"publishers": list(each.publishers)} if each.publishers else {})
                for each in site.bundles
            ],
            "hosts": [_host_value(host) for host in site.hosts],
        },
    )


def decode_record(raw: bytes) -> SiteRecord:
    """Return the record. Raises RecordError for anything but the bytes that ``encode_record`` makes."""
    fields = _opened(raw, RECORD_FORMAT)
    try:
        record = _record(fields)
        fields.done()
    except ValueError as error:
        raise RecordError(f"the site's record is malformed: {error}") from None
    if encode_record(record) != raw:
        raise RecordError("the site's record is not in its one spelling: somebody edited it")
    return record


def encode_identity(identity: Identity) -> bytes:
    """Return the identity's one spelling."""
    return _sealed(
        {
            "format": IDENTITY_FORMAT,
            "cluster": identity.cluster,
            "bundles": list(identity.bundles),
            "name": identity.name,
            "role": identity.role.value,
            "masters": list(identity.masters),
        },
    )


def decode_identity(raw: bytes) -> Identity:
    """Return the identity. Raises RecordError for anything but the bytes that ``encode_identity`` makes."""
    fields = _opened(raw, IDENTITY_FORMAT)
    try:
        identity = Identity(
            fields.text("cluster", empty=False),
            fields.texts("bundles"),
            fields.text("name"),
            Role(fields.text("role")),
            fields.texts("masters"),
        )
        fields.done()
    except ValueError as error:
        raise RecordError(f"the host's identity is malformed: {error}") from None
    if encode_identity(identity) != raw:
        raise RecordError("the host's identity is not in its one spelling: somebody edited it")
    return identity


def _host_value(host: SiteHost) -> dict[str, object]:
    return {
        "name": host.name,
        "role": host.role.value,
        "address": host.address,
        "internal": host.internal,
        "user": host.user,
        "port": host.port,
        "labels": dict(host.labels),
        "taints": list(host.taints),
        "env": dict(host.env),
    }


def _settings_value(settings: SiteSettings) -> dict[str, object]:
    values = {"values": dict(settings.values)} if settings.values else {}
    secrets = {"secrets": dict(settings.secrets)} if settings.secrets else {}
    return {
        **values,
        **secrets,
        "env": dict(settings.env),
        "registryPort": settings.registry_port,
        "directories": dict(settings.directories),
        "patches": dict(settings.patches),
    }


def _settings(fields: Fields) -> SiteSettings:
    """Return the settings; a record without them is that of a site that is as usual."""
    if not fields.has("settings"):
        return AS_USUAL
    inner = fields.inner("settings")
    port = inner.number("registryPort", 1, 65535)
    settings = SiteSettings(
        inner.pairs("env"),
        port,
        inner.pairs("directories"),
        inner.pairs("patches", most=MOST_PATCH),
        inner.pairs("values", most=MOST_PATCH) if inner.has("values") else (),
        inner.pairs("secrets") if inner.has("secrets") else (),
    )
    inner.done()
    return settings


def _record(fields: Fields) -> SiteRecord:
    versions, changed, networks = fields.inner("versions"), fields.inner("changed"), fields.inner("networks")
    record = SiteRecord(
        cluster=fields.text("cluster", empty=False),
        epoch=fields.number("epoch", 1, _MOST_EPOCHS),
        authority=fields.text("authority"),
        versions=Versions(versions.text("kubernetes"), versions.text("airseal")),
        pending=fields.texts("pending"),
        changed=Change(changed.text("at"), changed.text("by"), changed.text("verb")),
        site=Site(
            hosts=tuple(_host(each) for each in fields.each("hosts")),
            networks=Networks(networks.text("pods", empty=False), networks.text("services", empty=False)),
            bundles=tuple(_bundle(each) for each in fields.each("bundles")),
            endpoint=fields.text("endpoint"),
            sans=fields.texts("sans"),
            options=fields.pairs("options"),
            settings=_settings(fields),
        ),
    )
    for part in (versions, changed, networks):
        part.done()
    for what in ("name", "address", "internal"):
        values = [getattr(host, what) for host in record.site.hosts]
        if len(set(values)) < len(values):
            raise Malformed(f"hosts: two have the same {what}")
    return record


def _host(fields: Fields) -> SiteHost:
    host = SiteHost(
        name=fields.text("name", empty=False),
        role=Role(fields.text("role")),
        address=fields.text("address", empty=False),
        internal=fields.text("internal", empty=False),
        user=fields.text("user", empty=False),
        port=fields.number("port", 1, 65535),
        labels=fields.pairs("labels"),
        taints=fields.texts("taints"),
        env=fields.pairs("env"),
    )
    fields.done()
    return host


def _bundle(fields: Fields) -> InstalledBundle:
    bundle = InstalledBundle(
        fields.text("name", empty=False), fields.text("version"), fields.text("digest"), BundleState(fields.text("state")),
        fields.texts("publishers") if fields.has("publishers") else (),
    )  # fmt: skip
    fields.done()
    return bundle


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _sealed(value: dict[str, object]) -> bytes:
    checksum = hashlib.sha256(_canonical(value)).hexdigest()
    return _canonical({**value, "checksum": checksum})


def _opened(raw: bytes, wanted: str) -> Fields:
    what = "the site's record" if wanted == RECORD_FORMAT else "the host's identity"
    if len(raw) > MOST_BYTES:
        raise RecordError(f"{what} is {len(raw)} bytes long; no more than {MOST_BYTES} are read")
    try:
        value: Any = json.loads(raw)
    except (ValueError, RecursionError):
        raise RecordError(f"{what} is torn: it is no JSON") from None
    if not isinstance(value, dict):
        raise RecordError(f"{what} is torn: it is no JSON object")
    said = value.get("format")
    if said != wanted:
        newer = isinstance(said, str) and said.startswith(_FAMILY)
        problem = f"{what} is of the format {str(said)[:40]!r}, and this airseal knows {wanted!r}"
        raise RecordError(problem, "use the airseal that wrote it, or a newer one" if newer else "", newer=newer)
    checksum = value.pop("checksum", None)
    try:
        sound = checksum == hashlib.sha256(_canonical(value)).hexdigest()
    except (ValueError, RecursionError):
        sound = False
    if not sound:
        raise RecordError(f"{what} is torn: its checksum is another one")
    del value["format"]
    return Fields(value, "record")
