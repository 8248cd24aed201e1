"""The values that the recorded cluster gets: a site's defaults, and what the build was told. Nothing of them is sealed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from installer_stub.bundle.model import ClusterFile
from installer_stub.plan.settings import AS_USUAL
from installer_stub.ui.prompts import secret_values
from installer_stub.values.asked import asked
from installer_stub.values.given import check_given, given_by
from installer_stub.values.model import Kept
from installer_stub.values.schema import tree
from installer_stub.values.sealed import schema_of
from installer_stub.values.site_values import SiteValues, site_values
from installer_stub.values.sources import Sources
from installer_stub.values.store import new_salt
from registry_snapshot.store.base import BlobReader

_NOTHING_KEPT: Final = Kept()


def given_document(values: SiteValues) -> bytes:
    """Return what the build was given as the file that ``--values`` of the finished program reads; nothing if it was given nothing."""
    every = {**dict(values.settings.values), **{path: secret.reveal() for path, secret in values.given.secrets}}
    return json.dumps(tree(every)).encode() if every else b""


def values_of(files: Iterable[ClusterFile], blobs: BlobReader, sources: Sources) -> SiteValues:
    """Return what the build uses of the values that the cluster files declare.

    Raises UsageError for a schema that no site could use, for what it does not allow, and for what has to be set and is not; a secret is
    asked for at a terminal before that.
    """
    schema = schema_of(files, blobs)
    wished = asked(schema, AS_USUAL, check_given(schema, given_by(sources)), _NOTHING_KEPT, secret_values())
    return site_values(schema, AS_USUAL, wished, _NOTHING_KEPT, new_salt(), begun=False)
