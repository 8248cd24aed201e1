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

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import yaml

from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.reference import DOCKER_HUB, looks_like_registry
from registry_snapshot.record.destinations import Destinations
from registry_snapshot.record.login_rules import is_confidential, is_loopback
from registry_snapshot.record.proxies import DIRECT
from registry_snapshot.record.transport import origin_of
from registry_snapshot.store.bounded import read_file

_HUB_HOST = "registry-1.docker.io"
_PLACE = re.compile(r"[a-z0-9.:/\[\]_-]{1,255}")
_EXAMPLE = "write for example registry.k8s.io: https://mirror.example.com"


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
        try:
            root = yaml.compose(read_file(path).decode(), Loader=yaml.SafeLoader)
        except OSError as error:
            raise RegistryError(f"{path} cannot be read: {error.strerror}", "name a file of mirrors that exists") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            line = f":{mark.line + 1}" if mark else ""
            why = getattr(error, "problem", None) or "it is not UTF-8"
            raise RegistryError(f"{path}{line}: this is no YAML: {why}", _EXAMPLE) from None
        if root is None:
            return cls()
        return cls(**_FileReader(path).read(root))

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
                raise RegistryError(f"{_without_password(text)} is not NAME=URL", "write for example registry.k8s.io=https://mirror.example.com")
            where = f"the mirror of {_without_password(name)}"
            if _is_url(name):
                prefixes[_base_url(name, where)] = _base_url(url, where)
            else:
                names[_registry(name, where)] = _base_url(url, where)
                logins.pop(_registry(name, where), None)  # it was for the other mirror
        files = (*self.ca_files, *(_ca_file(Path(file), "the option for a CA") for file in ca))
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
        return f"https://{_HUB_HOST}"
    host = urlsplit(f"//{registry}").hostname or ""
    # The only names that docker and containerd, too, ask in cleartext without being told.
    scheme = "http" if is_loopback(host) else "https"
    return f"{scheme}://{registry}"


class _FileReader:
    """Turns YAML nodes into the parts of Mirrors; knows the file for messages."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, root: yaml.Node) -> dict[str, Any]:
        """Return the fields of Mirrors."""
        fields: dict[str, Any] = {}
        for key, node in self._pairs(root):
            if key == "registries":
                mirrors = [(_registry(name, self._at(child)), *self._mirror(child)) for name, child in self._pairs(node)]
                fields[key] = tuple((name, url) for name, url, _ in mirrors)
                fields["logins"] = tuple((name, login) for name, _, login in mirrors if login)
            elif key == "downloads":
                fields[key] = tuple((_base_url(name, self._at(child)), self._url(child)) for name, child in self._pairs(node))
            elif key == "ca":
                files = [_ca_file(self._path.parent / self._text(item), self._at(item)) for item in self._items(node)]
                fields["ca_files"] = tuple(files)
            elif key == "proxies":
                fields[key] = tuple((_registry(name, self._at(child)), self._proxy(child)) for name, child in self._pairs(node))
            elif key in {"private", "token_servers"}:
                fields[key] = tuple(self._place(item) for item in self._items(node))
            else:
                remedy = "use registries, downloads, ca, proxies, private or token_servers"
                raise RegistryError(f"{self._at(node)}: {key!r} is no setting of mirrors", remedy)
        return fields

    def _mirror(self, node: yaml.Node) -> tuple[str, str]:
        """Return a mirror's URL and whose login it gets, empty for its own."""
        if not isinstance(node, yaml.MappingNode):
            return self._url(node), ""
        parts = dict(self._pairs(node))
        if "url" not in parts or not parts.keys() <= {"url", "login"}:
            raise RegistryError(f"{self._at(node)}: a mirror has url and login, and nothing else", _EXAMPLE)
        url, login = self._url(parts["url"]), parts.get("login")
        if login is None:
            return url, ""
        if not is_confidential(url):
            remedy = "write an https URL, or leave login out"
            raise RegistryError(f"{self._at(node)}: a login is not sent to {url}, where anybody on the way could read it", remedy)
        return url, _registry(self._text(login), self._at(login))

    def _place(self, node: yaml.Node) -> str:
        text = self._text(node).lower()
        if not _PLACE.fullmatch(text):
            remedy = "write for example .corp.example.com or 10.20.0.0/16"
            raise RegistryError(f"{self._at(node)}: {text[:200]!r} is no host, suffix or network", remedy)
        return text

    def _url(self, node: yaml.Node) -> str:
        return _base_url(self._text(node), self._at(node))

    def _proxy(self, node: yaml.Node) -> str:
        text = self._text(node)
        if text == DIRECT:
            return DIRECT
        if _is_url(text) and "@" in text:
            remedy = "write it without, and set HTTPS_PROXY with the login in the environment of the build"
            raise RegistryError(f"{self._at(node)}: a proxy's login does not belong into this file", remedy)
        return _base_url(text, self._at(node))

    def _at(self, node: yaml.Node) -> str:
        return f"{self._path}:{node.start_mark.line + 1}"

    def _pairs(self, node: yaml.Node) -> list[tuple[str, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            raise RegistryError(f"{self._at(node)}: here must be NAME: VALUE lines", _EXAMPLE)
        pairs: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = self._text(key)
            if name in pairs:
                raise RegistryError(f"{self._at(key)}: {name!r} stands here twice", "remove one of the two")
            pairs[name] = value
        return list(pairs.items())

    def _items(self, node: yaml.Node) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode):
            raise RegistryError(f"{self._at(node)}: here must be a list", "write for example ca: [corporate-root.pem]")
        return list(node.value)

    def _text(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode) or not str(node.value).strip():
            raise RegistryError(f"{self._at(node)}: here must be a text", _EXAMPLE)
        return str(node.value).strip()


def _is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def _base_url(text: str, where: str) -> str:
    try:
        parts = urlsplit(text)
        valid = _is_url(text) and bool(parts.hostname) and not parts.query and not parts.fragment
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        valid = has_port = False
    if not valid or not has_port:
        raise RegistryError(f"{where}: {_without_password(text)} is no base URL", "write https://host[:port][/prefix]")
    if parts.username is not None:
        raise RegistryError(f"{where}: a login does not belong into a URL", f"run: docker login {parts.hostname}")
    return text.rstrip("/")


def _without_password(text: str) -> str:
    head, at, tail = text.rpartition("@")
    return f"…@{tail!r}" if at and head else repr(text[:200])


def _registry(name: str, where: str) -> str:
    if name in {_HUB_HOST, "index.docker.io"}:
        return DOCKER_HUB
    if not looks_like_registry(name):
        raise RegistryError(f"{where}: {_without_password(name)} is no registry name", "write it as in an image's name: registry.k8s.io, host:5000")
    return name


def _ca_file(path: Path, where: str) -> Path:
    if not path.is_file():
        raise RegistryError(f"{where}: there is no file {path}", "name a PEM file with the authority's certificate")
    return path.resolve()
