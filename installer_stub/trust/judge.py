"""Does somebody vouch for an artifact whom the operator named? Pure: signatures, signers, a time; one answer, or why not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from installer_stub.errors import (
    NotForThisUse,
    NotSigned,
    NotTrusted,
    SignedByStrangers,
    SignerExpired,
    SignerNotYetValid,
)
from installer_stub.trust.allowed import Signer
from installer_stub.trust.patterns import matches
from installer_stub.trust.sshsig import NAMESPACE, PublicKey, Signature

_SHOWN: Final = 10  # fingerprints in one text


@dataclass(frozen=True, slots=True)
class Trusted:
    """Who vouches: the ``signer`` as the operator named it, by this ``signature``."""

    signer: Signer
    signature: Signature

    @property
    def principal(self) -> str:
        """What the operator calls the signer."""
        return self.signer.principals

    @property
    def key(self) -> PublicKey:
        """The key that signed."""
        return self.signature.key


def judge(
    signatures: Sequence[Signature],
    signers: Sequence[Signer],
    now: dt.datetime,
    *,
    namespace: str = NAMESPACE,
    principal: str | None = None,
) -> Trusted:
    """Return who vouches now (an aware time) for what carries ``signatures``, **each of which was verified before**.

    One signature that is good does; others beside it do no harm. With ``principal``, whoever is allowed to sign must be
    called so, as ``-I`` of ``ssh-keygen -Y verify`` asks. Raises NotSigned, SignedByStrangers, or, when a key is known,
    what keeps it from vouching: SignerExpired, SignerNotYetValid, NotForThisUse, in this order where several do.
    """
    if not signatures:
        raise NotSigned("it is not signed", "get it from who signs it, or let them sign it")
    second = now.replace(microsecond=0)  # OpenSSH's times have no parts of one
    known = [
        (signature, signer)
        for signature in signatures
        for signer in signers
        if signer.key == signature.key and (principal is None or matches(principal, signer.principals))
    ]
    misses: list[NotTrusted] = []
    for signature, signer in known:
        miss = _miss(signature, signer, second, namespace)
        if miss is None:
            return Trusted(signer, signature)
        misses.append(miss)
    for kind in (SignerExpired, SignerNotYetValid, NotForThisUse):
        for miss in misses:
            if isinstance(miss, kind):
                raise miss
    raise _strangers(signatures, principal)


def _miss(signature: Signature, signer: Signer, now: dt.datetime, namespace: str) -> NotTrusted | None:
    """Return what keeps this signature by this signer from being good; None if nothing does."""
    who = f"{signer.principals} ({signer.key.fingerprint}, {signer.place})"
    if signature.namespace != namespace:
        problem = f"{who} signed it for {signature.namespace[:60]!r}, not for {namespace!r}"
        return NotForThisUse(problem, f"let them sign it for this use: ssh-keygen -Y sign -n {namespace}")
    if signer.namespaces is not None and not matches(namespace, signer.namespaces):
        problem = f"{who} signed it, and may sign {signer.namespaces[:60]!r} only, not {namespace!r}"
        return NotForThisUse(problem, f"if you trust this key here too, add {namespace} to its namespaces in {signer.place}")
    if signer.valid_before is not None and now > signer.valid_before:
        remedy = "let it be signed with a key that is valid; if this clock is wrong, set it"
        return SignerExpired(f"{who} signed it, and this key was valid until {_written(signer.valid_before)}", remedy)
    if signer.valid_after is not None and now < signer.valid_after:
        remedy = f"wait, or see that this clock is right: it says {_written(now)}"
        return SignerNotYetValid(f"{who} signed it, and this key is valid from {_written(signer.valid_after)} on", remedy)
    return None


def _strangers(signatures: Sequence[Signature], principal: str | None) -> SignedByStrangers:
    found = sorted({signature.key.fingerprint for signature in signatures})
    shown = ", ".join(found[:_SHOWN]) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
    whom = "nobody named" if principal is None else f"are not named as {principal[:60]}'s"
    problem = f"it is signed by keys that {whom}: {shown}"
    return SignedByStrangers(problem, "ask the signer, by another way, for the fingerprint; if it is this one, name that key", fingerprints=found)


def _written(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
