"""Downloads: over HTTP into a cache named by SHA-256, hashed while they stream, continued where they broke off.

A file is under its hash or it is not there. What arrived of a broken download stays as ``<hash>.part``; the next try
hashes it again and asks for the rest.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

from bundler.errors import ChecksumMismatch, DownloadFailed
from installer_stub.phases.reporter import Reporter
from registry_snapshot.errors import UpstreamError
from registry_snapshot.store.ours import open_lock, open_ours

if TYPE_CHECKING:
    import urllib3

    from registry_snapshot.record.destinations import Destinations

_CHUNK = 1 << 20
_MOST: Final = 4 << 30  # bytes of one download; the largest that recipes name has 60 MB
_HOPS = 5
_SMALL = 1 << 20  # checksum files are a few lines; anything larger is not one
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_FINAL_REFUSALS: Final = frozenset({400, 401, 403, 404, 405, 410})


class Downloader:
    """Fetches URLs through a company's mirrors. ``rewrite`` says where a URL is really asked for.

    ``destinations`` are whom it may connect to besides the internet.
    """

    def __init__(
        self,
        directory: Path,
        reporter: Reporter,
        *,
        rewrite: Callable[[str], str] = str,
        ca_files: Iterable[Path] = (),
        destinations: Destinations | None = None,
        tries: int = 5,
        pause: float = 1.0,
    ) -> None:
        from registry_snapshot.record.transport import Transport

        self._directory = directory
        self._reporter = reporter
        self._rewrite = rewrite
        self._transport = Transport(tuple(ca_files), destinations=destinations)
        self._tries = tries
        self._pause = pause

    def has(self, digest: str) -> Path | None:
        """Return the cached file of a hash after hashing it again; a file that rotted is removed."""
        path = self._directory / digest
        if not path.is_file():
            return None
        if _hash(path) == digest:
            os.utime(path)  # when it was used last: airseal cache
            return path
        path.unlink(missing_ok=True)
        return None

    def file(self, urls: tuple[str, ...], digest: str) -> Path:
        """Return the file whose SHA-256 is ``digest``, from the cache or the first of ``urls`` that gives it.

        Raises DownloadFailed when none does, ChecksumMismatch when one gives other bytes.
        """
        if cached := self.has(digest):
            return cached
        self._directory.mkdir(parents=True, exist_ok=True)
        with os.fdopen(open_lock(self._directory / f"{digest}.lock"), "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another build may fetch the same
            return self.has(digest) or self._download(urls, digest)

    def _download(self, urls: tuple[str, ...], digest: str) -> Path:
        part = self._directory / f"{digest}.part"
        failures: list[DownloadFailed] = []
        for number in range(self._tries):
            if number:
                time.sleep(self._pause * 2 ** (number - 1))
            failures = []
            for url in urls:
                try:
                    if self._fetch(url, part) and _hash(part) != digest:
                        # What was there may be of bytes that the site has since replaced: once more, from the beginning.
                        part.unlink()
                        self._fetch(url, part)
                    return self._keep(url, part, digest)
                except ChecksumMismatch:
                    raise
                except DownloadFailed as error:
                    failures.append(error)
            if all(isinstance(failure, _Refused) for failure in failures):
                break
        raise failures[0]

    def text(self, url: str) -> str:
        """Return a small text, such as a publisher's checksum file. Raises DownloadFailed."""
        failure = DownloadFailed(f"{url}: not tried")
        for number in range(self._tries):
            if number:
                time.sleep(self._pause * 2 ** (number - 1))
            try:
                with self._response(url, {}) as response:
                    data = response.read(_SMALL)
                    return data.decode("utf-8", "replace")
            except _Refused:
                raise
            except DownloadFailed as error:
                failure = error
        raise failure

    def _fetch(self, url: str, part: Path) -> bool:
        """Bring ``part`` to its end, and tell whether its beginning was there already.

        What is missing is asked for; a server that knows no ranges sends all.
        """
        have = part.stat().st_size if part.exists() else 0
        with self._response(url, {"Range": f"bytes={have}-"} if have else {}) as response:
            if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink(missing_ok=True)
                if have:
                    return self._fetch(url, part)
                raise _Refused(f"{url}: has no bytes", "look at what answers there")
            starts = f"bytes {have}-"
            resumed = response.status == HTTPStatus.PARTIAL_CONTENT and response.headers.get("Content-Range", "").startswith(starts)
            length = response.headers.get("Content-Length", "")
            total = (have if resumed else 0) + int(length) if length.isdigit() else 0
            name = url.rpartition("/")[2]
            if resumed:
                self._reporter.moved(name, have, total)
            with os.fdopen(_open_part(part), "ab") as out:
                if not resumed:
                    out.truncate(0)
                came = have if resumed else 0
                for piece in response.stream(_CHUNK):
                    came += len(piece)
                    if came > _MOST:
                        raise _Refused(f"{url}: does not end: more than {_MOST} bytes came", "look at what answers there")
                    out.write(piece)
                    self._reporter.moved(name, len(piece), total)
        return resumed

    def _keep(self, url: str, part: Path, digest: str) -> Path:
        got = _hash(part)
        if got != digest:
            size = part.stat().st_size
            part.unlink()
            raise ChecksumMismatch(
                f"{url}: the bytes are not those that were promised\n  expected sha256 {digest}\n  got      sha256 {got} ({size} bytes)",
                "ask the publisher, or look for a proxy or mirror that alters downloads; nothing of it was kept",
            )
        target = self._directory / digest
        part.replace(target)
        return target

    @contextmanager
    def _response(self, url: str, headers: dict[str, str]) -> Iterator[urllib3.BaseHTTPResponse]:
        """Yield the answer to a GET, redirects followed through the mirrors too.

        Raises DownloadFailed, also for a connection that breaks while the caller reads.
        """
        from urllib3.exceptions import HTTPError

        asked = url
        try:
            for _ in range(_HOPS):
                target = self._rewrite(asked)
                response = self._transport.send("GET", target, headers)
                try:
                    location = response.headers.get("Location")
                    if response.status in _REDIRECTS and location:
                        asked = self._redirected(url, target, urljoin(asked, location))
                        continue
                    _check_status(url, target, response.status)
                    yield response
                    return
                finally:
                    response.close()  # the rest of a large body is not worth draining
        except UpstreamError as error:
            raise DownloadFailed(f"{url}: {error.problem}", error.remedy) from None
        except HTTPError as error:
            raise DownloadFailed(f"{url}: the connection broke: {error}"[:500], "run again: it goes on where it broke off") from None
        raise _Refused(f"{url}: more than {_HOPS} redirects", "look at what answers there")


    def _redirected(self, url: str, target: str, location: str) -> str:
        """Return where a redirect of ``target`` leads to. In clear anybody could answer, also for a checksum file."""
        if target.startswith("https:") and not self._rewrite(location).startswith("https:"):
            raise _Refused(f"{url}: redirected to {_host(location)} without encryption", "look at what answers there, or use a mirror")
        return location


def _open_part(part: Path) -> int:
    try:
        return open_ours(part, os.O_WRONLY | os.O_APPEND, 0o644)
    except FileExistsError as error:
        raise _Refused(f"{part}: {error.strerror}", "remove it, or use another --cache") from None


def _host(url: str) -> str:
    return urlsplit(url).hostname or url[:100]


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Refused(DownloadFailed):
    """The server said no; asking again will not help."""


def _check_status(url: str, target: str, status: int) -> None:
    if status in {200, 206, 416}:
        return
    through = "" if target == url else f" (asked as {target})"
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "unknown status"
    kind = _Refused if status in _FINAL_REFUSALS else DownloadFailed
    raise kind(f"{url}: {status} {phrase}{through}", "check the version in the recipe, and that the mirror carries it")

