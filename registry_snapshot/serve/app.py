"""RegistryApp: the pull half of the OCI distribution protocol over any RegistryContent. No sockets, no threads.

What containerd, docker, podman and skopeo really need of it: exact bytes, a ``Content-Type`` without parameters, and
``Content-Length`` and ``Docker-Content-Digest`` also on HEAD (without them docker fails and containerd asks twice).

Source: OCI distribution-spec, "Pull", "Listing Tags", "Listing Referrers".
"""

from __future__ import annotations

import json
import logging
from urllib.parse import urlencode

from registry_snapshot.errors import ManifestUnknown, RegistryError
from registry_snapshot.oci import media_types
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import is_tag
from registry_snapshot.serve.error_body import answer_error, error_response
from registry_snapshot.serve.messages import ExtentSlice, GrowingSlice, Request, Response
from registry_snapshot.serve.ranges import RangeNotSatisfiable, parse_range
from registry_snapshot.serve.routes import PUBLIC_REGISTRIES, Route, route
from registry_snapshot.store.base import Extent, RegistryContent
from registry_snapshot.store.growth import GrowingExtent

_log = logging.getLogger(__name__)
_JSON = "application/json"
_MAX_PAGE = 10_000


class RegistryApp:
    """Answers pulls from ``content``. ``public_registries`` are the Host names that are taken for a registry's own."""

    def __init__(self, content: RegistryContent, *, public_registries: frozenset[str] = PUBLIC_REGISTRIES) -> None:
        self._content = content
        self._public_registries = public_registries

    def handle(self, request: Request) -> Response:
        """Return the answer; every RegistryError becomes one. The caller closes the response."""
        if request.method not in {"GET", "HEAD"}:
            allow = (("Allow", "GET, HEAD"),)
            return error_response(405, "UNSUPPORTED", "this registry is read only", allow)
        try:
            response = self._answer(request)
        except RegistryError as error:
            _log.info("%s %s for %s: %s", request.method, request.path, request.client, error.problem)
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
        found = route(request, self._public_registries)
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
                response = _referrers(found)
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
        if not _accepts(request.headers.all("Accept"), descriptor.media_type):
            # Converting it would change its digest, which is its identity; other registries answer 404 too.
            raise ManifestUnknown(f"{found.repository} {found.target} is {descriptor.media_type}, which Accept rules out")
        headers = (("Content-Length", str(descriptor.size)), *_identity(descriptor.media_type, descriptor.digest, found))
        return Response(200, headers, raw)

    def _blob(self, request: Request, found: Route) -> Response:
        digest = Digest.parse(found.target)
        extent = self._content.blob(found.repository, digest)
        identity = (("Accept-Ranges", "bytes"), *_identity(media_types.OCTETS, digest, found))
        header = request.headers.get("Range") if _unchanged(request.headers.get("If-Range"), digest) else None
        try:
            part = parse_range(header, extent.size)
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
            tags = tuple(tag for tag in tags if tag > last)
        links: tuple[tuple[str, str], ...] = ()
        if limit is not None:
            size = min(int(limit[:9]), _MAX_PAGE)
            page, rest = tags[:size], tags[size:]
            if page and rest:
                query = {"n": size, "last": page[-1]} | {key: request.query[key] for key in ("ns",) if key in request.query}
                links = (("Link", f'</v2/{found.name}/tags/list?{urlencode(query)}>; rel="next"'),)
            tags = page
        body = json.dumps({"name": found.name, "tags": list(tags)}).encode()
        return _whole(_JSON, body, (*links, ("OCI-Namespace", found.repository.registry)))


def _slice(extent: Extent | GrowingExtent, start: int, size: int) -> ExtentSlice | GrowingSlice:
    return ExtentSlice(extent, start, size) if isinstance(extent, Extent) else GrowingSlice(extent, start, size)


def _referrers(found: Route) -> Response:
    # An empty index, not 404: with 404 clients go on to ask for the tag sha256-… of each image.
    Digest.parse(found.target)
    body = json.dumps({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": []}).encode()
    return _whole(media_types.OCI_INDEX, body, (("OCI-Namespace", found.repository.registry),))


def _whole(content_type: str, body: bytes, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    fixed = (("Content-Type", content_type), ("Content-Length", str(len(body))))
    return Response(200, (*fixed, *headers), body)


def _identity(media_type: str, digest: Digest, found: Route) -> tuple[tuple[str, str], ...]:
    return (
        ("Content-Type", media_type),
        ("Docker-Content-Digest", str(digest)),
        ("ETag", f'"{digest}"'),
        ("OCI-Namespace", found.repository.registry),
    )


def _accepts(lines: tuple[str, ...], media_type: str) -> bool:
    """Tell whether the Accept lines, all of them together, allow ``media_type``. None at all allow everything."""
    ranges = [media_types.without_parameters(item).lower() for line in lines for item in line.split(",")]
    kind = media_type.partition("/")[0]
    return not any(ranges) or bool({media_type, "*/*", f"{kind}/*"} & set(ranges))


def _unchanged(if_range: str | None, digest: Digest) -> bool:
    return if_range is None or if_range.strip() == f'"{digest}"'
