"""Transport: one HTTP exchange over urllib3, with our trust, timeouts and proxies. Follows nothing, repeats nothing."""

from __future__ import annotations

import ssl
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from registry_snapshot.errors import RegistryError, UpstreamNotTrusted, UpstreamUnreachable

CONNECT_SECONDS = 15
READ_SECONDS = 60  # without a single byte
CHUNK_BYTES = 256 * 1024
_USER_AGENT = "airseal"


class Transport:
    """Connections to any host, kept and used again. Safe for threads.

    ``ca_files`` are trusted besides the system's authorities. ``proxies`` is scheme → URL; None reads the usual
    environment variables (``https_proxy``, ``no_proxy`` …). Loopback is never asked through a proxy.
    Raises RegistryError for a CA file that is none.
    """

    def __init__(
        self, ca_files: tuple[Path, ...] = (), proxies: Mapping[str, str] | None = None, read_seconds: float = READ_SECONDS
    ) -> None:
        self._context = _trust(ca_files)
        self._timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=read_seconds)
        self._proxies = urllib.request.getproxies_environment() if proxies is None else dict(proxies)
        self._direct = urllib3.PoolManager(num_pools=32, maxsize=16, ssl_context=self._context, timeout=self._timeout)
        self._proxied = {url: self._proxy(url) for url in set(self._proxies.values()) if url.startswith("http")}

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> urllib3.BaseHTTPResponse:
        """Return the answer with its body unread and undecoded. Raises UpstreamUnreachable, UpstreamNotTrusted."""
        try:
            return self._pool(url).request(
                method,
                url,
                headers={"User-Agent": _USER_AGENT, "Accept-Encoding": "identity", **headers},
                body=body,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
            )
        except HTTPError as error:
            raise unreachable(error, urlsplit(url).netloc) from error

    def close(self) -> None:
        """Close idle connections."""
        for pool in (self._direct, *self._proxied.values()):
            pool.clear()

    def _pool(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        host = parts.hostname or ""
        local = host in {"localhost", "::1"} or host.startswith("127.")
        proxy = self._proxies.get(parts.scheme, "")
        if local or proxy not in self._proxied:
            return self._direct
        # Not in typeshed, but it takes our own table of proxies, which proxy_bypass() does not.
        bypassed = urllib.request.proxy_bypass_environment(parts.netloc, self._proxies)  # type: ignore[attr-defined]
        return self._direct if bypassed else self._proxied[proxy]

    def _proxy(self, url: str) -> urllib3.ProxyManager:
        auth = urllib3.util.parse_url(url).auth
        headers = urllib3.make_headers(proxy_basic_auth=auth) if auth else None
        return urllib3.ProxyManager(
            url, num_pools=32, maxsize=16, proxy_headers=headers, ssl_context=self._context, timeout=self._timeout
        )


def unreachable(error: HTTPError, host: str) -> UpstreamUnreachable:
    """Return what to tell a person about ``error`` from ``host``."""
    if isinstance(error, SSLError) and isinstance(error.args[0] if error.args else None, ssl.SSLCertVerificationError):
        return UpstreamNotTrusted(
            f"the TLS certificate of {host} cannot be verified: {error.args[0].verify_message}",
            "if it is signed by your company's own authority, add that with --ca FILE (or ca: in the file of mirrors)",
        )
    network = f"check that {host} can be reached from here (name, firewall, proxy variables), or point --mirror elsewhere"
    if isinstance(error, SSLError):
        return UpstreamUnreachable(f"{host} does not speak TLS with us: {_reason(error)}", network)
    if isinstance(error, NameResolutionError):
        return UpstreamUnreachable(f"{host} is no name that can be resolved", network)
    if isinstance(error, (NewConnectionError, ConnectTimeoutError)):
        return UpstreamUnreachable(f"{host} cannot be reached: {_reason(error)}", network)
    if isinstance(error, ReadTimeoutError):
        return UpstreamUnreachable(f"{host} has stopped sending", network)
    return UpstreamUnreachable(f"the connection to {host} broke: {_reason(error)}", network)


def _reason(error: Exception) -> str:
    cause = error.__cause__ or error.__context__
    return str(getattr(cause, "strerror", None) or cause or error)[:200]


def _trust(ca_files: tuple[Path, ...]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    for path in ca_files:
        try:
            context.load_verify_locations(cafile=path)
        except (OSError, ssl.SSLError) as error:
            raise RegistryError(f"{path} holds no certificate of an authority: {error}", "name a PEM file") from None
    return context
