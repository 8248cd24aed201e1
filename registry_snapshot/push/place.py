"""Place: where the next bytes of an upload go, as the registry says it after each step.

Source: OCI distribution-spec, "Pushing Blobs".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin, urlsplit

from registry_snapshot.errors import PushedOther, UpstreamError
from registry_snapshot.oci.digest import Digest
from registry_snapshot.record.answer import Answer
from registry_snapshot.record.transport import host_of, origin_of

_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,18})")
_LARGEST_MINIMUM = 1 << 40  # of a chunk; whoever wants more is not believed


@dataclass(frozen=True, slots=True)
class Place:
    """``url`` as it came, with whatever the registry has put into it; ``minimum`` are the bytes that each chunk but the last must have."""

    url: str
    minimum: int = 0

    @classmethod
    def of(cls, answer: Answer, base: str, minimum: int = 0) -> Place:
        """Return the place that ``answer`` names, relative or absolute; ``base`` is where the registry is asked.

        Raises UpstreamError for none, and for one that is asked without encryption where the registry is not.
        """
        location = answer.header("Location")
        try:
            url = urljoin(answer.url, location)
            scheme, host, _ = origin_of(url)
        except ValueError:
            scheme = host = location = ""
        if not location or scheme not in {"http", "https"} or not host:
            raise UpstreamError(f"{host_of(base)} does not say where to upload to ({location[:40]!r})", "report it to the registry's operator")
        wanted = urlsplit(base)
        if scheme == "http" and wanted.scheme == "https":
            if host != (wanted.hostname or ""):
                raise UpstreamError(f"{host_of(base)} wants an upload sent to {host_of(url)} without encryption", "report it to the registry's operator")
            # It stands behind a proxy that ends TLS, and does not know (X-Forwarded-Proto is missing): its own name, the other scheme.
            url = urlsplit(url)._replace(scheme=wanted.scheme, netloc=wanted.netloc).geturl()
        told = answer.header("OCI-Chunk-Min-Length").strip()
        return cls(url, min(int(told), _LARGEST_MINIMUM) if told.isascii() and told[:20].isdigit() and len(told) < 20 else minimum)

    def closing(self, digest: Digest) -> str:
        """Return the URL that ends the upload as the blob ``digest``."""
        separator = "&" if urlsplit(self.url).query else "?"
        return f"{self.url}{separator}{urlencode({'digest': str(digest)})}"


def received(answer: Answer, size: int) -> int:
    """Return how many bytes the registry says it has; 0 where it does not say, or says more than there are."""
    match = _RANGE.fullmatch(answer.header("Range").strip())
    count = int(match[1]) + 1 if match else 0
    # "0-0" is what distribution says of an upload that has nothing: one byte sent twice costs less than one that is missing.
    return count if 1 < count <= size else 0


def check_told(answer: Answer, digest: Digest, what: str, registry: str) -> None:
    """Raise PushedOther if the registry names what it took otherwise. One that says nothing is believed: the specification lets it."""
    told = answer.header("Docker-Content-Digest").strip()
    if told and told != str(digest) and told.partition(":")[0] == digest.algorithm:
        raise PushedOther(
            f"{registry} says that it keeps {told[:100]!r}, and was sent {what}",
            "look for a proxy that alters content, and report it to the registry's operator; nothing was tagged",
            status=answer.status,
        )
