"""Proxies: through whom a host is reached. What the environment says, or what the file of mirrors says of a registry.

``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY`` mean what they mean to Go's net/http, which docker and containerd use: a
proxy without a scheme is http, NO_PROXY may hold names, ``.suffixes``, addresses, networks (``10.0.0.0/8``) and ``*``.
Loopback is never asked through a proxy.

A proxy in the file of mirrors has no login in its URL, since such files are committed. It is taken from the environment:
from ``HTTPS_PROXY`` or ``HTTP_PROXY`` if they name the same host and port. (``proxies`` in docker's config.json is not
read: docker gives it to containers and builds, and pulls nothing through it.)
"""

from __future__ import annotations

import contextlib
import ipaddress
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from registry_snapshot.errors import RegistryError
from registry_snapshot.record.login_rules import is_loopback

DIRECT = "direct"  # in the file of mirrors: no proxy, whatever the environment says


@dataclass(frozen=True, slots=True)
class Proxies:
    """Proxy URLs for http and https (empty: none) and the hosts that are asked without them."""

    http: str = ""
    https: str = ""
    bypass: tuple[str, ...] = ()

    @classmethod
    def of(cls, variables: Mapping[str, str] | None = None) -> Self:
        """Return what ``variables`` say: scheme → URL and ``no``; None is the environment's. Raises RegistryError."""
        found = urllib.request.getproxies_environment() if variables is None else variables
        bypass = tuple(item.strip().lower() for item in found.get("no", "").split(",") if item.strip())
        return cls(_checked(found.get("http", "")), _checked(found.get("https", "")), bypass)

    def only(self, setting: str) -> Proxies:
        """Return what a line of the file of mirrors means: DIRECT, or one proxy for everything, with the login known here."""
        if setting == DIRECT:
            return Proxies()
        known = next((url for url in (self.https, self.http) if _place(url) == _place(setting)), setting)
        return Proxies(known, known)

    def for_url(self, url: str) -> str:
        """Return the proxy for ``url``, empty if it is asked itself. Raises ValueError for what is no URL."""
        parts = urlsplit(url)
        proxy = {"http": self.http, "https": self.https}.get(parts.scheme, "")
        host = (parts.hostname or "").rstrip(".")
        if not proxy or is_loopback(host) or any(matches(item, host, parts.port) for item in self.bypass):
            return ""
        return proxy

    def all(self) -> set[str]:
        """Return every proxy's URL."""
        return {self.http, self.https} - {""}

    def __repr__(self) -> str:
        return f"Proxies({without_login(self.http)!r}, {without_login(self.https)!r}, {self.bypass})"


def without_login(url: str) -> str:
    """Return ``url`` as a person may see it."""
    head, _, tail = url.rpartition("@")
    scheme = head.partition("://")[0] if "://" in head else ""
    return f"{scheme}://{tail}" if scheme else tail


def _checked(url: str) -> str:
    if not url:
        return ""
    full = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(full)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid:
        remedy = "set HTTPS_PROXY and HTTP_PROXY to http://host:port, or unset them"
        raise RegistryError(f"{without_login(full)[:200]!r} is no proxy that can be used", remedy)
    return full


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def matches(item: str, host: str, port: int | None) -> bool:
    """Tell whether ``item``, as it stands in NO_PROXY, means ``host``: a name, a suffix, an address, a network, ``*``."""
    if item == "*":
        return True
    with contextlib.suppress(ValueError):
        network = ipaddress.ip_network(item, strict=False)
        with contextlib.suppress(ValueError):
            return ipaddress.ip_address(host) in network
        return False
    name, colon, wanted = item.rpartition(":")
    if colon and wanted.isdigit() and "]" not in wanted:
        if port is None or int(wanted) != port:
            return False
        item = name
    item = item.removeprefix("*").strip("[]")
    return host == item.lstrip(".") or host.endswith("." + item.lstrip("."))
