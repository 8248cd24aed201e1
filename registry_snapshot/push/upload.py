"""Upload: one blob on its way to a registry. What breaks off goes on from what the registry says it has, or begins anew.

The whole goes in one request. A registry (or a proxy before it) that takes no request of that size gets it in chunks.

Source: OCI distribution-spec, "Pushing a blob monolithically", "... in chunks", "Mounting a blob from another repository".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from registry_snapshot.errors import UpstreamError, UpstreamUnauthorized
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.media_types import OCTETS
from registry_snapshot.oci.reference import Repository
from registry_snapshot.push.pieces import Pieces
from registry_snapshot.push.place import Place, check_told, received
from registry_snapshot.record.download import Progress
from registry_snapshot.record.retry import TransientError
from registry_snapshot.record.session import Ask, Session
from registry_snapshot.store.base import BlobReader

CHUNK_BYTES = 16 << 20  # of a request, where the whole is too much; nginx's own limit is 1 MiB, and who raises it takes layers
CLOSING_SECONDS = 600  # object stores copy what was uploaded before they say that they have it
NO_HEAD = frozenset({400, 401, 403, 404, 405})  # what registries say to HEAD of what they do not have, or to HEAD at all
_LOST = frozenset({400, 404, 416})  # what registries say of an upload that they no longer know, or know otherwise
_MOST_LOST = 3


class Way(Enum):
    """How a blob came to be where it is."""

    THERE = "there"
    MOUNTED = "mounted"
    SENT = "sent"


@dataclass(frozen=True, slots=True)
class Uploaded:
    """How it came there, and the bytes that travelled for it."""

    way: Way
    bytes: int = 0


class Upload:
    """The blob ``wanted`` of ``source`` for ``repository``. ``progress`` hears of its bytes as they go out, or at once if they need not."""

    def __init__(self, session: Session, repository: Repository, wanted: Descriptor, source: BlobReader, progress: Progress) -> None:
        self._session = session
        self._repository = repository
        self._wanted = wanted
        self._source = source
        self._progress = progress
        self._what = f"{repository}@{wanted.digest}"
        self._url = session.url(f"{repository.path}/blobs")
        self._push = f"repository:{repository.path}:pull,push"
        self._chunk = 0  # bytes of a request; 0 for all

    def run(self, mount: Repository | None = None) -> Uploaded:
        """Bring the blob there, from the repository ``mount`` of the same registry if that has it.

        Raises UpstreamError, DigestMismatch for a blob that is damaged here, BlobUnknown, StoreError.
        """
        with self._source.open(self._wanted.digest) as extent:
            pieces = Pieces(extent, self._wanted.digest, self._progress)
            way = self._bring(pieces, mount)
            pieces.rewind(pieces.size)
            return Uploaded(way, pieces.sent)

    def _bring(self, pieces: Pieces, mount: Repository | None) -> Way:
        attempts, lost, mark = self._session.attempts(), 0, 0
        place: Place | None = None
        while True:
            try:
                at = 0
                if place is not None:
                    place, at = self._status(place, pieces.size)
                if place is None:
                    if self._is_there():
                        return Way.SENT if pieces.sent else Way.THERE
                    place = self._begin(mount)
                    if place is None:
                        return Way.MOUNTED
                self._rest(place, at, pieces)
            except TransientError as failure:
                attempts.failed(failure, moved=at > mark)
                mark = max(mark, at)
            except UpstreamError as error:
                if error.status == 413 and not self._chunk and pieces.size > CHUNK_BYTES:
                    self._chunk = CHUNK_BYTES
                elif error.status not in _LOST or place is None or (lost := lost + 1) == _MOST_LOST:
                    raise
                place = None
            else:
                return Way.SENT
            pieces.rewind(0)

    def _is_there(self) -> bool:
        """Tell whether the registry has the blob. One that does not answer HEAD (public ECR: 401) is taken to have it not."""
        ask = self._ask("HEAD", f"{self._url}/{self._wanted.digest}", frozenset({200, *NO_HEAD}))
        try:
            with self._session.send(ask) as answer:
                length = answer.header("Content-Length")
                return answer.status == 200 and length in {"", str(self._wanted.size)}
        except UpstreamUnauthorized:
            return False

    def _begin(self, mount: Repository | None) -> Place | None:
        """Begin an upload and return where it goes; None if the blob was mounted instead."""
        if mount is not None:
            query = f"?mount={self._wanted.digest}&from={mount.path}"
            ask = self._ask("POST", f"{self._url}/uploads/{query}", frozenset({201, 202, *range(400, 408)}))
            ask = replace(ask, scope=f"{self._push} repository:{mount.path}:pull")
            try:
                with self._session.send(ask) as answer:
                    if answer.status == 201:
                        check_told(answer, self._wanted.digest, str(self._wanted.digest), str(self._session))
                        return None
                    if answer.status == 202:
                        return Place.of(answer, self._url)
            except UpstreamUnauthorized:
                pass  # nobody who may read there; the blob itself may still be pushed
        with self._session.send(self._ask("POST", f"{self._url}/uploads/", frozenset({202}))) as answer:
            return Place.of(answer, self._url)

    def _status(self, place: Place, size: int) -> tuple[Place | None, int]:
        """Return where to go on and from which byte; None where the registry does not know."""
        try:
            with self._session.send(self._ask("GET", place.url, frozenset({200, 204}))) as answer:
                count = received(answer, size)
                return (Place.of(answer, self._url, place.minimum), count) if count and answer.header("Location") else (None, 0)
        except UpstreamError:
            return None, 0

    def _rest(self, place: Place, at: int, pieces: Pieces) -> None:
        """Send everything from ``at``, and have the registry keep it. The request that ends an upload has its last bytes, or none."""
        if at or self._chunk:
            step = max(self._chunk or pieces.size, place.minimum)
            while at < pieces.size:
                end = min(at + step, pieces.size)
                ask = self._sending("PATCH", place.url, frozenset({202, 204}), pieces, (at, end))
                with self._session.send(ask) as answer:
                    place, at = Place.of(answer, self._url, place.minimum), end
        ask = self._sending("PUT", place.closing(self._wanted.digest), frozenset({201, 204}), pieces, (at, pieces.size))
        with self._session.send(ask) as answer:
            check_told(answer, self._wanted.digest, str(self._wanted.digest), str(self._session))

    def _sending(self, method: str, url: str, success: frozenset[int], pieces: Pieces, part: tuple[int, int]) -> Ask:
        start, end = part
        headers = {"Content-Type": OCTETS, "Content-Length": str(end - start)}
        if method == "PATCH":
            headers["Content-Range"] = f"{start}-{end - 1}"
        ask = self._ask(method, url, success)
        seconds = CLOSING_SECONDS if method == "PUT" else None
        return replace(ask, headers=headers, body=lambda: pieces.between(start, end), read_seconds=seconds)

    def _ask(self, method: str, url: str, success: frozenset[int]) -> Ask:
        """Return a question without a body. What a HEAD says of a digest is believed as little as everything else, wherever it comes from."""
        headers = {"Content-Length": "0"} if method == "POST" else {}
        return Ask(url, self._repository, self._what, headers, success, by_digest=method == "HEAD", method=method, scope=self._push)
