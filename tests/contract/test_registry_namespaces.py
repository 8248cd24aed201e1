"""Which registry a request means: three families of clients say it in three ways, and the same path is not the same image."""

from __future__ import annotations

import pytest

from tests.contract.conftest import Ask, Shelf


@pytest.mark.parametrize(
    ("target", "host", "registry"),
    [
        ("/v2/team/app/manifests/1", "quay.io", "quay.io"),  # DNS has sent the client here; it knows of no mirror
        ("/v2/team/app/manifests/1", "QUAY.io:443", "quay.io"),
        ("/v2/team/app/manifests/1", "registry-1.docker.io", "docker.io"),
        ("/v2/busybox/manifests/1", "registry-1.docker.io", "docker.io"),
        ("/v2/team/app/manifests/1", "master-1.example.com:5001", "docker.io"),  # our own address says nothing
        ("/v2/team/app/manifests/1", "10.0.0.5:5001", "docker.io"),
        ("/v2/team/app/manifests/1", "[fd00::1]:5001", "docker.io"),
        ("/v2/team/app/manifests/1", "registry.corp", "registry.corp"),  # not public, but images are from there
        ("/v2/team/app/manifests/1", "localhost:5000", "localhost:5000"),
        ("/v2/registry.k8s.io/pause/manifests/3", "localhost:5000", "registry.k8s.io"),  # a path prefix, as skopeo sends it
        ("/v2/quay.io/team/app/manifests/1", "registry.corp", "quay.io"),
        ("/v2/quay.io/team/app/manifests/1", "registry.gitlab.com", "registry.gitlab.com"),  # a group with a dot in its name
        ("/v2/team/app/manifests/1?ns=quay.io", "registry.gitlab.com", "quay.io"),
        ("/v2/team/app/manifests/1?ns=quay.io", "localhost:5000", "quay.io"),
        ("/v2/library/busybox/manifests/1?ns=docker.io", "10.0.0.5:5001", "docker.io"),
        ("/v2/busybox/manifests/1?ns=docker.io", "10.0.0.5:5001", "docker.io"),
        ("/v2/docker.io/busybox/manifests/1", "10.0.0.5:5001", "docker.io"),
        ("/v2/index.docker.io/library/busybox/manifests/1", "10.0.0.5:5001", "docker.io"),
    ],
)
def test_which_registry_is_meant_when_several_things_say_it(ask: Ask, target: str, host: str, registry: str) -> None:
    answer = ask("GET", target, ("Host", host))
    assert (answer.status, answer.header("OCI-Namespace")) == (200, registry)


def test_the_same_path_on_two_registries_is_two_images(ask: Ask, shelf: Shelf) -> None:
    wanted = {"docker.io": shelf.image, "quay.io": shelf.quay, "quay.io:5443": shelf.docker}
    for registry, image in wanted.items():
        assert ask("GET", f"/v2/team/app/manifests/1?ns={registry}").body == shelf.raw(image.descriptor)
        assert ask("GET", f"/v2/{registry}/team/app/manifests/1").body == shelf.raw(image.descriptor)


@pytest.mark.parametrize("namespace", ["https://quay.io", "not_a_host!", "team", "quay.io/team", "a:b", "%00", "x" * 5000])
def test_a_namespace_that_is_no_registry_is_a_bad_name(ask: Ask, namespace: str) -> None:
    """Also ``team``: with ``app`` it would be written as team/app, and read as docker.io/team/app."""
    assert ask("GET", f"/v2/app/manifests/1?ns={namespace}").status == 400
