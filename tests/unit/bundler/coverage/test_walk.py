"""Images in objects of every kind, at the places that people put them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from bundler.coverage.candidates import Certainty, gather
from bundler.coverage.walk import images_of

TEXT, NAMED, CONTAINER = Certainty.TEXT, Certainty.NAMED, Certainty.CONTAINER
POD = "containers: [{name: main, image: 'busybox:1'}]"


def found(text: str) -> dict[str, tuple[str, Certainty]]:
    """Return image → (object and path, certainty) of the objects in a YAML text."""
    item: Any = yaml.safe_load(text)
    candidates, _ = gather(images_of(item))
    return {str(each.reference): (str(each.places[0]), each.certainty) for each in candidates.values()}


def thing(kind: str, body: str) -> str:
    return f"apiVersion: x/v1\nkind: {kind}\nmetadata: {{name: it, namespace: shop}}\n{body}\n"


@pytest.mark.parametrize(
    ("kind", "body", "path"),
    [
        ("Deployment", f"spec: {{replicas: 0, template: {{spec: {{{POD}}}}}}}", "spec.template.spec.containers[main].image"),
        ("CronJob", f"spec: {{jobTemplate: {{spec: {{template: {{spec: {{{POD}}}}}}}}}}}", "spec.jobTemplate.spec.template.spec.containers[main].image"),
        ("Job", f"spec: {{suspend: true, template: {{spec: {{init{POD[0].upper()}{POD[1:]}}}}}}}", "spec.template.spec.initContainers[main].image"),
        ("PodTemplate", f"template: {{spec: {{{POD.replace('containers', 'ephemeralContainers')}}}}}", "template.spec.ephemeralContainers[main].image"),
        ("Database", f"spec: {{anything: [{{deep: {{{POD}}}}}]}}", "spec.anything[0].deep.containers[main].image"),
        ("Deployment", "spec: {template: {spec: {volumes: [{name: model, image: {reference: 'busybox:1'}}]}}}", "spec.template.spec.volumes[model].image.reference"),
    ],
)
def test_a_pod_spec_anywhere(kind: str, body: str, path: str) -> None:
    assert found(thing(kind, body)) == {"docker.io/library/busybox:1": (f"{kind} shop/it, at {path}", CONTAINER)}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("spec: {image: postgres}", {"docker.io/library/postgres:latest": NAMED}),
        ("spec: {image: 'postgres:16'}", {"docker.io/library/postgres:16": NAMED}),
        ("spec: {image: quay.io/a/prometheus, version: v2.1.0}", {"quay.io/a/prometheus:v2.1.0": NAMED}),
        ("spec: {driver: {repository: nvcr.io/nvidia, image: driver, version: '5.1'}}", {"nvcr.io/nvidia/driver:5.1": NAMED}),
        ("spec: {image: {repository: a/b, tag: 1.27}}", {"docker.io/a/b:1.27": NAMED}),
        ("spec: {image: {registry: quay.io, repository: a/b, tag: x}}", {"quay.io/a/b:x": NAMED}),
        (f"spec: {{image: {{repository: a/b, digest: 'sha256:{'b' * 64}'}}}}", {f"docker.io/a/b@sha256:{'b' * 64}": NAMED}),
        ("spec: {images: [{name: a/b, newName: quay.io/c/d, newTag: v1.2}]}", {"quay.io/c/d:v1.2": NAMED}),  # kustomize, and flux
        ("spec: {images: [{name: quay.io/a/b, newTag: v1.2}]}", {"quay.io/a/b:v1.2": NAMED}),
        ("spec: {image: {name: quay.io/a/b, tag: 3}}", {"quay.io/a/b:3": NAMED}),
        ("spec: {image: quay.io/a/b, imageTag: v3}", {"quay.io/a/b:v3": NAMED}),
        ("spec: {imageRepository: quay.io/a/b, imageTag: v3}", {"quay.io/a/b:v3": NAMED}),
        ("spec: {baseImage: quay.io/a/b, version: v3}", {"quay.io/a/b:v3": NAMED}),  # prometheus-operator's
        ("spec: {user: {name: somebody, version: '3'}, imagePullSecrets: [{name: login, version: 2}]}", {}),
        ("spec: {source: 'docker://quay.io/a/b:2'}", {"quay.io/a/b:2": TEXT}),
        ("spec: {chart: {repository: 'https://charts.example', version: 1.2.3}}", {}),
        ("spec: {env: [{name: HELPER_IMAGE, value: busybox}]}", {"docker.io/library/busybox:latest": NAMED}),
        ("spec: {env: [{name: HELPER, value: 'busybox:1.36'}]}", {"docker.io/library/busybox:1.36": TEXT}),
        ("spec: {args: [--helper-image, busybox, --level, info]}", {"docker.io/library/busybox:latest": NAMED}),
        ("spec: {args: ['--helper=busybox:1.36']}", {"docker.io/library/busybox:1.36": TEXT}),
        ("data: {pod.yaml: 'spec:\n\n  image: busybox\n\n'}", {"docker.io/library/busybox:latest": NAMED}),
        ('data: {values.yaml: "image:\\n  repository: a/b\\n  tag: 1.5\\n"}', {"docker.io/a/b:1.5": NAMED}),
        ("status: {image: busybox}", {}),
        ("spec: {containers: [{name: main, image: ''}]}", {}),
        ("spec: {containers: nonsense, volumes: [1, null], env: [{name: 3, value: []}]}", {}),
    ],
)
def test_what_names_an_image_without_being_a_pod(body: str, expected: dict[str, Certainty]) -> None:
    assert {name: certainty for name, (_, certainty) in found(thing("Thing", body)).items()} == expected


def test_annotations_count_and_what_was_applied_does_not() -> None:
    text = thing("Service", "spec: {}").replace(
        "namespace: shop", 'namespace: shop, annotations: {proxy-image: "quay.io/p/q:1", kubectl.kubernetes.io/last-applied-configuration: "busybox:1.36"}'
    )
    assert found(text) == {"quay.io/p/q:1": ("Service shop/it, at metadata.annotations[proxy-image]", NAMED)}


def test_of_a_definition_only_defaults_count() -> None:
    schema = "{properties: {image: {description: 'for example nginx:1.27', default: 'quay.io/a/b:2'}}}"
    text = f"kind: CustomResourceDefinition\nmetadata: {{name: x}}\nspec: {{versions: [{{schema: {schema}}}]}}"
    assert found(text) == {"quay.io/a/b:2": ("CustomResourceDefinition x, at spec.versions.0.schema.properties.image.default", NAMED)}


def test_a_container_that_names_no_image_is_told() -> None:
    item = yaml.safe_load(thing("Deployment", "spec: {template: {spec: {containers: [{name: main, image: 'Not An Image'}]}}}"))
    _, unreadable = gather(images_of(item))
    assert [each.text for each in unreadable] == ["Not An Image"]


def test_bombs_end() -> None:
    deep: Any = {"image": "busybox"}
    for _ in range(500):
        deep = {"a": deep}
    lol = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True))
    for item in ({"kind": "X", "spec": deep}, {"kind": "ConfigMap", "data": {"x": lol}}, {"kind": "ConfigMap", "data": {"x": "[\n" * 5_000}}):
        assert list(images_of(item)) == []
