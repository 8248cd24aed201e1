"""Answer: what one request brought, read with bounds. Its body is never decoded: a digest is of the bytes that travel."""

from __future__ import annotations

import json

import urllib3
from urllib3.exceptions import HTTPError

from registry_snapshot.errors import UpstreamError
from registry_snapshot.record.retry import TransientError
from registry_snapshot.record.transport import host_of, unreachable

ERROR_BYTES = 64 * 1024  # of a body that is no content: an error, a token

class Answer:
    """An answer whose body is still on its way. ``what`` names what was asked for, ``received`` counts bytes of the body."""

    def __init__(self, response: urllib3.BaseHTTPResponse, url: str, what: str) -> None:
        self.status = response.status
        self.url = url
        self.received = 0
        self._response = response
        self._what = what

    def header(self, name: str) -> str:
        """Return a header, empty if it is not there."""
        return str(self._response.headers.get(name, ""))

    def headers(self, name: str) -> list[str]:
        """Return every line of a header."""
        return self._response.headers.getlist(name)

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes as soon as there are some; none at the end. Raises TransientError."""
        try:
            data = self._response.read1(size, decode_content=False)
        except HTTPError as error:
            raise TransientError(named(unreachable(error, host_of(self.url)), self._what)) from error
        self.received += len(data)
        return data

    def body(self, limit: int) -> bytes:
        """Return the whole body, or its first ``limit`` bytes if it is longer. Raises TransientError."""
        data = bytearray()
        while len(data) < limit and (chunk := self.read(limit - len(data))):
            data += chunk
        return bytes(data)

    def encoding(self) -> str:
        """Return a hint for people if a proxy has encoded the body, which we did not ask for; else nothing."""
        name = self.header("Content-Encoding").strip().lower()
        return f" (it came with Content-Encoding {name[:40]!r}, which was not asked for)" if name not in {"", "identity"} else ""

    def reason(self) -> str:
        """Return the first message of a specification's error body, for people; empty if there is none."""
        try:
            message = str(json.loads(self.body(ERROR_BYTES))["errors"][0]["message"])
        except (TransientError, ValueError, LookupError, TypeError, RecursionError):
            return ""
        return ": " + "".join(letter for letter in message if letter.isprintable())[:300]

    def drop(self) -> None:
        """Let go of an answer nobody wants; its connection is used again if little of it is left."""
        try:
            self.body(ERROR_BYTES)
        except TransientError:
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Close the connection, unless its body was read to the end, or has none: then it is used again."""
        if self._response.length_remaining == 0:
            self._response.drain_conn()  # of HEAD, and of an upload's 202 and 201, nobody reads anything, so nobody has given it back
        self._response.close()


def named(error: UpstreamError, what: str) -> UpstreamError:
    """Return ``error`` with what was asked for in front."""
    return type(error)(f"{what}: {error.problem}", error.remedy, status=error.status)
