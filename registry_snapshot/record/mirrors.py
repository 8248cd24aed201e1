"""Mirrors: where a registry or a download is really fetched from, and which authorities its TLS may be signed by.

The file::

    registries:
      registry.k8s.io: https://mirror.example.com/k8s          # asked at https://mirror.example.com/k8s/v2/…
      docker.io: https://harbor.example.com/v2/hub-proxy        # asked at https://harbor.example.com/v2/hub-proxy/…
    downloads:
      https://dl.k8s.io: https://mirror.example.com/dl
    ca: [corporate-root.pem]                                    # relative to this file
    proxies:
      quay.io: http://proxy.example.com:3128                    # for this registry; its login comes from HTTPS_PROXY
      registry.corp.example.com: direct                         # none, whatever HTTPS_PROXY says
    private: [.corp.example.com, 10.20.0.0/16]                  # may be asked though they are at addresses of a private network
    token_servers: [login.example.net]                          # may be sent logins though they are of another site

A mirror gets its own login (``docker login mirror.example.com``) and no other. One that wants the registry's is written with
``url`` and ``login``, and must be https::

      docker.io: {url: https://mirror.example.com, login: docker.io}

The hosts of mirrors and download sites may be private without being named again. What ``private`` holds is written as in NO_PROXY.

A base URL that has ``/v2`` in its path is taken as the whole prefix (containerd's ``override_path``); any other gets
``/v2`` appended, as containerd does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.reference import DOCKER_HUB
from registry_snapshot.record.destinations import Destinations
from registry_snapshot.record.login_rules import is_loopback
from registry_snapshot.record.mirror_settings import (
    HUB_HOST,
    checked_base_url,
    checked_ca_file,
    checked_registry,
    is_url,
    without_password,
)
from registry_snapshot.record.transport import origin_of


@dataclass(frozen=True, slots=True)
class Mirrors:
    """``registries`` are (name, base URL), ``downloads`` (URL prefix, URL prefix), without a slash at the end.

    ``proxies`` are (registry name, URL or "direct"); see registry_snapshot.record.proxies for what they mean. ``logins`` are
    (registry name, name of the login that its mirror gets).
    """

    registries: tuple[tuple[str, str], ...] = ()
    downloads: tuple[tuple[str, str], ...] = ()
    ca_files: tuple[Path, ...] = ()
    proxies: tuple[tuple[str, str], ...] = ()
    logins: tuple[tuple[str, str], ...] = ()
    private: tuple[str, ...] = ()
    token_servers: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return what the YAML file says. Raises RegistryError with the file, the line and what to do."""
        # YAML takes 15 ms to import, and most command lines name no file.
        from registry_snapshot.record.mirrors_file import read_mirrors

        return cls(**read_mirrors(path))

    @classmethod
    def given(cls, file: Path | None, registries: Iterable[str], ca: Iterable[Path | str]) -> Self:
        """Return what a command line names: a file, if any, and over it what ``with_overrides`` takes. Raises RegistryError."""
        return (cls.load(file) if file is not None else cls()).with_overrides(registries, ca)

    def with_overrides(self, registries: Iterable[str] = (), ca: Iterable[Path | str] = ()) -> Self:
        """Return these mirrors with ``NAME=URL`` entries put over them and CA files added.

        A NAME that begins with ``http://`` or ``https://`` is a download prefix. Raises RegistryError.
        """
        names, prefixes, logins = dict(self.registries), dict(self.downloads), dict(self.logins)
        for text in registries:
            # The name may hold "=" only in a download URL's query, which a prefix has no use for.
            name, equals, url = text.partition("=")
            if not equals:
                raise RegistryError(f"{without_password(text)} is not NAME=URL", "write for example registry.k8s.io=https://mirror.example.com")
            where = f"the mirror of {without_password(name)}"
            if is_url(name):
                prefixes[checked_base_url(name, where)] = checked_base_url(url, where)
            else:
                names[checked_registry(name, where)] = checked_base_url(url, where)
                logins.pop(checked_registry(name, where), None)  # it was for the other mirror
        files = (*self.ca_files, *(checked_ca_file(Path(file), "the option for a CA") for file in ca))
        return replace(
            self,
            registries=tuple(names.items()),
            downloads=tuple(prefixes.items()),
            ca_files=tuple(dict.fromkeys(files)),
            logins=tuple(logins.items()),
        )

    def mirror_of(self, registry: str) -> str | None:
        """Return the base URL that stands in for ``registry``, None if it is asked itself."""
        return dict(self.registries).get(registry)

    def proxy_of(self, registry: str) -> str | None:
        """Return the URL of the proxy for ``registry``, "direct" for none, None if the environment decides."""
        return dict(self.proxies).get(registry)

    def login_of(self, registry: str) -> str | None:
        """Return whose login the mirror of ``registry`` gets, None for its own."""
        return dict(self.logins).get(registry)

    @property
    def destinations(self) -> Destinations:
        """Whom the file lets us connect to besides the internet."""
        origins = (origin_of(url) for _, url in (*self.registries, *self.downloads))
        return Destinations(frozenset((host.lower(), port) for _, host, port in origins), self.private)

    def base_url(self, registry: str) -> str:
        """Return the URL before ``/<repository>/manifests/…``: a mirror's, or the registry's own with ``/v2``."""
        url = self.mirror_of(registry) or _own_url(registry)
        return url if "v2" in urlsplit(url).path.split("/") else f"{url}/v2"

    def rewrite(self, url: str) -> str:
        """Return ``url`` with the longest matching download prefix replaced; unchanged if none matches."""
        for prefix, target in sorted(self.downloads, key=lambda pair: len(pair[0]), reverse=True):
            rest = url.removeprefix(prefix)
            if url.startswith(prefix) and (not rest or rest[0] in "/?"):
                return target + rest
        return url


def _own_url(registry: str) -> str:
    if registry == DOCKER_HUB:
        return f"https://{HUB_HOST}"
    host = urlsplit(f"//{registry}").hostname or ""
    # The only names that docker and containerd, too, ask in cleartext without being told.
    scheme = "http" if is_loopback(host) else "https"
    return f"{scheme}://{registry}"
