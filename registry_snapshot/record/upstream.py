"""Upstream: one remote registry, asked for manifests, blobs and referrers. Nothing it says is believed before it is hashed.

Source: OCI distribution-spec, "Pull", "Listing Referrers".
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urljoin

from registry_snapshot.errors import DigestInvalid, ManifestInvalid, UpstreamCorrupt, UpstreamError
from registry_snapshot.oci import media_types
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import MAX_MANIFEST_BYTES, Index, Manifest, parse_manifest
from registry_snapshot.oci.reference import Repository
from registry_snapshot.record.answer import Answer
from registry_snapshot.record.credentials import Credentials
from registry_snapshot.record.download import Download, Progress, no_progress
from registry_snapshot.record.retry import Patience, TransientError
from registry_snapshot.record.session import Ask, Session
from registry_snapshot.record.transport import Transport, origin_of
from registry_snapshot.store.base import BlobSink

__all__ = ["FetchedManifest", "Progress", "Traffic", "Upstream", "no_progress"]

_ACCEPT = ", ".join(media_types.ACCEPT_MANIFESTS)
# What registries without the referrers API say to it: the specification's 404, and what others were seen to say (the
# list of go-containerregistry, pkg/v1/remote/referrers.go, and 405).
_NO_REFERRERS = frozenset({400, 404, 405, 406})
_MAX_PAGES, _MAX_REFERRERS = 100, 10_000  # of one image; a handful is usual
_LOOK = "look at what answers there: a login page or a cache that alters content is no registry"
_NEXT = re.compile(r'<([^<>]{1,4096})>\s*;\s*rel="?next"?', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a fetch cost: bytes of bodies that really travelled, those that came twice counted twice, and repeated requests."""

    bytes: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class FetchedManifest:
    """A manifest as it came, its descriptor, and what it cost."""

    descriptor: Descriptor
    raw: bytes
    traffic: Traffic = Traffic()


class Upstream:
    """The registry ``name``, asked at ``base_url`` (which ends in ``/v2`` or a mirror's own prefix). Safe for threads.

    ``sleep`` and ``clock`` as for Patience, ``token_servers`` as for Authorizer; ``rewrite`` says where a foreign layer's URL is really fetched.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        transport: Transport,
        credentials: Callable[[], Credentials | None] = lambda: None,
        *,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        rewrite: Callable[[str], str] = str,
        token_servers: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.session = Session(
            name, base_url, transport, credentials, patience=Patience(sleep, clock), clock=clock, token_servers=token_servers
        )
        self._rewrite = rewrite

    def __str__(self) -> str:
        return str(self.session)

    def manifest(self, repository: Repository, target: str) -> FetchedManifest:
        """Return the manifest that a tag or a digest names. Raises UpstreamError, ManifestInvalid."""
        expected = Digest.parse(target) if ":" in target else None
        what = f"{repository}@{target}" if expected else f"{repository}:{target}"
        url = self.session.url(f"{repository.path}/manifests/{target}")
        ask = Ask(url, repository, what, {"Accept": _ACCEPT}, by_digest=expected is not None)
        attempts = self.session.attempts()
        came, corrupted = 0, False
        while True:
            try:
                with self.session.send(ask) as answer:
                    try:
                        raw = self._whole(answer, what)
                    finally:
                        came += answer.received
                    descriptor = self._checked(raw, answer, expected, what)
                    return FetchedManifest(descriptor, raw, Traffic(came, attempts.retries))
            except TransientError as failure:
                attempts.failed(failure)
            except UpstreamCorrupt:
                if corrupted:
                    raise
                corrupted = True  # once more: a body without a length may have broken off
                attempts.retries += 1

    def blob(
        self, repository: Repository, wanted: Descriptor, sink: BlobSink, progress: Progress = no_progress
    ) -> Traffic:
        """Write the whole blob into ``sink`` and commit it. A connection that breaks is taken up again where it ended.

        ``sink`` may hold a beginning from before: it is continued with ``Range``. If the whole turns out wrong, ``sink``
        is begun anew and ``progress`` hears of all it held as a negative number. Of ``wanted`` a negative size means that
        it is not known. Foreign layers are also looked for at their ``urls`` (http and https), which see no login.

        Raises UpstreamError (UpstreamCorrupt for wrong bytes), StoreError; the sink is then not committed.
        """
        download = Download(self.session, repository, wanted, sink, progress)
        sources = [(self.session.url(f"{repository.path}/blobs/{wanted.digest}"), True)]
        sources += [(self._rewrite(url), False) for url in wanted.urls if _is_web(url)]
        for number, (url, is_ours) in enumerate(sources, 1):
            try:
                download.run(url, is_ours=is_ours)
                break
            except UpstreamError as error:
                # A registry that does not have it is no reason to give up; one that fails or refuses is.
                if number == len(sources) or (is_ours and error.status != 404):
                    raise
        return Traffic(download.bytes, download.retries)

    def referrers(self, repository: Repository, digest: Digest) -> tuple[Descriptor, ...]:
        """Return what the registry lists as referring to ``digest``, all pages in order; nothing listed is an empty tuple.

        A registry without that API keeps the list as an index under the tag ``<algorithm>-<encoded>``, of whose digits
        64 count. Raises UpstreamError, ManifestInvalid.

        Source: OCI distribution-spec, "Listing Referrers", "Referrers Tag Schema".
        """
        listed = self._referrers(repository, digest)
        if listed is not None:
            return listed
        try:
            fetched = self.manifest(repository, f"{digest.algorithm}-{digest.encoded[:64]}")
        except UpstreamError as error:
            if error.status != 404:
                raise
            return ()
        parsed = parse_manifest(fetched.raw, fetched.descriptor.media_type)
        return parsed.manifests if isinstance(parsed, Index) else ()

    def _referrers(self, repository: Repository, digest: Digest) -> tuple[Descriptor, ...] | None:
        """Return all pages, None if the registry has no such API."""
        what = f"the referrers of {repository}@{digest}"
        url = self.session.url(f"{repository.path}/referrers/{digest}")
        origin, seen = origin_of(url), set[str]()
        found: list[Descriptor] = []
        while url not in seen:
            seen.add(url)
            try:
                page, link = self._page(Ask(url, repository, what, {"Accept": media_types.OCI_INDEX}))
            except UpstreamError as error:
                if error.status in _NO_REFERRERS and len(seen) == 1:
                    return None
                raise
            if page is None:
                return None
            found += page.manifests
            following = _NEXT.search(link)
            if following is None:
                return tuple(found)
            url = _joined(url, following[1])
            if len(seen) == _MAX_PAGES or len(found) > _MAX_REFERRERS or origin_of(url) != origin:
                break
        raise UpstreamError(f"{self} lists {what} on pages that do not end, or elsewhere", "report it to the registry's operator")

    def _page(self, ask: Ask) -> tuple[Index | None, str]:
        """Return one page and its ``Link``; None instead of a page for an answer of another kind (a website's, say)."""
        attempts = self.session.attempts()
        while True:
            try:
                with self.session.send(ask) as answer:
                    if media_types.without_parameters(answer.header("Content-Type")) != media_types.OCI_INDEX:
                        return None, ""
                    parsed = self._parsed(self._whole(answer, ask.what), media_types.OCI_INDEX, ask.what)
                    return parsed if isinstance(parsed, Index) else None, answer.header("Link")
            except TransientError as failure:
                attempts.failed(failure)

    def _whole(self, answer: Answer, what: str) -> bytes:
        raw = answer.body(MAX_MANIFEST_BYTES + 1)
        if len(raw) > MAX_MANIFEST_BYTES:
            raise ManifestInvalid(
                f"{what} from {self} has more than {MAX_MANIFEST_BYTES} bytes, and container runtimes accept no such manifest",
                "rebuild that image with fewer layers or shorter annotations",
            )
        return raw

    def _checked(self, raw: bytes, answer: Answer, expected: Digest | None, what: str) -> Descriptor:
        """Return the descriptor of what came. The digest that was asked for counts, else the one the header tells."""
        try:
            told = Digest.parse(answer.header("Docker-Content-Digest"))
        except DigestInvalid:
            told = None
        wanted = expected or told
        if wanted is not None and Digest.of(raw, wanted.algorithm) != wanted:
            raise UpstreamCorrupt(
                f"{self} sent other bytes for {what} than their digest {wanted} says{answer.encoding()}",
                "look for a proxy or cache that alters content",
            )
        parsed = self._parsed(raw, answer.header("Content-Type"), what)
        return Descriptor(parsed.media_type, wanted or Digest.of(raw), len(raw))

    def _parsed(self, raw: bytes, media_type: str, what: str) -> Manifest | Index:
        try:
            return parse_manifest(raw, media_type)
        except (ManifestInvalid, DigestInvalid) as error:
            raise ManifestInvalid(f"{what} from {self}: {error.problem}", error.remedy or _LOOK) from None


def _is_web(url: str) -> bool:
    try:
        scheme, host, _ = origin_of(url)
    except ValueError:
        return False
    return scheme in {"http", "https"} and bool(host) and url.isascii()


def _joined(url: str, link: str) -> str:
    try:
        return urljoin(url, link)
    except ValueError:
        return ""
