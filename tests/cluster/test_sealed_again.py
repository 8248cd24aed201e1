"""A file can be had twice: sealed from another cache, without docker, it is the file that the build made, byte for byte."""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bundler.options import cache_directory
from bundler.steps import sealable
from installer_stub.bundle.reader import Bundle
from registry_snapshot.store.disk import DiskBlobStore
from tests.cluster.conftest import OUTPUT
from tests.demo.shop import ROOT

pytestmark = pytest.mark.cluster


def test_a_fresh_cache_and_no_docker_give_the_same_bytes(shop_run: Path) -> None:
    """Half a gigabyte is hashed and written, and its layers are measured anew: seconds."""
    cache, fresh, again = cache_directory(None), OUTPUT / "fresh-cache", OUTPUT / "again.run"
    shutil.rmtree(fresh, ignore_errors=True)
    again.unlink(missing_ok=True)
    with Bundle.open(shop_run) as bundle:
        assert bundle.receipt is not None
        assert not bundle.receipt.skipped
        (kept, *_) = [each for each in sealable.kept(cache) if (each.info.title, each.info.cluster, each.stub) == (bundle.info.title, bundle.info.cluster, bundle.stub_digest)]
        for digest in bundle.blobs.digests():
            _link(DiskBlobStore(cache / "store").path(digest), DiskBlobStore(fresh / "store").path(digest))
    for part in ("steps", "runtime"):
        for path in (cache / part).rglob("*"):
            if path.is_file():
                _link(path, fresh / path.relative_to(cache))
    command = [sys.executable, "-m", "bundler", "seal", kept.key[:12], "-o", str(again), "--cache", str(fresh)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT, env=os.environ | {"DOCKER_HOST": "unix:///nowhere"})
    assert done.returncode == 0, done.stderr
    assert filecmp.cmp(shop_run, again, shallow=False), done.stderr
    again.unlink()
    shutil.rmtree(fresh)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
