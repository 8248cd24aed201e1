"""Transport: one HTTP exchange over urllib3, with our trust, timeouts and proxies. Follows nothing, repeats nothing."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from registry_snapshot.errors import RegistryError, UpstreamError, UpstreamNotTrusted, UpstreamUnreachable
from registry_snapshot.record.destinations import Destinations
from registry_snapshot.record.pools import pools
from registry_snapshot.record.proxies import Proxies, without_login

Origin = tuple[str, str, int]  # scheme, host, port

CONNECT_SECONDS = 15
READ_SECONDS = 60  # without a single byte, or with fewer than PACE_BYTES of them
CHUNK_BYTES = 1 << 20  # of one step of a transfer: each step of a thread ends with waiting for its turn at the interpreter
_USER_AGENT = "airseal"
_PORTS = {"http": 80, "https": 443}
_POOLS = 32  # hosts whose connections are kept
_CONNECTIONS = 16  # kept for one host
_HOSTNAME, _EXPIRED, _NOT_YET = 62, 10, 9  # X509_V_ERR_… of openssl's x509_vfy.h


class Transport:
    """Connections to any host, kept and used again. Safe for threads.

    ``ca_files`` are trusted besides the system's authorities. ``proxies`` None is what the environment says.
    ``destinations`` None connects to public addresses alone.
    Raises RegistryError for a CA file that is none, and for a proxy that cannot be used.
    """

    def __init__(
        self,
        ca_files: tuple[Path, ...] = (),
        proxies: Proxies | None = None,
        read_seconds: float = READ_SECONDS,
        destinations: Destinations | None = None,
    ) -> None:
        self._ca_files = ca_files
        self._context = _trust(ca_files) if ca_files else None  # one that is named is looked at now; the system's take 25 ms to read
        self._lock = threading.Lock()
        self._timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=read_seconds)
        self._proxies = Proxies.of() if proxies is None else proxies
        self._destinations = destinations or Destinations()
        self._plain = urllib3.PoolManager(num_pools=_POOLS, maxsize=_CONNECTIONS, timeout=self._timeout)
        self._plain.pool_classes_by_scheme = {"http": pools(self._destinations)["http"]}  # and nothing under TLS that we did not set up
        self._secure: urllib3.PoolManager | None = None
        self._proxied = {url: self._proxy(url) for url in self._proxies.all()}

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | Iterable[bytes] | None = None, read_seconds: float | None = None
    ) -> urllib3.BaseHTTPResponse:
        """Return the answer with its body unread and undecoded.

        A ``body`` in pieces goes out as they come; ``headers`` tell its length. ``read_seconds`` of None wait as long as always.
        Raises UpstreamError: UpstreamUnreachable, UpstreamNotTrusted, DestinationRefused, and what ``body`` raises.
        """
        try:
            proxy = self._proxies.for_url(url)
            if proxy:
                _, host, port = origin_of(url)
                self._destinations.check_literal(host, port)
            return (self._proxied[proxy] if proxy else self._direct(url)).request(
                method,
                url,
                headers={"User-Agent": _USER_AGENT, "Accept-Encoding": "identity", **headers},
                body=body,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=self._timeout if read_seconds is None else urllib3.Timeout(connect=CONNECT_SECONDS, read=read_seconds),
            )
        except (LocationValueError, UnicodeError):  # the URL came from outside
            raise UpstreamError(f"{host_of(url)[:200]!r} is no host that can be asked", "ask the registry's operator") from None
        except HTTPError as error:
            raise unreachable(error, host_of(url), without_login(proxy)) from error

    def close(self) -> None:
        """Close idle connections."""
        for pool in (self._plain, self._secure, *self._proxied.values()):
            if pool is not None:
                pool.clear()

    def _direct(self, url: str) -> urllib3.PoolManager:
        """Return what asks ``url`` itself."""
        if urlsplit(url).scheme == "http":
            return self._plain
        with self._lock:
            if self._secure is None:
                self._secure = urllib3.PoolManager(num_pools=_POOLS, maxsize=_CONNECTIONS, ssl_context=self._trusting(), timeout=self._timeout)
                self._secure.pool_classes_by_scheme = pools(self._destinations)
            return self._secure

    def _trusting(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = _trust(self._ca_files)
        return self._context

    def _proxy(self, url: str) -> urllib3.ProxyManager:
        auth = urllib3.util.parse_url(url).auth
        context = self._trusting()
        manager = urllib3.ProxyManager(
            without_login(url),
            num_pools=_POOLS,
            maxsize=_CONNECTIONS,
            proxy_headers=urllib3.make_headers(proxy_basic_auth=auth) if auth else None,
            ssl_context=context,
            proxy_ssl_context=context,
            timeout=self._timeout,
        )
        manager.pool_classes_by_scheme = pools(None)
        return manager


def origin_of(url: str) -> Origin:
    """Return who answers ``url``; a default port is filled in. Raises ValueError for what is no URL."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme, 0)


def host_of(url: str) -> str:
    """Return the host and port in ``url``, for people: no login, no path, no signature."""
    return url.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2]


def unreachable(error: HTTPError, host: str, proxy: str = "") -> UpstreamUnreachable:
    """Return what to tell a person about ``error`` from ``host``, which was asked through ``proxy``."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return UpstreamNotTrusted(
                f"the TLS certificate of {host} cannot be verified: {cause.verify_message}", _certificate_remedy(cause, host)
            )
    if isinstance(error, ProxyError):
        return _proxy_failed(error, host, proxy)
    remedy = f"check that {host} can be reached from here (name, firewall, proxy variables), or point --mirror elsewhere"
    if isinstance(error, SSLError):
        problem = f"{host} does not speak TLS with us: {_reason(error)}"
    elif isinstance(error, NameResolutionError):
        problem = f"{host} is no name that can be resolved"
        remedy = f"correct the registry's name if it is mistyped; else check the name servers of this machine for {host}"
    elif isinstance(error, (NewConnectionError, ConnectTimeoutError)):
        problem = f"{host} cannot be reached: {_reason(error)}"
    elif isinstance(error, ReadTimeoutError):
        problem = f"{host} has stopped sending, or sends too slowly"
    else:
        problem = f"the connection to {host} broke: {_reason(error)}"
    return UpstreamUnreachable(problem, remedy)


def _certificate_remedy(error: ssl.SSLCertVerificationError, host: str) -> str:
    if error.verify_code == _HOSTNAME:
        return f"ask for it by a name that stands in the certificate, or have its operator issue one for {host}"
    if error.verify_code in {_EXPIRED, _NOT_YET}:
        return f"check this machine's clock; else the operator of {host} has to renew the certificate"
    return (
        "if it is signed by your company's own authority, add that with --ca FILE (or ca: in the file of mirrors); "
        f"openssl s_client -showcerts -connect {host if ':' in host else host + ':443'} shows who signed it"
    )


def _proxy_failed(error: ProxyError, host: str, proxy: str) -> UpstreamUnreachable:
    if "connection failed: 407" in str(error):  # the words of http.client; it keeps no status
        remedy = "put its login into HTTPS_PROXY (http://USER:PASSWORD@HOST:PORT) in the environment of this command"
        return UpstreamUnreachable(f"the proxy {proxy} wants a login before it lets us reach {host}", remedy, status=407)
    remedy = f"check the proxy, or name {host} in NO_PROXY if it can be reached without one"
    return UpstreamUnreachable(f"the proxy {proxy} does not let us reach {host}: {_reason(error)}", remedy)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(8):
        if error is None:
            return
        yield error
        yield from (item for item in error.args if isinstance(item, BaseException))
        error = error.__cause__ or error.__context__


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
