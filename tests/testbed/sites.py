"""What our internet is made of: which registry stands where, and the settings of the servers and of who calls them."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import yaml

from tests.testbed.cache import Cache, write_secret, write_whole
from tests.testbed.certificates import Authority
from tests.testbed.image_table import CORP
from tests.testbed.releases import GITHUB_FILES, KUBERNETES_FILES, SITES

SUBNET, GATEWAY = "10.77.0.0/24", "10.77.0.1"
FILES_ADDRESS = "10.77.0.20"
CORP_USER = "release-engineer"

_REGISTRY_CONFIG = """\
version: 0.1
log: {level: info}
storage: {filesystem: {rootdirectory: /data}}
http: {addr: ":PORT", tls: {certificate: /tls/tls.crt, key: /tls/tls.key}}
"""
_HTPASSWD_CONFIG = "auth: {htpasswd: {realm: registry.corp.example, path: /tls/htpasswd}}\n"
_NGINX_CONFIG = f"""\
worker_processes 1;
pid /run/nginx.pid;
error_log /dev/stderr notice;
events {{ worker_connections 512; }}
http {{
    access_log /dev/stdout;
    default_type application/octet-stream;
    sendfile on;
    server {{
        listen 443 ssl;
        ssl_certificate /tls/tls.crt;
        ssl_certificate_key /tls/tls.key;
        root /www/files;
        # The real ones answer with a redirect to another host.
        rewrite ^/dl\\.k8s\\.io/(.*)$ https://$host/{KUBERNETES_FILES}/$1 redirect;
        rewrite ^/github\\.com/([^/]+/[^/]+)/releases/download/(.*)$ https://$host/{GITHUB_FILES}/$1/$2 redirect;
        # Any point in time of the archive gives the same package.
        rewrite ^/snapshot\\.debian\\.org/archive/debian[^/]*/[0-9TZ]+/(.*)$ /deb.debian.org/debian/$1 last;
    }}
}}
"""


@dataclass(frozen=True)
class Upstream:
    """A registry of the real internet, and where ours stands in for it."""

    name: str
    address: str
    port: int = 443
    login: bool = False

    @property
    def host(self) -> str:
        return self.name.partition(":")[0]

    @property
    def endpoint(self) -> str:
        return self.address if self.port == 443 else f"{self.address}:{self.port}"


UPSTREAMS = (
    Upstream("registry.k8s.io", "10.77.0.10"),
    Upstream("docker.io", "10.77.0.11"),
    Upstream("quay.io", "10.77.0.12"),
    Upstream("ghcr.io", "10.77.0.13"),
    Upstream(CORP, "10.77.0.14", port=8443, login=True),
)


@dataclass(frozen=True)
class Settings:
    """The files of settings below the cache, each written whole, each the same every time."""

    cache: Cache
    real: bool = False  # the world is there: only the company's registry is ours

    @property
    def upstreams(self) -> tuple[Upstream, ...]:
        """The registries that ours stand in for."""
        return tuple(upstream for upstream in UPSTREAMS if upstream.login or not self.real)

    def directory(self, upstream: Upstream) -> Path:
        """Return a registry's directory: ``data`` and ``tls`` in it."""
        return self.cache.internet / upstream.host

    @property
    def files_tls(self) -> Path:
        return self.cache.internet / "files-tls"

    @property
    def push_config(self) -> Path:
        """The docker config for pushing by address; the product is given the one by name."""
        return self.cache.internet / "push-config"

    def write(self) -> None:
        """Write certificates, logins and configurations, and what the product reads: mirrors.yaml and config.json."""
        authority = Authority(self.cache.internet / "authority")
        write_whole(self.cache.ca, authority.certificate.read_bytes())
        password = self._corp_password()
        for upstream in self.upstreams:
            self._write_registry(upstream, authority, password)
        authority.issue(self.files_tls, [*SITES, FILES_ADDRESS])
        write_whole(self.files_tls / "nginx.conf", _NGINX_CONFIG)
        write_whole(self.cache.mirrors, yaml.safe_dump(mirrors(self.cache.ca.name, real=self.real), sort_keys=False))
        # A login belongs to whom it was made for: the product asks the mirror, and gets the login of the mirror's own host.
        _write_docker_config(self.cache.docker_config, ("name", "endpoint"), password)
        _write_docker_config(self.push_config, ("endpoint",), password)

    def _write_registry(self, upstream: Upstream, authority: Authority, password: str) -> None:
        directory = self.directory(upstream)
        (directory / "data").mkdir(parents=True, exist_ok=True)
        tls = directory / "tls"
        authority.issue(tls, [upstream.host, upstream.address])
        config = _REGISTRY_CONFIG.replace("PORT", str(upstream.port))
        write_whole(tls / "config.yml", config + (_HTPASSWD_CONFIG if upstream.login else ""))
        if upstream.login and not (tls / "htpasswd").exists():
            hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(5)).decode()
            write_secret(tls / "htpasswd", f"{CORP_USER}:{hashed}\n".encode())

    def _corp_password(self) -> str:
        path = self.cache.internet / "corp-password"
        if not path.exists():
            write_secret(path, secrets.token_urlsafe(18).encode())
        return path.read_text()


def mirrors(ca: str, *, real: bool = False) -> dict[str, object]:
    """Return what mirrors.yaml says: where the registries and download sites stand that ours stand in for."""
    upstreams = [upstream for upstream in UPSTREAMS if upstream.login or not real]
    return {
        "registries": {upstream.name: f"https://{upstream.endpoint}" for upstream in upstreams},
        "downloads": {} if real else {f"https://{site}": f"https://{FILES_ADDRESS}/{site}" for site in SITES},
        "ca": [ca],
    }


def _write_docker_config(directory: Path, attributes: tuple[str, ...], password: str) -> None:
    login = base64.b64encode(f"{CORP_USER}:{password}".encode()).decode()
    hosts = [getattr(upstream, attribute) for upstream in UPSTREAMS if upstream.login for attribute in attributes]
    auths = {host: {"auth": login} for host in hosts}
    write_secret(directory / "config.json", json.dumps({"auths": auths}, indent=2).encode())
