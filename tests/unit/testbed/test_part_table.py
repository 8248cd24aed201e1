"""The table of parts says what it means: unique names, whole import paths, pinned versions."""

from __future__ import annotations

import re

from tests.testbed.part_table import GO_PARTS, GoPart


def test_names_are_unique_and_versions_pinned() -> None:
    names = [part.name for part in GO_PARTS]
    assert len(set(names)) == len(names)
    # A module without a release is pinned by commit: Go's pseudo-version, go.dev/ref/mod#pseudo-versions.
    pinned = re.compile(r"v\d+\.\d+\.\d+(-\d{14}-[0-9a-f]{12})?")
    assert [part.name for part in GO_PARTS if not pinned.fullmatch(part.version)] == []


def test_packages_are_below_the_module_unless_they_name_another() -> None:
    part = GoPart("x", "example.org/x", "v1.0.0", ("", "cmd/a", "go.etcd.io/etcd/server/v3"))
    assert part.import_paths == ("example.org/x", "example.org/x/cmd/a", "go.etcd.io/etcd/server/v3")
