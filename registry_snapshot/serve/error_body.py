"""A RegistryError as the specification's status and JSON body.

Source: OCI distribution-spec, "Error Codes".
"""

from __future__ import annotations

import json

from registry_snapshot import errors
from registry_snapshot.serve.messages import Response

# The first class that fits decides. 502 rather than 500 or 503: containerd repeats those at once, up to five times.
# A refused login is 403, not 401: a client would answer 401 by sending us credentials that are not ours to have.
_ANSWERS: tuple[tuple[type[errors.RegistryError], int, str], ...] = (
    (errors.DigestInvalid, 400, "DIGEST_INVALID"),
    (errors.ReferenceInvalid, 400, "NAME_INVALID"),
    (errors.NameUnknown, 404, "NAME_UNKNOWN"),
    (errors.ManifestUnknown, 404, "MANIFEST_UNKNOWN"),
    (errors.BlobUnknown, 404, "BLOB_UNKNOWN"),
    (errors.UpstreamUnauthorized, 403, "DENIED"),
    (errors.UpstreamError, 502, "UNKNOWN"),
    (errors.ManifestInvalid, 502, "MANIFEST_INVALID"),
    (errors.DigestMismatch, 502, "DIGEST_INVALID"),
    (errors.StoreError, 500, "UNKNOWN"),
)


def error_response(status: int, code: str, message: str, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """Return an answer with the specification's error body."""
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    fixed = (("Content-Type", "application/json"), ("Content-Length", str(len(body))))
    return Response(status, (*fixed, *headers), body)


def answer_error(error: errors.RegistryError) -> Response:
    """Return the answer for ``error``. Its problem and remedy hold no secrets and go to the client."""
    if isinstance(error, errors.UpstreamError) and error.status == 404:
        return error_response(404, "MANIFEST_UNKNOWN", str(error))
    for kind, status, code in _ANSWERS:
        if isinstance(error, kind):
            return error_response(status, code, str(error))
    return error_response(500, "UNKNOWN", str(error))
