"""The cluster artifact's manifest: the same files are the same bytes, and no path leaves the directory."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from installer_stub.bundle.cluster_files import cluster_manifest, parse_cluster_manifest
from installer_stub.bundle.model import FILE_PLAIN, ClusterFile
from installer_stub.errors import BundleError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest


def file(path: str, mode: int = 0o644) -> ClusterFile:
    digest = Digest.of(path.encode())
    return ClusterFile(path, mode, len(path), digest, Descriptor(FILE_PLAIN, digest, len(path)))


def test_files_come_back_sorted_and_in_any_order_are_the_same_bytes() -> None:
    files = (file("bin/kubeadm", 0o755), file("bin/kubectl", 0o755), file("charts/a b/ä.yaml"))
    raw = cluster_manifest(files)
    assert parse_cluster_manifest(raw) == files
    assert cluster_manifest(reversed(files)) == raw
    assert parse_cluster_manifest(cluster_manifest(())) == ()


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "a//b", "", ".", "a/", "a\nb", "a\0b", "./a"])
def test_paths_that_leave_the_directory_are_refused(path: str) -> None:
    with pytest.raises(BundleError, match="is not a path below /cluster"):
        cluster_manifest([file(path)])


@pytest.mark.parametrize("path", ["/etc/passwd", "../x"])
def test_a_manifest_from_elsewhere_with_such_paths_is_refused_too(path: str) -> None:
    raw = cluster_manifest([file("bin/a")]).replace(b'"bin/a"', json.dumps(path).encode())
    with pytest.raises(BundleError, match="is not a path below /cluster"):
        parse_cluster_manifest(raw)


@pytest.mark.parametrize("mode", [0o777, 0o666, 0o775, 0o646, 0o622, 0o602, 0o720])
def test_what_others_could_write_is_refused_by_writer_and_reader(mode: int) -> None:
    with pytest.raises(BundleError, match="could change what root runs"):
        cluster_manifest([file("scripts/init.sh", mode)])
    raw = cluster_manifest([file("scripts/init.sh")]).replace(b'"0644"', f'"{mode:04o}"'.encode())
    with pytest.raises(BundleError, match="could change what root runs"):
        parse_cluster_manifest(raw)


@pytest.mark.parametrize("mode", ["4755", "2755", "1755", "7777", "755", "0o755", "-755", "0855", "\u0660\u0667\u0665\u0665"])
def test_modes_that_are_not_four_digits_of_permissions_are_refused(mode: str) -> None:
    raw = cluster_manifest([file("bin/a")]).replace(b'"0644"', json.dumps(mode).encode())
    with pytest.raises(BundleError, match="has the mode"):
        parse_cluster_manifest(raw)


def test_contradictions_are_refused() -> None:
    with pytest.raises(BundleError, match="listed twice"):
        cluster_manifest([file("a"), file("a")])
    with pytest.raises(BundleError, match="is also a directory"):
        cluster_manifest([file("a"), file("a/b")])
    with pytest.raises(BundleError, match="has the mode 4755"):
        cluster_manifest([file("a", 0o4755)])
    with pytest.raises(BundleError, match="contradicts its own blob"):
        cluster_manifest([replace(file("a"), size=9)])
    with pytest.raises(BundleError, match="four octal digits"):
        parse_cluster_manifest(cluster_manifest([file("a")]).replace(b'"0644"', b'"rwxr"'))
    with pytest.raises(BundleError, match="of another type"):
        parse_cluster_manifest(cluster_manifest([file("a")]).replace(b"airseal.cluster", b"someone.else"))
    with pytest.raises(BundleError, match="cannot be read"):
        parse_cluster_manifest(b"{")
