"""Where the site's documents lie: the record on every master and in the cluster, an identity on every host.

A file is a value, absent, or unsound, and the third is never taken for the second.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from installer_stub.errors import ClusterError, HostError, RecordError
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection, write
from installer_stub.host.flush import FLUSH
from installer_stub.kube.kubectl import Kubectl
from installer_stub.plan.model import STATE
from installer_stub.site.codec import (
    MOST_BYTES,
    decode_identity,
    decode_record,
    encode_identity,
    encode_record,
)
from installer_stub.site.model import Identity, SiteRecord

RECORD: Final = f"{STATE}/site.json"
IDENTITY: Final = f"{STATE}/cluster.json"
CONFIG_MAP: Final = "airseal-site"
NAMESPACE: Final = "kube-system"
_KEY: Final = "site.json"
_TAKEN: Final = 11

# mv -n makes the name only where there is none, so of two installers one is first and the other one sees it. One that is killed
# leaves its part only where the name was not made, so whoever makes it next comes past here and sweeps: after link(2) nobody would.
_CREATE: Final = FLUSH + """\
umask 077; directory=${1%/*}; mkdir -p "$directory"
for old in "$1".*.part; do pid=${old#"$1".}; kill -0 "${pid%.part}" 2>/dev/null || rm -f "$old"; done
new=$1.$$.part; cat > "$new"; flush "$new"
mv -nT "$new" "$1" 2>/dev/null || [ -e "$1" ] || { rm -f "$new"; echo "$1 cannot be made" >&2; exit 1; }
if [ -e "$new" ]; then rm -f "$new"; exit 11; fi
flush "$directory"
"""


@dataclass(frozen=True, slots=True)
class OldMark:
    """The mark of a release that kept no record: the cluster's id, and the bundle's title."""

    cluster: str
    bundle: str


@dataclass(frozen=True, slots=True)
class HostMark:
    """What one host says about whose it is. ``unsound`` says what is there and cannot be read; None: nothing is."""

    identity: Identity | None = None
    record: SiteRecord | None = None
    old: OldMark | None = None
    unsound: RecordError | None = None

    @property
    def cluster(self) -> str:
        """The id of the cluster, or an empty text where no sound document of ours is."""
        known = self.record or self.identity or self.old
        return known.cluster if known is not None else ""

    @property
    def titles(self) -> tuple[str, ...]:
        """The titles of the bundles that the host knows of."""
        if self.record is not None:
            return tuple(bundle.title for bundle in self.record.site.bundles)
        if self.identity is not None:
            return self.identity.bundles
        return (self.old.bundle,) if self.old is not None and self.old.bundle else ()


def read_mark(connection: Connection) -> HostMark:
    """Return what the host says. Raises HostError where that cannot be told."""
    unsound: RecordError | None = None
    record: SiteRecord | None = None
    raw = connection.read(RECORD)
    if raw is not None:
        try:
            record = decode_record(raw)
        except RecordError as error:
            unsound = error
    raw = connection.read(IDENTITY)
    if raw is None:
        return HostMark(None, record, None, unsound)
    old = _old_mark(raw)
    if old is not None:
        return HostMark(None, record, old, unsound)
    try:
        return HostMark(decode_identity(raw), record, None, unsound)
    except RecordError as error:
        return HostMark(None, record, None, unsound or error)


def write_record(connection: Connection, record: SiteRecord) -> bool:
    """Make the host hold ``record``, mode 0600, whole or not at all. Tell whether anything changed.

    Raises RecordError if the host has a later record, or another one of the same epoch.
    """
    raw = connection.read(RECORD)
    if raw is not None:
        try:
            there = decode_record(raw)
        except RecordError:
            there = None
        if there is not None and there != record and (there.cluster != record.cluster or there.epoch >= record.epoch):
            raise RecordError(
                f"{connection.host.address}: the site's record there is epoch {there.epoch} of cluster {there.cluster}, "
                f"by {there.changed.by}; somebody changes this site at the same time",
                "wait until the other run has ended",
            )
    return write(connection, RECORD, encode_record(record), mode=0o600)


def mark_host(connection: Connection, identity: Identity, known: HostMark) -> None:
    """Make the host hold ``identity``. A host that had none is marked only if nobody else marks it meanwhile.

    Raises ClusterError if somebody did.
    """
    data = encode_identity(identity)
    if known.identity is not None or known.old is not None or known.unsound is not None:
        write(connection, IDENTITY, data, mode=0o600)
        return
    create = Command.shell(_CREATE, IDENTITY, changes="mark the host as ours", stdin=data)
    result = connection.run(create, check=False)
    if result.ok:
        return
    address = connection.host.address
    if result.status != _TAKEN:
        raise HostError(address, f"the host cannot be marked as ours: {result.stderr.strip()[-300:]}", "see that /var is writable there")
    other = read_mark(connection)
    if other.cluster != identity.cluster:
        raise ClusterError(
            f"{address}: another installer has just taken this host for cluster {other.cluster or 'unknown'}",
            "let only one of them go on; nothing was changed there",
        )
    write(connection, IDENTITY, data, mode=0o600)


def record_in_cluster(kubectl: Kubectl) -> SiteRecord | None:
    """Return the record that the cluster itself keeps, or None where it keeps none.

    Raises CommandFailed where the API does not answer, RecordError where it is unsound.
    """
    arguments = ("-n", NAMESPACE, "get", "configmap", CONFIG_MAP, "--ignore-not-found", "--request-timeout=20s", "--output=json")
    text = kubectl.run(*arguments).stdout
    if not text.strip():
        return None
    try:
        raw: Any = json.loads(text)["data"][_KEY]
    except (ValueError, KeyError, TypeError):
        raw = None
    if not isinstance(raw, str) or len(raw) > MOST_BYTES:
        raise RecordError(f"the ConfigMap {NAMESPACE}/{CONFIG_MAP} holds no record")
    return decode_record(raw.encode())


def write_in_cluster(kubectl: Kubectl, record: SiteRecord) -> None:
    """Make the cluster keep ``record``. Raises CommandFailed."""
    value: Mapping[str, object] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CONFIG_MAP, "namespace": NAMESPACE, "labels": {"app.kubernetes.io/managed-by": "airseal"}},
        "data": {_KEY: encode_record(record).decode()},
    }
    # Server-side: kubectl's own apply would keep a second copy in an annotation.
    arguments = ("apply", "--server-side", "--force-conflicts", "--field-manager=airseal", "-f", "-")
    kubectl.run(*arguments, changes="keep the site's record in the cluster", stdin=json.dumps(value).encode())


def _old_mark(raw: bytes) -> OldMark | None:
    try:
        value = json.loads(raw)
    except ValueError:
        return None
    if not isinstance(value, dict) or "format" in value or not value.get("cluster"):
        return None
    return OldMark(str(value["cluster"])[:100], str(value.get("bundle", ""))[:200])
