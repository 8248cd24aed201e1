"""Paths, for any text that a client may send. What they mean stands in the contract tests."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_snapshot.errors import ReferenceInvalid
from registry_snapshot.oci.reference import Reference, Repository
from registry_snapshot.serve.messages import Headers, Request
from registry_snapshot.serve.routes import PUBLIC_REGISTRIES, route


@pytest.mark.parametrize(
    ("path", "name", "kind", "target"),
    [
        ("/v2/a/manifests/b/manifests/c", "a/manifests/b", "manifests", "c"),
        ("/v2/a/blobs/b/manifests/c", "a/blobs/b", "manifests", "c"),
        ("/v2/manifests/manifests/manifests", "manifests", "manifests", "manifests"),
        ("/v2/tags/list/tags/list", "tags/list", "tags", "list"),
        ("/v2/a/tags/list/manifests/1", "a/tags/list", "manifests", "1"),
        ("/v2/a/referrers/b/referrers/c", "a/referrers/b", "referrers", "c"),
    ],
)
def test_a_repository_may_be_named_like_an_endpoint(path: str, name: str, kind: str, target: str) -> None:
    found = route(Request("GET", path))
    assert found is not None
    assert (found.repository, found.kind, found.target) == (Repository.of("docker.io", name), kind, target)


pieces = st.sampled_from(["v2", "manifests", "blobs", "tags", "list", "referrers", "a", "quay.io", "quay.io:5443", "A", "..", "", "\0", "\n", "é"])
paths = st.lists(pieces, max_size=8).map(lambda parts: "/" + "/".join(parts))
hosts = st.one_of(st.sampled_from(["", "10.0.0.5:5000", "registry.corp", *sorted(PUBLIC_REGISTRIES)]), st.text(max_size=10))
namespaces = st.one_of(st.none(), st.sampled_from(["", "quay.io", "localhost", "team"]), st.text(max_size=10))


@given(paths, hosts, namespaces)
def test_any_path_is_an_endpoint_or_not_or_a_bad_name(path: str, host: str, namespace: str | None) -> None:
    query = {} if namespace is None else {"ns": namespace}
    with contextlib.suppress(ReferenceInvalid):
        found = route(Request("GET", path, query, Headers([("Host", host)])), own_registries=frozenset({"registry.corp"}))
        if found is not None:
            assert Reference.parse(f"{found.repository}:1").repository == found.repository
            assert found.namespace == (namespace or found.repository.registry)
            assert "/" not in found.target
