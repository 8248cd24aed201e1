"""Upstream: one remote registry, asked for manifests and blobs. Nothing it says is believed before it is hashed.

Source: OCI distribution-spec, "Pull"; redirects and credentials as containerd's fetcher does them, but inside, since a
client in an air gap cannot follow a redirect to a CDN.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from registry_snapshot.errors import (
    DigestInvalid,
    DigestMismatch,
    ManifestInvalid,
    UpstreamCorrupt,
    UpstreamError,
    UpstreamNotTrusted,
    UpstreamUnauthorized,
    UpstreamUnreachable,
)
from registry_snapshot.oci import media_types
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import MAX_MANIFEST_BYTES, parse_manifest
from registry_snapshot.oci.reference import Repository
from registry_snapshot.record.auth import Authorizer, TokenAnswer, parse_challenges
from registry_snapshot.record.credentials import Credentials
from registry_snapshot.record.retry import Patience, TransientError, retry_after
from registry_snapshot.record.transport import CHUNK_BYTES, Transport, unreachable
from registry_snapshot.store.disk import BlobWriter

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 10
_ERROR_BYTES = 64 * 1024
_ACCEPT = ", ".join(media_types.ACCEPT_MANIFESTS)

Progress = Callable[[int], None]  # bytes that came; negative when some must come again


def no_progress(count: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class FetchedManifest:
    """A manifest as it came, and its descriptor."""

    descriptor: Descriptor
    raw: bytes


class Upstream:
    """The registry ``name``, asked at ``base_url`` (which ends in ``/v2`` or a mirror's own prefix). Safe for threads."""

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
    ) -> None:
        self.name = name
        self._base = base_url
        self._origin = _origin(base_url)
        self._transport = transport
        self._rewrite = rewrite
        self._patience = Patience(sleep, clock)
        secure = urlsplit(base_url).scheme == "https"
        self._authorizer = Authorizer(self._login_name, credentials, self._ask_token_server, clock, secure=secure)

    @property
    def _login_name(self) -> str:
        """What to give to ``docker login``: a mirror is logged in to under its own host."""
        host = self._origin[1]
        return self.name if host == "registry-1.docker.io" else host

    def __str__(self) -> str:
        host = self._origin[1]
        return self.name if host in {self.name, "registry-1.docker.io"} else f"{self.name} (mirror {host})"

    def manifest(self, repository: Repository, target: str) -> FetchedManifest:
        """Return the manifest that a tag or a digest names. Raises UpstreamError, ManifestInvalid."""
        what = f"{repository}@{target}" if ":" in target else f"{repository}:{target}"
        expected = Digest.parse(target) if ":" in target else None
        failures = 0
        while True:
            try:
                with self._open(f"{repository.path}/manifests/{target}", {"Accept": _ACCEPT}, repository, what) as response:
                    raw = self._body(response, MAX_MANIFEST_BYTES + 1)
                    return self._checked(raw, response, expected, what)
            except TransientError as failure:
                failures += 1
                self._patience.after(failure, failures)

    def blob(
        self, repository: Repository, wanted: Descriptor, writer: BlobWriter, progress: Progress = no_progress
    ) -> None:
        """Write the whole blob and commit it. A connection that breaks is taken up again where it ended.

        Of ``wanted`` a negative size means that it is not known. Foreign layers are also looked for at their ``urls``.
        Raises UpstreamError (UpstreamCorrupt for wrong bytes, and keeps nothing), StoreError.
        """
        sources = (f"{repository.path}/blobs/{wanted.digest}", *wanted.urls)
        for source in sources:
            try:
                self._blob_from(source, repository, wanted, writer, progress)
            except UpstreamError as error:
                if error.status != 404 or source == sources[-1]:
                    raise
            else:
                return

    def _blob_from(
        self, source: str, repository: Repository, wanted: Descriptor, writer: BlobWriter, progress: Progress
    ) -> None:
        what = f"{repository}@{wanted.digest}"
        failures, furthest, corrupted = 0, 0, False
        while True:
            try:
                self._blob_rest(source, repository, wanted, writer, progress)
                writer.commit()
            except TransientError as failure:
                failures = 1 if writer.size > furthest else failures + 1  # patience is for standing still, not for size
                furthest = max(furthest, writer.size)
                self._patience.after(failure, failures)
            except DigestMismatch as error:
                progress(-writer.size)
                if corrupted:
                    raise UpstreamCorrupt(f"{self} sent wrong bytes for {what}: {error.problem}", error.remedy) from None
                corrupted = True  # once from the start: a resume may have joined two different answers
                writer.restart()
            else:
                return

    def _blob_rest(
        self, source: str, repository: Repository, wanted: Descriptor, writer: BlobWriter, progress: Progress
    ) -> None:
        headers = {"Accept": f"{wanted.media_type}, */*"}
        if writer.size and writer.size == wanted.size:
            return
        if writer.size:
            headers["Range"] = f"bytes={writer.size}-"
        with self._open(source, headers, repository, f"{repository}@{wanted.digest}") as response:
            if writer.size and (response.status != 206 or not _continues(response, writer.size)):
                progress(-writer.size)
                writer.restart()
                if response.status != 200:
                    broken = UpstreamError(f"{self} cannot continue {wanted.digest}", "run again", status=response.status)
                    raise TransientError(broken)
            while chunk := self._read(response, CHUNK_BYTES):
                writer.write(chunk)
                progress(len(chunk))
                if 0 <= wanted.size < writer.size:
                    raise DigestMismatch(f"more than {wanted.size} bytes came for {wanted.digest}", "report it to the registry's operator")
            if writer.size < wanted.size:
                # Without Content-Length a body that broke off looks complete.
                raise TransientError(UpstreamUnreachable(f"{self} sent {writer.size} of {wanted.size} bytes of {wanted.digest}", "run again"))

    @contextmanager
    def _open(self, source: str, headers: dict[str, str], repository: Repository, what: str) -> Iterator[urllib3.BaseHTTPResponse]:
        """Yield an answer of status 200, 206 or 416. Raises TransientError for what may pass, UpstreamError for the rest."""
        self._patience.until_allowed()
        try:
            response = self._authorized(source, headers, f"repository:{repository.path}:pull")
        except UpstreamNotTrusted:
            raise
        except UpstreamUnreachable as error:
            raise TransientError(UpstreamUnreachable(f"{what}: {error.problem}", error.remedy)) from error
        try:
            if response.status not in {200, 206, 416}:
                raise self._refused(response, what)
            yield response
        finally:
            response.close()  # a connection whose body was read to the end is already back in the pool

    def _authorized(self, source: str, headers: dict[str, str], scope: str) -> urllib3.BaseHTTPResponse:
        if "://" in source:  # a foreign layer's own URL: no login of ours is for it
            return self._follow(self._rewrite(source), headers, None)[0]
        url = f"{self._base}/{source}"
        response, origin = self._follow(url, headers, self._authorizer.header(scope))
        if response.status != 401 or origin != self._origin:
            return response
        challenges = parse_challenges(response.headers.getlist("WWW-Authenticate"))
        self._authorizer.forget(scope)
        authorization = self._authorizer.answer(challenges, scope)
        if authorization is None:
            return response
        response.drain_conn()
        response.release_conn()
        return self._follow(url, headers, authorization)[0]

    def _follow(
        self, url: str, headers: dict[str, str], authorization: str | None
    ) -> tuple[urllib3.BaseHTTPResponse, tuple[str, str]]:
        """Return the first answer that is no redirect, and who gave it. Only the issuing host sees ``authorization``."""
        for _ in range(_MAX_REDIRECTS):
            origin = _origin(url)
            mine = authorization is not None and origin == self._origin
            response = self._transport.send("GET", url, {**headers, "Authorization": authorization or ""} if mine else headers)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or not location:
                return response, origin
            response.drain_conn()
            response.release_conn()
            url = urljoin(url, location)
            if urlsplit(url).scheme not in {"http", "https"}:
                raise UpstreamError(f"{self} redirects to {urlsplit(url).scheme[:20]}:, which is no web address")
        raise UpstreamError(f"{self} redirects more than {_MAX_REDIRECTS} times", "report it to the registry's operator")

    def _ask_token_server(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> TokenAnswer:
        response = self._transport.send(method, url, headers, body)
        try:
            if response.status >= 500 or response.status == 429:
                raise self._refused(response, f"a token from {urlsplit(url).hostname}")
            return TokenAnswer(response.status, self._body(response, _ERROR_BYTES))
        finally:
            response.close()

    def _checked(self, raw: bytes, response: urllib3.BaseHTTPResponse, expected: Digest | None, what: str) -> FetchedManifest:
        named = response.headers.get("Docker-Content-Digest")
        try:
            wanted = expected or (Digest.parse(named) if named else None)
        except DigestInvalid:
            wanted = None
        digest = Digest.of(raw, expected.algorithm if expected else "sha256")
        if wanted is not None and Digest.of(raw, wanted.algorithm) != wanted:
            raise UpstreamCorrupt(
                f"{self} sent other bytes for {what} than their digest {wanted} says",
                "look for a proxy or cache that alters content",
            )
        try:
            media_type = parse_manifest(raw, response.headers.get("Content-Type", "")).media_type
        except ManifestInvalid as error:
            raise ManifestInvalid(f"{what} from {self}: {error.problem}", error.remedy) from None
        return FetchedManifest(Descriptor(media_type, digest, len(raw)), raw)

    def _body(self, response: urllib3.BaseHTTPResponse, limit: int) -> bytes:
        data = bytearray()
        while len(data) < limit and (chunk := self._read(response, limit - len(data))):
            data += chunk
        return bytes(data)

    def _read(self, response: urllib3.BaseHTTPResponse, size: int) -> bytes:
        try:
            return response.read(size, decode_content=False)
        except HTTPError as error:
            raise TransientError(unreachable(error, self._origin[1])) from error

    def _refused(self, response: urllib3.BaseHTTPResponse, what: str) -> Exception:
        """Return what to raise for an answer that is no success: transient or final."""
        status = response.status
        said = f"{self} answered HTTP {status} for {what}{_reason(response)}"
        login = f"docker login {self._login_name}"
        if status in {401, 403}:
            remedy = f"if the image exists, run: {login} (as the user that builds); if not, correct its name"
            return UpstreamUnauthorized(said, remedy, status=status)
        if status == 404:
            remedy = f"correct the name or tag; a private image may look absent until you run: {login}"
            return UpstreamError(said, remedy, status=status)
        if status == 429:
            error = UpstreamError(said, f"wait, log in for a higher limit ({login}), or use a mirror", status=status)
            return TransientError(error, retry_after(response.headers.get("Retry-After")))
        if status == 408 or status >= 500:
            error = UpstreamError(said, "that registry has a problem; run again later, or use a mirror", status=status)
            return TransientError(error, retry_after(response.headers.get("Retry-After")))
        return UpstreamError(said, "ask the registry's operator", status=status)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.rpartition("@")[2].lower()


def _continues(response: urllib3.BaseHTTPResponse, start: int) -> bool:
    return response.headers.get("Content-Range", "").removeprefix("bytes ").startswith(f"{start}-")


def _reason(response: urllib3.BaseHTTPResponse) -> str:
    """Return the first message of a specification's error body, for people; empty if there is none."""
    try:
        raw = response.read(_ERROR_BYTES, decode_content=False)
        message = str(json.loads(raw)["errors"][0]["message"])
    except (HTTPError, ValueError, LookupError, TypeError, RecursionError):
        return ""
    return ": " + "".join(letter for letter in message if letter.isprintable())[:300]
