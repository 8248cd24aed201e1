"""The file of mirrors, read strictly: every complaint names its line. What the settings mean stands in ``mirrors``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from registry_snapshot.errors import RegistryError
from registry_snapshot.record.login_rules import is_confidential
from registry_snapshot.record.mirror_settings import (
    EXAMPLE,
    checked_base_url,
    checked_ca_file,
    checked_registry,
    is_url,
)
from registry_snapshot.record.proxies import DIRECT
from registry_snapshot.store.bounded import read_file

_PLACE = re.compile(r"[a-z0-9.:/\[\]_-]{1,255}")


def read_mirrors(path: Path) -> dict[str, Any]:
    """Return the fields of Mirrors that the YAML file sets. Raises RegistryError with the file, the line and what to do."""
    try:
        root = yaml.compose(read_file(path).decode(), Loader=yaml.SafeLoader)
    except OSError as error:
        raise RegistryError(f"{path} cannot be read: {error.strerror}", "name a file of mirrors that exists") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        why = getattr(error, "problem", None) or "it is not UTF-8"
        raise RegistryError(f"{path}{line}: this is no YAML: {why}", EXAMPLE) from None
    if root is None:
        return {}
    return _FileReader(path).read(root)


class _FileReader:
    """Turns YAML nodes into the parts of Mirrors; knows the file for messages."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, root: yaml.Node) -> dict[str, Any]:
        """Return the fields of Mirrors."""
        fields: dict[str, Any] = {}
        for key, node in self._pairs(root):
            if key == "registries":
                mirrors = [(checked_registry(name, self._at(child)), *self._mirror(child)) for name, child in self._pairs(node)]
                fields[key] = tuple((name, url) for name, url, _ in mirrors)
                fields["logins"] = tuple((name, login) for name, _, login in mirrors if login)
            elif key == "downloads":
                fields[key] = tuple((checked_base_url(name, self._at(child)), self._url(child)) for name, child in self._pairs(node))
            elif key == "ca":
                files = [checked_ca_file(self._path.parent / self._text(item), self._at(item)) for item in self._items(node)]
                fields["ca_files"] = tuple(files)
            elif key == "proxies":
                fields[key] = tuple((checked_registry(name, self._at(child)), self._proxy(child)) for name, child in self._pairs(node))
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
            raise RegistryError(f"{self._at(node)}: a mirror has url and login, and nothing else", EXAMPLE)
        url, login = self._url(parts["url"]), parts.get("login")
        if login is None:
            return url, ""
        if not is_confidential(url):
            remedy = "write an https URL, or leave login out"
            raise RegistryError(f"{self._at(node)}: a login is not sent to {url}, where anybody on the way could read it", remedy)
        return url, checked_registry(self._text(login), self._at(login))

    def _place(self, node: yaml.Node) -> str:
        text = self._text(node).lower()
        if not _PLACE.fullmatch(text):
            remedy = "write for example .corp.example.com or 10.20.0.0/16"
            raise RegistryError(f"{self._at(node)}: {text[:200]!r} is no host, suffix or network", remedy)
        return text

    def _url(self, node: yaml.Node) -> str:
        return checked_base_url(self._text(node), self._at(node))

    def _proxy(self, node: yaml.Node) -> str:
        text = self._text(node)
        if text == DIRECT:
            return DIRECT
        if is_url(text) and "@" in text:
            remedy = "write it without, and set HTTPS_PROXY with the login in the environment of the build"
            raise RegistryError(f"{self._at(node)}: a proxy's login does not belong into this file", remedy)
        return checked_base_url(text, self._at(node))

    def _at(self, node: yaml.Node) -> str:
        return f"{self._path}:{node.start_mark.line + 1}"

    def _pairs(self, node: yaml.Node) -> list[tuple[str, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            raise RegistryError(f"{self._at(node)}: here must be NAME: VALUE lines", EXAMPLE)
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
            raise RegistryError(f"{self._at(node)}: here must be a text", EXAMPLE)
        return str(node.value).strip()
