"""Which repository and which content a path means. Pure.

Source: OCI distribution-spec, "Endpoints" and "Registry Proxying" (``ns``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from registry_snapshot.oci.reference import DOCKER_HUB, Repository, looks_like_registry
from registry_snapshot.serve.messages import Request

Kind = Literal["manifests", "blobs", "tags", "referrers"]

# Greedy names: in /v2/a/manifests/b/manifests/c the repository is a/manifests/b.
_CONTENT = re.compile(r"/v2/(?P<name>.+)/(?P<kind>manifests|blobs|referrers)/(?P<target>[^/]+)")
_TAGS = re.compile(r"/v2/(?P<name>.+)/(?P<kind>tags)/(?P<target>list)")

# A client that reaches us through DNS alone sends no ns, but the registry's name as Host. Any other Host is our own
# address and says nothing, so only names that are certainly registries count.
PUBLIC_REGISTRIES = frozenset(
    {
        "docker.io",
        "registry-1.docker.io",
        "index.docker.io",
        "registry.k8s.io",
        "k8s.gcr.io",
        "gcr.io",
        "ghcr.io",
        "quay.io",
        "mcr.microsoft.com",
        "public.ecr.aws",
        "nvcr.io",
        "docker.elastic.co",
        "registry.gitlab.com",
        "registry.redhat.io",
        "registry.access.redhat.com",
    }
)


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint of one repository. ``name`` is what the client calls it, ``target`` a tag, a digest or ``list``."""

    kind: Kind
    repository: Repository
    name: str
    target: str


def route(request: Request, public_registries: frozenset[str] = PUBLIC_REGISTRIES) -> Route | None:
    """Return what ``request`` is about, None if its path is no endpoint. Raises ReferenceInvalid for a bad name."""
    match = _TAGS.fullmatch(request.path) or _CONTENT.fullmatch(request.path)
    if match is None:
        return None
    name, kind, target = match["name"], match["kind"], match["target"]
    return Route(kind, _repository(request, name, public_registries), name, target)  # type: ignore[arg-type]


def _repository(request: Request, name: str, public_registries: frozenset[str]) -> Repository:
    namespace = request.query.get("ns")
    if namespace:
        return Repository.of(namespace, name)
    first, slash, rest = name.partition("/")
    if slash and looks_like_registry(first):
        return Repository.of(first, rest)
    host = (request.headers.get("Host") or "").lower()
    return Repository.of(host if host in public_registries else DOCKER_HUB, name)
