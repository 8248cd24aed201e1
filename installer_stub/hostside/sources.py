"""Where a host gets cluster files: an artifact on its own disk, or registries over HTTP."""

from __future__ import annotations

import http.client
import os
import ssl
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import SplitResult, quote, urlsplit

from installer_stub.bundle.reader import Bundle
from installer_stub.errors import InstallerError, UsageError
from installer_stub.hostside.credential import is_loopback
from registry_snapshot.errors import BlobUnknown
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import MAX_MANIFEST_BYTES
from registry_snapshot.oci.media_types import OCI_MANIFEST
from registry_snapshot.oci.reference import Repository
from registry_snapshot.serve.login import Credential

PIECE: Final = 256 * 1024  # bytes; what arrived of a piece when a connection breaks is asked for again
ROUNDS: Final = 3  # times every URL is tried before we give up
PAUSE: Final = 1.0  # seconds before the second round; the third waits twice as long
TIMEOUT: Final = 30.0  # seconds without a byte


class Source(Protocol):
    """A place to read blobs from. Nothing it gives is trusted: the reader hashes."""

    def manifest(self, digest: Digest) -> bytes:
        """Return a manifest's bytes. Raises InstallerError."""

    def pieces(self, blob: Descriptor, attempt: int) -> Iterator[bytes]:
        """Yield a blob's bytes from its first to its last. A higher ``attempt`` begins elsewhere, if there is an elsewhere.

        Raises InstallerError.
        """


class BundleSource:
    """An artifact on this disk."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def manifest(self, digest: Digest) -> bytes:
        """Return a manifest's bytes. Raises InstallerError."""
        try:
            with self._bundle.blobs.open(digest) as extent:
                return extent.read(MAX_MANIFEST_BYTES)
        except BlobUnknown as error:
            raise InstallerError(error.problem, "copy the artifact to this host again") from None

    def pieces(self, blob: Descriptor, attempt: int) -> Iterator[bytes]:
        """Yield a blob's bytes. Raises InstallerError."""
        del attempt
        try:
            extent = self._bundle.blobs.open(blob.digest)
        except BlobUnknown as error:
            raise InstallerError(error.problem, "copy the artifact to this host again") from None
        with extent:
            for offset in range(0, extent.size, PIECE):
                yield extent.read(PIECE, offset)


class _Refused(Exception):
    """An answer that is not the bytes that were asked for."""


def _bounded(pieces: Iterator[bytes], limit: int) -> bytes:
    whole = bytearray()
    for piece in pieces:
        whole += piece
        if len(whole) > limit:
            raise _Refused(f"sent more than {limit} bytes, and no manifest has as many")
    return bytes(whole)


class RegistrySource:
    """A repository in one or several registries that hold the same; they are tried in order, and resumed by Range."""

    def __init__(
        self, urls: Sequence[str], repository: Repository, ca: Path | None = None, credential: Credential | None = None
    ) -> None:
        """``urls`` are as in ``https://10.0.0.2:5443``; ``ca`` are the only authorities trusted. Raises UsageError.

        ``credential`` is sent with every request and to every URL, so none of them may be cleartext beyond this machine.
        """
        self._bases = tuple(_base(url) for url in urls)
        self._credential = credential
        for base in self._bases if credential is not None else ():
            if base.scheme != "https" and not is_loopback(base.hostname or ""):
                raise UsageError(f"{base.geturl()} is cleartext: everybody on the way could read the login", "write https://, or leave --credential out")
        self._repository = repository
        self._tls: ssl.SSLContext | None = None
        if any(base.scheme == "https" for base in self._bases):
            try:
                self._tls = ssl.create_default_context(cafile=str(ca) if ca else None)
            except OSError as error:
                raise UsageError(f"--ca {ca} cannot be used: {error.strerror or error}", "name a PEM file of CA certificates") from None

    def manifest(self, digest: Digest) -> bytes:
        """Return a manifest's bytes. Raises InstallerError."""
        failures: list[str] = []
        for base in self._order(0, failures):
            try:
                answer = _bounded(self._get(base, f"manifests/{digest}", 0), MAX_MANIFEST_BYTES)
            except (OSError, http.client.HTTPException, _Refused) as error:
                failures.append(f"{base.geturl()}: {_said(error)}")
                continue
            if Digest.of(answer, digest.algorithm) == digest:
                return answer
            failures.append(f"{base.geturl()}: gave something else under that digest")
        raise self._failed(f"the manifest {digest}", failures)

    def pieces(self, blob: Descriptor, attempt: int) -> Iterator[bytes]:
        """Yield a blob's bytes, going on where a broken connection ended. Raises InstallerError."""
        done = 0
        failures: list[str] = []
        for base in self._order(attempt, failures):
            try:
                for piece in self._get(base, f"blobs/{blob.digest}", done):
                    done += len(piece)
                    yield piece
            except (OSError, http.client.HTTPException, _Refused) as error:
                failures.append(f"{base.geturl()}: {_said(error)} (after {done} of {blob.size} bytes)")
                continue
            if done >= blob.size:
                return
            failures.append(f"{base.geturl()}: ended after {done} of {blob.size} bytes")
        raise self._failed(f"the blob {blob.digest}", failures)

    def _order(self, attempt: int, failures: Sequence[str]) -> Iterator[SplitResult]:
        start = attempt % len(self._bases)
        for turn in range(ROUNDS):
            if turn and failures:
                time.sleep(PAUSE * turn)
            yield from (*self._bases[start:], *self._bases[:start])

    def _get(self, base: SplitResult, what: str, offset: int) -> Iterator[bytes]:
        connection = self._connect(base)
        try:
            path = f"{base.path}/v2/{self._repository.path}/{what}?ns={quote(self._repository.registry)}"
            headers = {"Accept": f"{OCI_MANIFEST}, */*", "Accept-Encoding": "identity", "Connection": "close"}
            if self._credential is not None:
                headers["Authorization"] = self._credential.authorization()
            if offset:
                headers["Range"] = f"bytes={offset}-"
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            skip = _to_skip(answer, offset)
            while piece := answer.read(PIECE):
                if skip < len(piece):
                    yield piece[skip:]
                skip = max(skip - len(piece), 0)
        finally:
            connection.close()

    def _connect(self, base: SplitResult) -> http.client.HTTPConnection:
        if base.scheme == "https":
            return http.client.HTTPSConnection(base.hostname or "", base.port, timeout=TIMEOUT, context=self._tls)
        return http.client.HTTPConnection(base.hostname or "", base.port, timeout=TIMEOUT)

    def _failed(self, what: str, failures: Sequence[str]) -> InstallerError:
        seen = "".join(f"\n  - {failure}" for failure in dict.fromkeys(failures))
        return InstallerError(
            f"{what} of {self._repository} could not be fetched:{seen}",
            "check that the site registry runs on the masters (systemctl status airseal-registry) and its port is open",
        )


def _to_skip(answer: http.client.HTTPResponse, offset: int) -> int:
    """Return how many bytes of the answer come before ``offset``: a server may ignore Range (RFC 9110, 14.2)."""
    if answer.status == http.client.PARTIAL_CONTENT and offset:
        if not (answer.headers.get("Content-Range") or "").startswith(f"bytes {offset}-"):
            raise _Refused("another range than was asked for")
        return 0
    if answer.status == http.client.UNAUTHORIZED:
        raise _Refused("status 401: it wants another login than it was given")
    if answer.status != http.client.OK:
        raise _Refused(f"status {answer.status}")
    return offset


def _base(url: str) -> SplitResult:
    try:
        parts = urlsplit(url.rstrip("/"))
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        port_is_fine = False
    if not port_is_fine or parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        raise UsageError(f"{url!r} is not a registry's URL", "write https://10.0.0.2:5443")
    return parts


def _said(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError):
        return os.strerror(error.errno) if error.errno > 0 else str(error)
    return str(error) or type(error).__name__
