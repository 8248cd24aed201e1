"""The table of parts says what it means: unique names, whole import paths, pinned versions."""

from __future__ import annotations

import re

from tests.testbed.image_table import ControlPlane
from tests.testbed.part_table import COREDNS, ETCD, GO_PARTS, KUBERNETES, GoPart, kubernetes_part


def test_names_are_unique_and_versions_pinned() -> None:
    names = [part.name for part in GO_PARTS]
    assert len(set(names)) == len(names)
    # A module without a release is pinned by commit: Go's pseudo-version, go.dev/ref/mod#pseudo-versions.
    pinned = re.compile(r"v\d+\.\d+\.\d+(-\d{14}-[0-9a-f]{12})?")
    assert [part.name for part in GO_PARTS if not pinned.fullmatch(part.version)] == []


def test_packages_are_below_the_module_unless_they_name_another() -> None:
    part = GoPart("x", "example.org/x", "v1.0.0", ("", "cmd/a", "go.etcd.io/etcd/server/v3"))
    assert part.import_paths == ("example.org/x", "example.org/x/cmd/a", "go.etcd.io/etcd/server/v3")


def test_another_version_of_kubernetes_says_its_own_number_and_is_a_part_of_its_own() -> None:
    other = kubernetes_part("v1.35.4", "kubernetes-v1.35.4")
    assert {"gitVersion=v1.35.4", "gitMajor=1", "gitMinor=35"} <= {word.rpartition("version.")[2] for word in other.ldflags.split()}
    ours = next(part for part in GO_PARTS if part.name == "kubernetes")
    assert ours == kubernetes_part(KUBERNETES)
    assert (other.name, other.packages) != (ours.name, ours.packages)


def test_the_control_plane_is_made_of_the_parts_that_are_pinned() -> None:
    plane = ControlPlane()
    assert (plane.version, f"v{plane.etcd.partition('-')[0]}", plane.coredns) == (KUBERNETES, ETCD, COREDNS)
