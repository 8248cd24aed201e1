"""Releases as helm keeps them: manifests, hooks and tests; and what is none."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest

from bundler.coverage.candidates import gather
from bundler.coverage.helm import UnreadableReleaseError, images_of_release, is_release, latest, read_release

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: smoke}\nspec: {containers: [{name: t, image: 'quay.io/test/t:1'}]}\n"
DEPLOYMENT = "---\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{name: web, image: 'quay.io/web/w:1'}]}}}\n---\n# nothing\n"


def secret(value: Any, *, version: int = 1) -> dict[str, Any]:
    raw = value if isinstance(value, bytes) else gzip.compress(json.dumps(value).encode())
    text = base64.b64encode(base64.b64encode(raw)).decode()
    return {"kind": "Secret", "type": "helm.sh/release.v1", "metadata": {"name": f"sh.helm.release.v1.web.v{version}", "namespace": "shop"}, "data": {"release": text}}


def release(version: int = 1, **more: Any) -> dict[str, Any]:
    hooks = [{"name": "smoke", "events": ["test"], "manifest": POD}]
    return {"name": "web", "namespace": "shop", "version": version, "info": {"status": "deployed"}, "manifest": DEPLOYMENT, "hooks": hooks, **more}


def test_manifest_hooks_and_tests() -> None:
    item = secret(release())
    assert is_release(item)
    candidates, _ = gather(images_of_release(read_release(item)))
    assert {str(each.reference): str(each.places[0]) for each in candidates.values()} == {
        "quay.io/web/w:1": "Deployment shop/web, at spec.template.spec.containers[web].image",
        "quay.io/test/t:1": "helm release shop/web, hook smoke (test), at spec.containers[t].image",
    }


def test_a_release_in_a_config_map() -> None:
    text = base64.b64encode(gzip.compress(json.dumps(release()).encode())).decode()
    item = {"kind": "ConfigMap", "metadata": {"name": "x", "labels": {"owner": "helm"}}, "data": {"release": text}}
    assert is_release(item)
    assert read_release(item).name == "web"


def test_the_last_revision_is_what_is() -> None:
    releases = tuple(read_release(secret(release(version))) for version in (2, 10, 1))
    assert [each.revision for each in latest(releases)] == [10]


@pytest.mark.parametrize(
    "value",
    [
        b"no gzip", b"\x1f\x8b" + b"torn", gzip.compress(b"[1]"), gzip.compress(b"{}"), gzip.compress(b"[" * 100_000), gzip.compress(bytes(65 << 20)),
        gzip.compress(json.dumps(release()).encode())[:-9],
    ],
    ids=["other", "torn", "list", "empty", "deep", "bomb", "short"],
)  # fmt: skip
def test_what_is_no_release_is_said(value: bytes) -> None:
    with pytest.raises(UnreadableReleaseError):
        read_release(secret(value))


@pytest.mark.parametrize("more", [{"manifest": "a: [1\n"}, {"manifest": "x" * (17 << 20)}, {"hooks": [{"name": "x", "manifest": "{" * 5_000}]}])
def test_manifests_that_cannot_be_read_are_said(more: dict[str, Any]) -> None:
    with pytest.raises(UnreadableReleaseError):
        list(images_of_release(read_release(secret(release(**more)))))
