"""Recipes are read into values, and ours is whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.bases.pins import load_pins
from bundler.bases.recipe import find_recipe, known_bases
from bundler.errors import RecipeError
from bundler.kubefile.parse import parse
from bundler.kubefile.stages import stages_of
from registry_snapshot.oci.descriptor import Platform

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


def test_ours_has_what_a_cluster_needs() -> None:
    recipe = find_recipe("kubernetes:v1.36.3", AMD64)
    assert recipe is not None
    targets = {member.target: member.mode for download in recipe.downloads for member in download.members}
    for program in ("kubeadm", "kubelet", "kubectl", "containerd", "containerd-shim-runc-v2", "ctr", "runc", "helm"):
        assert targets[f"cluster/bin/{program}"] == 0o755
    assert {"cluster/cni/bridge", "cluster/cni/host-local", "cluster/cni/loopback", "cluster/cni/portmap"} <= set(targets)
    assert targets["cluster/manifests/flannel.yaml"] == 0o644
    assert all("{" not in download.url + download.checksum_url for download in recipe.downloads)
    stages_of(parse((recipe.directory / "Kubefile").read_text()), {}, recipe.platform)
    assert recipe.balancer == f"docker.io/library/haproxy:{recipe.parts['haproxy']}"


@pytest.mark.parametrize("name", known_bases())
def test_everything_is_vouched_for(name: str) -> None:
    """By a pin in the repository, or by a checksum file that the publisher keeps beside it."""
    recipe = find_recipe(name, AMD64)
    assert recipe is not None
    pins = load_pins(recipe.pins_file)
    assert [download.url for download in recipe.downloads if not download.checksum_url and download.url not in pins] == []
    other = find_recipe(name, ARM64)
    assert other is not None
    assert set(pins) <= {download.url for each in (recipe, other) for download in each.downloads}


@pytest.mark.parametrize(("name", "unpinned"), [("kubernetes:v1.35.4", 1), ("kubernetes:v1.36.1", 1), ("kubernetes:v1.36.3", 1), ("kubernetes:v1.37.2", 4)])
def test_what_nobody_has_pinned_becomes_no_more(name: str, unpinned: int) -> None:
    """containerd 2.3.7, and Kubernetes' own programs of v1.37.2: no source but their publishers' servers was to be had."""
    recipe = find_recipe(name, AMD64)
    assert recipe is not None
    pins = load_pins(recipe.pins_file)
    left = [download.url for download in recipe.downloads if download.url not in pins]
    assert len(left) == unpinned, left
    assert any("/containerd/" in url for url in left)


def test_another_platform_has_other_urls() -> None:
    recipe = find_recipe("kubernetes:v1.36.3", Platform("linux", "arm64"))
    assert recipe is not None
    assert recipe.downloads[0].url == "https://dl.k8s.io/v1.36.3/bin/linux/arm64/kubeadm"


@pytest.mark.parametrize("image", ["alpine:3.20", "scratch", "docker.io/library/kubernetes:v1.36.3", "../kubernetes:v1", ""])
def test_other_images_are_docker_s_business(image: str) -> None:
    assert find_recipe(image, AMD64) is None


@pytest.mark.parametrize("image", ["kubernetes:v9.9.9", "kubernetes"])
def test_an_unknown_version_lists_the_known(image: str) -> None:
    with pytest.raises(RecipeError, match=r"kubernetes:v1\.36\.3"):
        find_recipe(image, AMD64)


ONE = "versions: {v1: {kubernetes: v1}}\ndownloads: [{url: https://x/a, files: {cluster/bin/a: {mode: 0755}}}]\n"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("versions:", "version:"),
        ("mode: 0755", "mode: rwx"),
        ("mode: 0755", "mode: 04755"),
        ("https://x/a", "'https://x/{nothing}'"),
        ("cluster/bin/a", "cluster/../../a"),
        ("{mode: 0755}", "{mode: 0755, from: bin/a}"),
        ("url: https://x/a,", "url: https://x/a, edit: magic,"),
        ("url: https://x/a,", "url: https://x/a, archive: rar,"),
        ("downloads:", "download:"),
        ("versions:", "versions: ]["),
        ("{v1:", "{'../v1':"),
        ("downloads:", "balancer: Not An Image\ndownloads:"),
        ("downloads:", "balancer: 'x:{nothing}'\ndownloads:"),
    ],
)
def test_a_wrong_recipe_is_named(tmp_path: Path, old: str, new: str) -> None:
    file = tmp_path / "mine" / "recipe.yaml"
    file.parent.mkdir()
    file.write_text(ONE)
    assert find_recipe("mine:v1", AMD64, tmp_path) is not None
    file.write_text(ONE.replace(old, new))
    with pytest.raises(RecipeError, match=r"mine/recipe\.yaml"):
        find_recipe("mine:v1", AMD64, tmp_path)
