"""Which repository and which content a request means. Pure.

Three families of clients name the registry in three ways. When several speak, the first of these wins:

1. ``?ns=``, from containerd configured for mirrors. The path is then the one in that registry, whatever it looks like:
   ``?ns=registry.gitlab.com`` with ``my.group/app`` is the group ``my.group``. An empty ``ns`` says nothing.
2. ``Host``, if it is a public registry's name: no address of ours has such a name, so DNS has sent the client here.
3. A first segment of the path that looks like a host, from docker, skopeo and people: ``localhost:5000/registry.k8s.io/pause``.
4. ``Host``, if it is one of the registries that the content is known to be from: a company's own, sent here by DNS. It
   comes after the path, as it may be our own address too: images that were pulled from ``localhost:5000`` and are served
   at ``localhost:5000``.
5. docker.io: docker's ``registry-mirrors`` name no registry at all.

docker.io's other names and the missing ``library/`` are filled in each time.

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
    """One endpoint of one repository. ``name`` is what the client calls it, ``target`` a tag, a digest or ``list``.

    ``namespace`` is the value for ``OCI-Namespace``: the client's own ``ns``, or the registry that was taken for it.
    """

    kind: Kind
    repository: Repository
    name: str
    target: str
    namespace: str


def route(
    request: Request,
    public_registries: frozenset[str] = PUBLIC_REGISTRIES,
    own_registries: frozenset[str] = frozenset(),
) -> Route | None:
    """Return what ``request`` is about, None if its path is no endpoint. Raises ReferenceInvalid for a bad name."""
    match = _TAGS.fullmatch(request.path) or _CONTENT.fullmatch(request.path)
    if match is None:
        return None
    name, kind, target = match["name"], match["kind"], match["target"]
    repository = _repository(request, name, public_registries, own_registries)
    namespace = request.query.get("ns") or repository.registry
    return Route(kind, repository, name, target, namespace)  # type: ignore[arg-type]


def _repository(request: Request, name: str, public: frozenset[str], own: frozenset[str]) -> Repository:
    if namespace := request.query.get("ns"):
        return Repository.of(namespace, name)
    host = _host(request)
    if host in public:
        return Repository.of(host, name)
    first, slash, rest = name.partition("/")
    if slash and _is_host(first):
        return Repository.of(first, rest)
    return Repository.of(host if host in own else DOCKER_HUB, name)


def _host(request: Request) -> str:
    # Names do not differ by case or by a port that goes without saying: RFC 9110, 4.2.3.
    host = (request.headers.get("Host") or "").strip().lower()
    return host.removesuffix(":443").removesuffix(":80")


def _is_host(segment: str) -> bool:
    # A capital alone makes no host here: <name> has none, and one that does is a mistake (distribution-spec, "Pulling manifests").
    return looks_like_registry(segment) and (segment == "localhost" or any(mark in segment for mark in ".:"))
