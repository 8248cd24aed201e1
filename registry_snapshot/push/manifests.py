"""Manifests on their way to a registry, and the lists of what refers to them where the registry keeps none itself.

Source: OCI distribution-spec, "Pushing Manifests", "Pushing Manifests with Subject", "Referrers Tag Schema".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TypeVar

from registry_snapshot.errors import ManifestInvalid, UpstreamError
from registry_snapshot.oci import media_types
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import (
    MAX_MANIFEST_BYTES,
    Index,
    as_referrer,
    descriptor_of,
    parse_manifest,
)
from registry_snapshot.oci.reference import Repository
from registry_snapshot.push.place import check_told
from registry_snapshot.push.upload import NO_HEAD
from registry_snapshot.record.retry import TransientError
from registry_snapshot.record.session import Ask, Session
from registry_snapshot.record.upstream import Upstream

_T = TypeVar("_T")
_TAKEN = frozenset({200, 201, 202})  # the specification's is 201; others were seen
_FALLBACK_ROUNDS = 5  # until a list that several write at once has what each added
_ACCEPT = ", ".join(media_types.ACCEPT_MANIFESTS)


class Manifests:
    """The manifests of ``repository``, asked through ``upstream``. Safe for threads."""

    def __init__(self, upstream: Upstream, repository: Repository) -> None:
        self._upstream = upstream
        self._session: Session = upstream.session
        self._repository = repository
        self._push = f"repository:{repository.path}:pull,push"

    def push(self, raw: bytes, descriptor: Descriptor, target: str = "") -> int:
        """Have the registry keep a manifest under ``target``, a tag, or its digest; return the bytes that were sent, 0 if it has it.

        What has a subject is then among its referrers, also where the registry has no such API. Everything that it lists must be there.
        Raises UpstreamError, ManifestInvalid.
        """
        parsed = parse_manifest(raw, descriptor.media_type)
        name = target or str(descriptor.digest)
        if parsed.subject is None and self._is(name, descriptor.digest):
            return 0
        lists_referrers = self._put(raw, descriptor, name)
        sent = len(raw)
        if parsed.subject is not None and not lists_referrers:
            sent += self._list(parsed.subject.digest, as_referrer(descriptor, parsed))
        return sent

    def _is(self, name: str, digest: Digest) -> bool:
        """Tell whether ``name`` is this manifest already; no answer to HEAD is no."""
        url = self._session.url(f"{self._repository.path}/manifests/{name}")
        ask = Ask(url, self._repository, self._what(name), {"Accept": _ACCEPT}, frozenset({200, *NO_HEAD}), by_digest=":" in name, method="HEAD", scope=self._push)

        def look() -> bool:
            with self._session.send(ask) as answer:
                return answer.status == 200 and answer.header("Docker-Content-Digest").strip() == str(digest)

        return self._again(look)

    def _put(self, raw: bytes, descriptor: Descriptor, name: str) -> bool:
        """Push it; tell whether the registry lists it among its subject's referrers."""
        url = self._session.url(f"{self._repository.path}/manifests/{name}")
        headers = {"Content-Type": descriptor.media_type, "Content-Length": str(len(raw))}

        def body() -> Iterator[bytes]:
            return iter((raw,))

        ask = Ask(url, self._repository, self._what(name), headers, _TAKEN, method="PUT", body=body, scope=self._push)

        def put() -> bool:
            with self._session.send(ask) as answer:
                check_told(answer, descriptor.digest, self._what(name), str(self._session))
                return bool(answer.header("OCI-Subject"))

        return self._again(put)

    def _list(self, subject: Digest, referrer: Descriptor) -> int:
        """Add ``referrer`` to the list that stands in for the referrers API, and see that it stays there; return the bytes that were sent.

        Two clients may add at once, and the later one takes the other's away: so it is read again, a bounded number of times.
        """
        tag = f"{subject.algorithm}-{subject.encoded[:64]}"
        sent = 0
        for _ in range(_FALLBACK_ROUNDS):
            listed = self._listed(tag)
            if any(each.digest == referrer.digest for each in listed):
                return sent
            raw = _index((*listed, referrer))
            if len(raw) > MAX_MANIFEST_BYTES:
                raise ManifestInvalid(f"the list {self._what(tag)} of what refers to {subject} is full", "have old signatures and snapshots of that image deleted")
            self._put(raw, descriptor_of(raw, media_types.OCI_INDEX), tag)
            sent += len(raw)
        if any(each.digest == referrer.digest for each in self._listed(tag)):
            return sent
        raise UpstreamError(f"{self._session} does not keep {referrer.digest} in the list {self._what(tag)}: others write it all the time", "push again")

    def _listed(self, tag: str) -> tuple[Descriptor, ...]:
        """Return what the list under ``tag`` has. Raises ManifestInvalid for what is no list, as the specification demands."""
        try:
            fetched = self._upstream.manifest(self._repository, tag)
        except UpstreamError as error:
            if error.status != 404:
                raise
            return ()
        parsed = parse_manifest(fetched.raw, fetched.descriptor.media_type)
        if not isinstance(parsed, Index):
            raise ManifestInvalid(f"{self._what(tag)} is no list of referrers, and that name is taken for one", "have it deleted, or named otherwise")
        return parsed.manifests

    def _again(self, ask: Callable[[], _T]) -> _T:
        attempts = self._session.attempts()
        while True:
            try:
                return ask()
            except TransientError as failure:
                attempts.failed(failure)

    def _what(self, name: str) -> str:
        return f"{self._repository}{'@' if ':' in name else ':'}{name}"


def _index(manifests: tuple[Descriptor, ...]) -> bytes:
    value = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [each.to_json() for each in manifests]}
    return json.dumps(value, separators=(",", ":")).encode()
