"""Where a login may go: it belongs to an origin (scheme, host, port), never to a name that can be pointed elsewhere.

* To the origin it was made for, over TLS, or to this machine itself. In clear anybody on the way reads it.
* To the token server that this origin names over TLS, if it is of the same site: ``registry-1.docker.io`` may name
  ``auth.docker.io``, and a registry that was taken over may not name a collector of passwords. What a challenge over
  cleartext names, anybody on the way has chosen: it gets no login at all.

Docker sends the login of Docker Hub to whatever stands in for it (moby#42022); containers/image does not (its #625).
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

_LABELS = 2  # example.com
_SHORT = 3  # letters: of co.uk, com.au and their like a site has one label more


def is_confidential(url: str) -> bool:
    """Tell whether nobody on the way reads what is sent to ``url``: it is asked over TLS, or on this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


def is_loopback(host: str) -> bool:
    """Tell whether ``host`` is a name or an address of this machine that needs no name server to be known as such."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host.rstrip(".").lower() == "localhost"


def is_of_site(host: str, homes: Collection[str]) -> bool:
    """Tell whether ``host`` is one of ``homes``, or of the same site as one: equal in its last two labels.

    Of ``co.uk`` and its like three count, also where one would do: too narrow a rule asks, too wide a one gives away.
    Addresses and names of one label are of no site but themselves.
    """
    return any(host == home or _site(host) == _site(home) != "" for home in homes)


def _site(host: str) -> str:
    labels = host.rstrip(".").lower().split(".")
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return ""
    count = _LABELS + (len(labels) > _LABELS and len(labels[-2]) <= _SHORT)
    return ".".join(labels[-count:]) if len(labels) >= count else ""
