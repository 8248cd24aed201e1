"""What a registry that does not take a push means, in one of a few errors with a remedy."""

from __future__ import annotations

import re

from registry_snapshot.errors import (
    PushDenied,
    PushRefused,
    RegistryFull,
    RegistryReadOnly,
    UpstreamError,
    UpstreamUnauthorized,
)
from registry_snapshot.oci.reference import Repository

# Harbor answers a spent quota and its read-only mode with 403 (harbor: src/server/middleware/{quota,readonly}).
_QUOTA = re.compile(r"quota|exceed the configured upper limit|no space|insufficient storage|storage limit", re.IGNORECASE)
_READ_ONLY = re.compile(r"read[- ]?only", re.IGNORECASE)


def refused(error: UpstreamError, repository: Repository, login: str) -> UpstreamError:
    """Return what to raise instead of ``error``, with which the registry of ``repository`` refused a push.

    ``login`` says in words which login it was asked with. What has nothing to do with pushing stays as it is.
    """
    status, said = error.status, error.problem
    if status in {413, 507} or (status >= 400 and _QUOTA.search(said)):
        remedy = f"have its operator make room for {repository}, or raise the limit"
        if status == 413:
            remedy = "a proxy in front of it takes no request of that size (nginx: client_max_body_size); have its operator raise that"
        return RegistryFull(said, remedy, status=status)
    if status == 405 or (status >= 400 and _READ_ONLY.search(said)):
        return RegistryReadOnly(said, "push to a registry that takes pushes: mirrors and caches of others do not", status=status)
    if isinstance(error, UpstreamUnauthorized):
        remedy = f"log in as somebody who may push to {repository}: airseal login {repository.registry}"
        return PushDenied(f"{said} (asked {login})", remedy, status=status)
    if status == 404:
        return PushRefused(said, f"make the project or repository {repository} there, if it is one that has to be made first; else correct its name", status=status)
    return error
