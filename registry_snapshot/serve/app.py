"""RegistryApp: the pull half of the OCI distribution protocol over any RegistryContent. No sockets, no threads.

What containerd, docker, podman and skopeo really need of it: exact bytes, a ``Content-Type`` without parameters, and
``Content-Length`` and ``Docker-Content-Digest`` also on HEAD (without them docker fails and containerd asks twice).

Source: OCI distribution-spec, "Pull", "Listing Tags", "Listing Referrers"; RFC 9110 where that says nothing.
"""

from __future__ import annotations

import bisect
import json
import logging
from urllib.parse import quote, urlencode

from registry_snapshot.errors import ManifestUnknown, RegistryError
from registry_snapshot.oci import media_types
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import MAX_MANIFEST_BYTES
from registry_snapshot.oci.reference import is_tag
from registry_snapshot.serve.accept import accepts
from registry_snapshot.serve.conditions import entity_tag, is_other, is_unchanged, range_applies
from registry_snapshot.serve.error_body import answer_error, error_response
from registry_snapshot.serve.messages import ExtentSlice, GrowingSlice, Request, Response
from registry_snapshot.serve.ranges import RangeNotSatisfiable, parse_range
from registry_snapshot.serve.routes import PUBLIC_REGISTRIES, Route, route
from registry_snapshot.store.base import Extent, RegistryContent
from registry_snapshot.store.growth import GrowingExtent

_log = logging.getLogger(__name__)
_JSON = "application/json"
_MAX_PAGE = 10_000  # tags in one answer to a request with n
_PAGE_BYTES = MAX_MANIFEST_BYTES - 1024  # a list of referrers is an index, and clients read no larger one


class RegistryApp:
    """Answers pulls from ``content``.

    ``registries`` are those that the content is known to be from, ``public_registries`` names that are certainly no
    address of ours: ``routes`` says when a Host header with one of them counts.
    """

    def __init__(
        self,
        content: RegistryContent,
        *,
        registries: frozenset[str] = frozenset(),
        public_registries: frozenset[str] = PUBLIC_REGISTRIES,
    ) -> None:
        self._content = content
        self._registries = registries
        self._public_registries = public_registries

    def handle(self, request: Request) -> Response:
        """Return the answer; every RegistryError becomes one. The caller closes the response."""
        if request.method not in {"GET", "HEAD"}:
            allow = (("Allow", "GET, HEAD"),)
            return error_response(405, "UNSUPPORTED", "this registry is read only", allow)
        try:
            response = self._answer(request)
        except RegistryError as error:
            # As %r: a decoded path may hold line breaks, and a log line must not be written by a client.
            _log.info("%s %r for %s: %s", request.method, request.path[:300], request.client, error.problem)
            response = answer_error(error)
        if request.method == "HEAD":
            response.close()
            return Response(response.status, response.headers)
        return response

    def _answer(self, request: Request) -> Response:
        if request.path in {"/v2", "/v2/"}:
            return _whole(_JSON, b"{}", (("Docker-Distribution-Api-Version", "registry/2.0"),))
        if request.path == "/healthz":
            return _whole("text/plain", b"ok\n")
        found = route(request, self._public_registries, self._registries)
        if found is None:
            return error_response(404, "UNSUPPORTED", "there is no such endpoint")
        match found.kind:
            case "manifests":
                response = self._manifest(request, found)
            case "blobs":
                response = self._blob(request, found)
            case "tags":
                response = self._tags(request, found)
            case "referrers":
                response = self._referrers(request, found)
        return response

    def _manifest(self, request: Request, found: Route) -> Response:
        asked = {"client": request.client, "method": request.method}
        if ":" in found.target:
            digest = Digest.parse(found.target)
            media_type, raw = self._content.manifest(found.repository, digest, **asked)
            descriptor = Descriptor(media_type, digest, len(raw))
        elif is_tag(found.target):
            descriptor = self._content.resolve(found.repository, found.target, **asked)
            raw = b""
            if request.method == "GET":
                _, raw = self._content.manifest(found.repository, descriptor.digest, **asked)
        else:
            raise ManifestUnknown(f"{found.target[:200]!r} is no tag")
        if not accepts(request.headers.all("Accept"), descriptor.media_type):
            # Converting it would change its digest, which is its identity; other registries answer 404 too.
            raise ManifestUnknown(f"{found.repository} {found.target} is {descriptor.media_type}, which Accept rules out")
        if condition := _condition(request, descriptor.digest, found):
            return condition
        headers = (("Content-Length", str(descriptor.size)), *_identity(descriptor.media_type, descriptor.digest, found))
        return Response(200, headers, raw)

    def _blob(self, request: Request, found: Route) -> Response:
        digest = Digest.parse(found.target)
        extent = self._content.blob(found.repository, digest)
        if condition := _condition(request, digest, found):
            extent.close()
            return condition
        identity = (("Accept-Ranges", "bytes"), *_identity(media_types.OCTETS, digest, found))
        # Ranges are defined for GET alone (RFC 9110, 14.2): HEAD tells of the whole.
        ranged = request.method == "GET" and range_applies(request.headers.get("If-Range"), digest)
        try:
            part = parse_range(request.headers.get("Range") if ranged else None, extent.size)
        except RangeNotSatisfiable:
            extent.close()
            unmet = (("Content-Range", f"bytes */{extent.size}"),)
            return error_response(416, "SIZE_INVALID", f"the blob has {extent.size} bytes", unmet)
        if part is None:
            return Response(200, (("Content-Length", str(extent.size)), *identity), _slice(extent, 0, extent.size))
        length = (("Content-Length", str(part.size)), ("Content-Range", part.content_range(extent.size)))
        return Response(206, (*length, *identity), _slice(extent, part.start, part.size))

    def _tags(self, request: Request, found: Route) -> Response:
        last, limit = request.query.get("last"), request.query.get("n")
        if limit is not None and not (limit.isascii() and limit.isdigit()):
            return error_response(400, "UNSUPPORTED", "n is not a number")
        tags = self._content.tags(found.repository)
        if last is not None:
            tags = tags[bisect.bisect_right(tags, last) :]  # it need not be there: it may have been untagged meanwhile
        links: tuple[tuple[str, str], ...] = ()
        if limit is not None:
            size = min(int(limit.lstrip("0")[:9] or 0), _MAX_PAGE)
            page, rest = tags[:size], tags[size:]
            if page and rest:
                links = (_next(request, found, "tags/list", n=str(size), last=page[-1]),)
            tags = page
        body = json.dumps({"name": found.name, "tags": list(tags)}).encode()
        return _whole(_JSON, body, (*links, ("OCI-Namespace", found.namespace)))

    def _referrers(self, request: Request, found: Route) -> Response:
        # None is an empty index, not 404: with 404 clients go on to ask for the tag sha256-… of each image.
        digest, last = Digest.parse(found.target), request.query.get("last", "")
        headers: tuple[tuple[str, str], ...] = (("OCI-Namespace", found.namespace),)
        listed = sorted(self._content.referrers(found.repository, digest, client=request.client), key=lambda item: str(item.digest))
        # A plus that was not encoded arrives as a space, which no media type has.
        wanted = request.query.get("artifactType", "").replace(" ", "+")
        if wanted:
            listed = [item for item in listed if item.artifact_type == wanted]
            headers = (*headers, ("OCI-Filters-Applied", "artifactType"))
        page, rest = _page([item for item in listed if str(item.digest) > last])
        if rest:
            headers = (*headers, _next(request, found, f"referrers/{digest}", last=str(page[-1].digest)))
        value = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [item.to_json() for item in page]}
        return _whole(media_types.OCI_INDEX, json.dumps(value).encode(), headers)


def _page(listed: list[Descriptor]) -> tuple[list[Descriptor], list[Descriptor]]:
    """Return as many of ``listed`` as fit into one index, at least one, and the rest."""
    size = 0
    for count, item in enumerate(listed):
        size += len(json.dumps(item.to_json())) + 2
        if count and size > _PAGE_BYTES:
            return listed[:count], listed[count:]
    return listed, []


def _next(request: Request, found: Route, path: str, **query: str) -> tuple[str, str]:
    """Return the Link header (RFC 8288) to the next page, with what else the request asked for."""
    kept = {key: request.query[key] for key in ("ns", "artifactType") if key in request.query}
    return "Link", f'</v2/{quote(found.name, safe="/:")}/{path}?{urlencode(query | kept)}>; rel="next"'


def _condition(request: Request, digest: Digest, found: Route) -> Response | None:
    """Return the answer to a conditional request that is not the content: 412 or 304, in the order of RFC 9110, 13.2.2."""
    if is_other(request.headers.all("If-Match"), digest):
        return error_response(412, "UNKNOWN", f"{found.target[:200]} is {digest}, which If-Match does not name")
    if is_unchanged(request.headers.all("If-None-Match"), digest):
        # Without Content-Type and Content-Length, as 15.4.5 advises: what the client has says those.
        return Response(304, _identity("", digest, found)[1:])
    return None


def _slice(extent: Extent | GrowingExtent, start: int, size: int) -> ExtentSlice | GrowingSlice:
    return ExtentSlice(extent, start, size) if isinstance(extent, Extent) else GrowingSlice(extent, start, size)


def _whole(content_type: str, body: bytes, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    fixed = (("Content-Type", content_type), ("Content-Length", str(len(body))))
    return Response(200, (*fixed, *headers), body)


def _identity(media_type: str, digest: Digest, found: Route) -> tuple[tuple[str, str], ...]:
    return (
        ("Content-Type", media_type),
        ("Docker-Content-Digest", str(digest)),
        ("ETag", entity_tag(digest)),
        ("OCI-Namespace", found.namespace),
    )
