"""Upstreams: the remote registry for every registry name, with its mirror, its login and its own patience."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from registry_snapshot.errors import UpstreamError
from registry_snapshot.record.credentials import Credentials, DockerCredentials
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.record.proxies import Proxies
from registry_snapshot.record.transport import READ_SECONDS, Transport
from registry_snapshot.record.upstream import Upstream

_MOST = 1000  # registries; each has threads and connections of its own, and clients make up names


class Upstreams:
    """One Upstream for each registry, made when it is first needed. Safe for threads.

    ``sleep`` and ``clock`` (monotonic) are seconds. ``proxies`` stand in for the environment's variables (scheme → URL,
    and ``no``); what the mirrors say of a registry's proxy counts for all that is asked for it: its token server and where
    it redirects to included. Raises RegistryError for a bad CA file, and for a proxy that cannot be used.
    """

    def __init__(
        self,
        mirrors: Mirrors,
        credentials: DockerCredentials,
        *,
        sleep: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        proxies: Mapping[str, str] | None = None,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        self._mirrors = mirrors
        self._credentials = credentials
        self._stopped = threading.Event()
        self._sleep: Callable[[float], object] = sleep or self._stopped.wait
        self._clock = clock
        self._proxies = Proxies.of(proxies)
        self._read_seconds = read_seconds
        self._transports: dict[Proxies, Transport] = {}
        self._transport(self._proxies)  # a bad CA file is found now
        self._upstreams: dict[str, Upstream] = {}
        self._lock = threading.Lock()

    def for_registry(self, name: str) -> Upstream:
        """Return the upstream that stands for the registry ``name``."""
        with self._lock:
            if name not in self._upstreams:
                if len(self._upstreams) >= _MOST:
                    raise UpstreamError(f"{name[:100]} is registry number {_MOST + 1} that is asked for", "look at who makes up names of registries")
                login = self._mirrors.login_of(name)
                homes = (urlsplit(f"//{login}").hostname or "",) if login else ()
                self._upstreams[name] = Upstream(
                    name,
                    self._mirrors.base_url(name),
                    self._transport_for(name),
                    partial(self._login, name),
                    sleep=self._sleep,
                    clock=self._clock,
                    rewrite=self._mirrors.rewrite,
                    token_servers=(*self._mirrors.token_servers, *homes),
                )
            return self._upstreams[name]

    def login_in_words(self, name: str) -> str:
        """Return which login the registry ``name`` is asked with, and where that is from. Raises RegistryError if a helper fails."""
        return self._credentials.in_words(self.login_key(name))

    def stop(self) -> None:
        """End waits: whoever waits raises TransferStopped."""
        self._stopped.set()

    def close(self) -> None:
        """End waits and close idle connections."""
        self.stop()
        with self._lock:
            for transport in self._transports.values():
                transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _transport_for(self, name: str) -> Transport:
        setting = self._mirrors.proxy_of(name)
        proxies = self._proxies.only(setting) if setting else self._proxies
        return self._transport(proxies)

    def _transport(self, proxies: Proxies) -> Transport:
        if proxies not in self._transports:
            mirrors = self._mirrors
            self._transports[proxies] = Transport(mirrors.ca_files, proxies, self._read_seconds, mirrors.destinations)
        return self._transports[proxies]

    def _login(self, name: str) -> Credentials | None:
        """Return the login of who is really asked: a mirror has its own, or the one that the file of mirrors says is for it."""
        return self._credentials.for_registry(self.login_key(name))

    def login_key(self, name: str) -> str:
        """Return what the login is called that the registry ``name`` is asked with: a mirror has its own."""
        mirror = self._mirrors.mirror_of(name)
        return self._mirrors.login_of(name) or (urlsplit(mirror).netloc if mirror else name)
