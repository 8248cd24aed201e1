"""No reader of bytes from outside takes more memory than it needs, whatever they claim or unpack to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping

import pytest

FINE = "fine"
CAME_TO = {
    "a_manifest": "ManifestInvalid",
    "a_manifest_in_a_closure": "ManifestInvalid",
    "a_manifest_in_a_store": "ManifestInvalid",
    "a_manifest_among_images_to_serve": "ManifestInvalid",
    "a_config": "ManifestInvalid",
    "a_deep_manifest": "ManifestInvalid",
    "a_wide_manifest": "ManifestInvalid",
    "an_index_of_a_layout": "BundleError",
    "a_link_among_blobs": "StoreError",
    "a_pipe_among_blobs": "StoreError",
    "a_file_of_mirrors": "TooLargeError",
    "a_device_as_file_of_mirrors": "TooLargeError",
    "laughter_in_a_file_of_mirrors": "RegistryError",
    "dockers_logins": "TooLargeError",
    "settings_of_a_recording": "TooLargeError",
    "a_kubefile": "TooLargeError",
    "what_docker_is_to_ignore": "TooLargeError",
    "laughter_in_a_recipe": "RecipeError",
    "what_a_site_may_set": "BundleError",
    "pins": "TooLargeError",
    "a_policy_of_signatures": "UsageError",
    "a_deep_policy_of_signatures": "UsageError",
    "a_key_of_a_policy": "UsageError",
    "a_payload_of_a_signature": "PolicyViolated",
    "a_list_of_images": "KubefileError",
    "a_list_of_images_in_zstd": "BundleError",
    "a_layer_in_zstd": FINE,  # counted, in pieces
    "a_layer_in_gzip": FINE,
    "a_layer_that_would_fill_every_host": "RegistryError",
    "deep_names_in_layers": "ClusterImageInvalid",
    "names_elsewhere_in_layers": "BuildFailed",  # remembered up to a bound; and there is no /cluster
    "a_document_in_a_file_of_images": "ArchiveInvalid",
    "an_index_in_a_file_of_images": "ArchiveInvalid",
    "a_document_of_a_recording": "RecordingForeign",
    "a_deep_document_of_a_recording": "RecordingForeign",
    "a_cluster_file_on_a_host": FINE,  # written, in pieces; its size is known before
    "a_manifest_for_a_host": "_Refused",
    "a_document_of_an_artifact": "BundleError",
    "a_directory_of_an_artifact": "BundleError",
    "a_name_in_dockers_archive": "BuildFailed",
    "attributes_in_dockers_archive": "BuildFailed",
    "a_debian_package": "RecipeError",
    "a_debian_package_in_zstd": "RecipeError",
    "what_kubectl_says": "TooMuchOutput",
    "an upstream's manifest": "ManifestInvalid",
    "an upstream's token": "UpstreamError",
    "an upstream's challenge": "UpstreamUnreachable",
    "an upstream's refusal": "UpstreamError",
    "an upstream's referrers": "ManifestInvalid",
    "an upstream's blob": "UpstreamCorrupt",
    "an upstream's checksum file": FINE,  # a beginning, in which there is no checksum
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """All rows in one program: to begin one takes longer than most rows.

    With one arena: glibc would set 64 MiB of addresses aside for each thread that a row ever had, and those count.
    """
    command = [sys.executable, "-m", "tests.unit.bombs.rows", str(tmp_path_factory.mktemp("bombs"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env={**os.environ, "MALLOC_ARENA_MAX": "1"})
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", CAME_TO)
def test_a_bomb_is_refused_or_taken_in_pieces(outcomes: Mapping[str, str], name: str) -> None:
    assert outcomes[name] == CAME_TO[name]


def test_every_row_has_an_expectation(outcomes: Mapping[str, str]) -> None:
    assert outcomes.keys() == CAME_TO.keys()
