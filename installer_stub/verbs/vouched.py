"""Who vouches for an artifact: the keys that signed it, and whether the operator named one of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from installer_stub.bundle.reader import Bundle
from installer_stub.errors import UsageError
from installer_stub.trust.allowed import load_allowed
from installer_stub.trust.judge import Trusted, judge


def trusted(bundle: Bundle, files: Sequence[Path], principal: str | None) -> Trusted | None:
    """Return who vouches for ``bundle`` among those whom ``files`` name; None where no file was named.

    Raises UsageError for a file that is none, SignatureError for a signature that is not right, NotTrusted.
    """
    if not files:
        if principal is not None:
            raise UsageError("--as says who must have signed, and no file says which keys are theirs", "name it with --trust")
        return None
    signers = tuple(signer for path in files for signer in load_allowed(path))
    return judge(bundle.signatures, signers, dt.datetime.now(dt.UTC), principal=principal)


def signature_lines(bundle: Bundle, found: Trusted | None) -> tuple[str, ...]:
    """Return who signed ``bundle``, in lines for people."""
    if not bundle.signatures:
        return ("nobody: nothing in it says whose it is, so compare its sha256 with the sender's by another way",)
    lines = []
    for signature in bundle.signatures:
        if found is not None and signature.key == found.key:
            lines.append(f"{signature.key.fingerprint} ({signature.key.kind}), trusted: {found.principal} in {found.signer.place}")
        else:
            lines.append(f"{signature.key.fingerprint} ({signature.key.kind})" + ("" if found is not None else ", whom nobody was asked to trust (--trust)"))
    return tuple(lines)


def signature_facts(bundle: Bundle, found: Trusted | None) -> dict[str, object]:
    """Return the same for machines."""
    return {
        "signers": [{"fingerprint": each.key.fingerprint, "kind": each.key.kind} for each in bundle.signatures],
        "trusted": {"principal": found.principal, "fingerprint": found.key.fingerprint, "place": found.signer.place} if found is not None else None,
    }


def publishers_of(bundle: Bundle) -> tuple[str, ...]:
    """Return the fingerprints of the keys that signed ``bundle``, sorted: what a site remembers of it. Raises SignatureError."""
    return tuple(sorted(signature.key.fingerprint for signature in bundle.signatures))
