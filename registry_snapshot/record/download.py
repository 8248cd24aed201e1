"""Download: one blob on its way from an upstream into a sink. What breaks off is continued where it ended."""

from __future__ import annotations

import re
from collections.abc import Callable

from registry_snapshot.errors import DigestMismatch, UpstreamCorrupt, UpstreamError, UpstreamUnreachable
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.reference import Repository
from registry_snapshot.record.answer import Answer
from registry_snapshot.record.retry import TransientError
from registry_snapshot.record.session import Ask, Session
from registry_snapshot.record.transport import CHUNK_BYTES
from registry_snapshot.store.base import BlobSink

# A blob that nobody described has no size that bounds it. No registry of size takes a larger layer (ECR 52 GB, Docker Hub
# and GHCR 10 GB), and an endless body must not fill the disk.
MAX_UNKNOWN_BYTES = 64 * 1024**3
MOVED_BYTES = 16 * 1024  # that got further than this (or a twentieth of the blob) has patience anew
_CONTENT_RANGE = re.compile(r"bytes\s+(\d{1,18})-\d{1,18}/(\d{1,18}|\*)")
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,127}/[\w.+-]{1,127}", re.ASCII)  # RFC 6838 4.2; it came from outside
_SUCCESS = frozenset({200, 206, 416})

Progress = Callable[[int], None]  # bytes that came; negative when some must come again


def no_progress(count: int) -> None:
    """Tell nobody."""


class Download:
    """The bytes of ``wanted`` for ``repository``, into ``sink``. ``bytes`` and ``retries`` tell what it cost so far."""

    def __init__(
        self, session: Session, repository: Repository, wanted: Descriptor, sink: BlobSink, progress: Progress
    ) -> None:
        self.bytes = 0
        self.retries = 0
        self._session = session
        self._repository = repository
        self._wanted = wanted
        self._sink = sink
        self._progress = progress
        self._what = f"{repository}@{wanted.digest}"
        self._limit = wanted.size if wanted.size >= 0 else MAX_UNKNOWN_BYTES
        self._encoding = ""

    def run(self, url: str, *, is_ours: bool) -> None:
        """Fill the sink from ``url`` and commit it. Raises UpstreamError, StoreError; nothing is kept then."""
        attempts = self._session.attempts()
        mark, corrupted = self._sink.size, False
        enough = max(min(MOVED_BYTES, self._limit // 20), 1)
        while True:
            try:
                self._rest(url, is_ours=is_ours)
                self._commit()
            except TransientError as failure:
                moved = self._sink.size - mark >= enough  # patience is for standing still, not for size
                mark = self._sink.size if moved else mark
                self.retries += 1
                attempts.failed(failure, moved=moved)
            except UpstreamCorrupt:
                self._begin_again()
                raise
            except DigestMismatch as error:
                self._begin_again()
                if corrupted:
                    problem = f"{self._session} sent wrong bytes for {self._what}{self._encoding}: {error.problem}"
                    raise UpstreamCorrupt(problem, error.remedy) from None
                corrupted = True  # once from the start: a resume may have joined two different answers
                self.retries += 1
            else:
                return

    def _commit(self) -> None:
        try:
            self._sink.commit()
        except DigestMismatch as error:
            # Not what they hash to: a redirect may have led to bytes that are a secret, of which a hash proves a guess.
            raise DigestMismatch(f"{self._sink.size} bytes of another digest", error.remedy) from None

    def _rest(self, url: str, *, is_ours: bool) -> None:
        sink, wanted = self._sink, self._wanted
        if sink.size > self._limit:
            self._begin_again()
        if sink.size and sink.size == wanted.size:
            return
        headers = {"Accept": f"{wanted.media_type}, */*" if _MEDIA_TYPE.fullmatch(wanted.media_type) else "*/*"}
        if sink.size:
            headers["Range"] = f"bytes={sink.size}-"
        ask = Ask(url, self._repository, self._what, headers, _SUCCESS, is_ours, by_digest=True)
        with self._session.send(ask) as answer:
            self._encoding = answer.encoding()
            self._line_up(answer)
            while chunk := answer.read(CHUNK_BYTES):
                self._take(chunk)
        if sink.size < wanted.size:
            # Without Content-Length a body that broke off looks complete.
            problem = f"{self._session} sent {sink.size} of {wanted.size} bytes of {self._what}"
            raise TransientError(UpstreamUnreachable(problem, "run again, or use a mirror"))

    def _line_up(self, answer: Answer) -> None:
        """Have the answer's body begin where the sink ends. Raises TransientError if it does not."""
        begins = _begins_at(answer, self._wanted.size)
        if begins == self._sink.size:
            return
        self._begin_again()
        if begins != 0:
            place = answer.header("Content-Range")[:60]
            problem = f"{self._session} answered HTTP {answer.status} for {self._what}, with the range {place!r} that was not asked for"
            raise TransientError(UpstreamError(problem, "report it to the registry's operator", status=answer.status))

    def _take(self, chunk: bytes) -> None:
        self.bytes += len(chunk)
        if self._sink.size + len(chunk) > self._limit:
            if self._wanted.size < 0:
                problem = f"{self._session} does not stop sending {self._what}, whose size nobody has told: {self._limit} bytes came"
                raise UpstreamCorrupt(problem, "report it to the registry's operator")
            raise DigestMismatch(f"more than {self._limit} bytes came", "report it to the registry's operator")
        self._sink.write(chunk)
        self._progress(len(chunk))

    def _begin_again(self) -> None:
        if self._sink.size:
            self._progress(-self._sink.size)
            self._sink.restart()


def _begins_at(answer: Answer, size: int) -> int | None:
    """Return which byte of the blob the answer's body begins with, None if it has none of them (416) or does not say.

    A part of something that is not ``size`` bytes long is a part of something else.
    """
    if answer.status == 200:
        return 0
    match = _CONTENT_RANGE.fullmatch(answer.header("Content-Range").strip())
    if match is None or answer.status != 206 or (size >= 0 and match[2] not in {"*", str(size)}):
        return None
    return int(match[1])
