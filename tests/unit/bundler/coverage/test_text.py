"""What in a text has the form of an image, and what only looks a little like one."""

from __future__ import annotations

import pytest

from bundler.coverage.candidates import Certainty
from bundler.coverage.text import images_in, names_image

DIGEST = f"sha256:{'a' * 64}"
TEXT, NAMED = Certainty.TEXT, Certainty.NAMED


@pytest.mark.parametrize(
    ("key", "text", "found"),
    [
        ("HELPER_IMAGE", "busybox", [("busybox", NAMED)]),
        ("RELATED_IMAGE_PROXY", "quay.io/team/proxy:1", [("quay.io/team/proxy:1", NAMED)]),
        ("helper", "busybox:1.36", [("busybox:1.36", TEXT)]),
        ("helper", "team/app:v2", [("team/app:v2", TEXT)]),
        ("helper", "registry.corp:8443/a/b:anything", [("registry.corp:8443/a/b:anything", TEXT)]),
        ("helper", f"busybox@{DIGEST}", [(f"busybox@{DIGEST}", TEXT)]),
        ("helper", f"busybox:1.36@{DIGEST}", [(f"busybox:1.36@{DIGEST}", TEXT)]),
        ("", "--sidecar-image=quay.io/a/b:1.0", [("quay.io/a/b:1.0", NAMED)]),
        ("", "--sidecar-image busybox --level info", [("busybox", NAMED)]),
        ("", "--sidecar=quay.io/a/b:1.0", [("quay.io/a/b:1.0", TEXT)]),
        ("pod.yaml", "spec:\n  containers:\n  - name: x\n    image: busybox\n", [("busybox", NAMED)]),
        ("pod.yaml", "spec:\n  - image: 'quay.io/a/b:1'  # why\n", [("quay.io/a/b:1", NAMED)]),
        ("x.json", '{"image":"quay.io/a/b:1","n":3}', [("quay.io/a/b:1", NAMED)]),
        ("x.sh", 'docker run --rm "quay.io/a/b:1.2".', [("quay.io/a/b:1.2", TEXT)]),
        ("x", "one redis:7-alpine, two nginx:latest; three", [("redis:7-alpine", TEXT), ("nginx:latest", TEXT)]),
        ("url", "https://quay.io/a/b:1.2", []),
        ("address", "redis:6379", []),
        ("address", "10.96.0.1:443", []),
        ("address", "db.shop.svc.cluster.local:5432/shop", []),
        ("flag", "level:info", []),
        ("gvk", "apps/v1:Deployment", []),
        ("module", "github.com/prometheus/prometheus", []),
        ("imagePullPolicy", "Always", []),
        ("imagePullPolicy", "always", []),
        ("imageMaximumGCAge", "0s", []),
        ("image", "auto", []),
        ("image", "true", []),
        ("image", "/var/lib/x", []),
        ("image", "{{ .Values.image }}", []),
        ("user", "system:serviceaccount:kube-system:default", []),
        ("mail", "someone@example.com", []),
        ("time", "2026-11-26T22:30:00.5Z", []),
        ("hex", "a" * 64, []),
    ],
)
def test_words(key: str, text: str, found: list[tuple[str, Certainty]]) -> None:
    assert list(images_in(text, key)) == found


@pytest.mark.parametrize("key", ["image", "Image", "sidecarImage", "IMAGE_NAME", "acme-http01-solver-image", "baseImage", "imageRef", "images"])
def test_keys_that_name_images(key: str) -> None:
    assert names_image(key)


@pytest.mark.parametrize("key", ["imagePullSecrets", "imageID", "image_id", "imageGCHighThresholdPercent", "imagefs.available", "IMAGE_SIZE", "name"])
def test_keys_about_images(key: str) -> None:
    assert not names_image(key)


@pytest.mark.parametrize("text", ["a" * 200_000, "a:" * 100_000, "a/" * 100_000, "image: " * 20_000, "[" * 200_000, "a.b " * 30_000, "image=" * 20_000])
def test_a_hostile_text_ends(text: str) -> None:
    """Quadratic, each of these would take an hour."""
    assert len(list(images_in(text))) <= 30_000
