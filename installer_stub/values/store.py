"""Where a site's values lie on its masters: secrets in a file for root alone, and everything rendered for CMDs and charts.

::

    /var/lib/airseal/values/              0700
        given.json                        the secrets that were given, and the salt of their marks; 0600
        values.yaml                       all values, for helm -f; 0600
        secrets/db.password               one file a secret, a text without a newline of ours; 0600
"""

from __future__ import annotations

import json
import secrets
from typing import Final

from installer_stub.clusterfile.document import MOST_BYTES
from installer_stub.errors import RecordError
from installer_stub.host.command import Secret
from installer_stub.plan.model import STATE
from installer_stub.values.given import text_of
from installer_stub.values.model import Effective, Kept

DIRECTORY: Final = f"{STATE}/values"
GIVEN: Final = f"{DIRECTORY}/given.json"
VALUES: Final = f"{DIRECTORY}/values.yaml"
SECRETS: Final = f"{DIRECTORY}/secrets"
_FORMAT: Final = "airseal.values/1"
_SALT: Final = 16  # bytes


def new_salt() -> str:
    """Return a salt for a site that has none."""
    return secrets.token_hex(_SALT)


def encode_kept(kept: Kept) -> bytes:
    """Return the one spelling of ``given.json``."""
    value = {"format": _FORMAT, "salt": kept.salt, "secrets": {path: secret.reveal() for path, secret in kept.secrets}}
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def decode_kept(raw: bytes, where: str) -> Kept:
    """Return what ``given.json`` on the host ``where`` holds. Raises RecordError, which shows nothing of it."""
    remedy = f"remove {GIVEN} there: the other masters have it, and what none has is asked for"
    try:
        value = json.loads(raw) if len(raw) <= 4 * MOST_BYTES else {}
        kept = Kept(str(value["salt"]), tuple(sorted((str(path), Secret(str(text))) for path, text in value["secrets"].items())))
        sound = value["format"] == _FORMAT and len(bytes.fromhex(kept.salt)) == _SALT and encode_kept(kept) == raw
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        sound = False
    if not sound:
        raise RecordError(f"{where}: {GIVEN} is torn, or somebody edited it", remedy)
    return kept


def rendered(effective: Effective, given: Kept) -> dict[str, bytes]:
    """Return the files that every master has, by path. Nothing for a bundle without values."""
    if not effective.schema.fields:
        return {}
    files = {GIVEN: encode_kept(given)} if given.salt else {}
    files[VALUES] = effective.document().encode()
    files |= {f"{SECRETS}/{path}": text_of(secret).encode() for path, secret in effective.secrets}
    return files
