"""A build that cannot succeed says what, where, why and what to do, and leaves no container behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from bundler.cluster.container import belongings
from bundler.cluster.ownership import Owner, started
from bundler.engine import Engine
from tests.demo.shop import ROOT, shop_command
from tests.testbed.build_command import build_command
from tests.testbed.cache import Cache

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("only_builder")]

POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: alone, namespace: default}}
spec:
  containers:
    - name: main
      image: {image}
      command: [sh, -c, "sleep 100000"]
      readinessProbe: {{exec: {{command: ["{probe}"]}}, periodSeconds: 1}}
"""


def context(tmp_path: Path, *, image: str = "docker.io/library/busybox:1.36", probe: str = "true", kubefile: str = "") -> Path:
    (tmp_path / "pod.yaml").write_text(POD.format(image=image, probe=probe))
    lines = "FROM kubernetes:v1.36.3\nCOPY pod.yaml /cluster/manifests/pod.yaml\nCMD kubectl apply -f manifests/pod.yaml\n"
    (tmp_path / "Kubefile").write_text(kubefile or lines)
    return tmp_path


def command(cache: Cache, where: Path, *more: str) -> list[str]:
    return build_command(cache, "bad:1.0.0", where / "bad.run", where, *more)


def build(cache: Cache, where: Path, *more: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command(cache, where, *more), capture_output=True, text=True, timeout=600, check=False, cwd=ROOT, env={**os.environ, **(env or {})}
    )
    assert not (where / "bad.run").exists(), "a failed build left an artifact"
    assert "Traceback" not in done.stderr
    return done


def leftovers(of: int = 0) -> list[str]:
    """Return what builds have left in docker whose process is gone, or what the build with the process ``of`` has there.

    Other modules build meanwhile: theirs are neither.
    """
    with closing(Engine.connect()) as engine:
        found = [(item, Owner.parse(item.label)) for item in belongings(engine)]
    if of:
        return [item.id for item, owner in found if owner is not None and owner.pid == of]
    return [item.id for item, owner in found if owner is None or started(owner.pid) != owner.started]


def test_no_docker(cache: Cache, tmp_path: Path) -> None:
    done = build(cache, context(tmp_path), env={"DOCKER_HOST": "tcp://127.0.0.1:1"})
    assert done.returncode == 4
    assert "docker" in done.stderr.lower()
    assert "what to do:" in done.stderr


def test_an_unknown_instruction_is_named_with_its_line(cache: Cache, tmp_path: Path) -> None:
    done = build(cache, context(tmp_path, kubefile="FROM kubernetes:v1.36.3\n\nINSTALL everything\n"))
    assert done.returncode == 3
    assert "Kubefile:3" in done.stderr
    assert "INSTALL" in done.stderr


def test_a_missing_file_is_named_with_its_line(cache: Cache, tmp_path: Path) -> None:
    done = build(cache, context(tmp_path, kubefile="FROM kubernetes:v1.36.3\nCOPY absent.yaml /cluster/manifests/\n"))
    assert done.returncode == 3
    assert "Kubefile:2" in done.stderr
    assert "absent.yaml" in done.stderr


def test_an_image_that_upstream_does_not_have_fails_the_build_by_name(cache: Cache, tmp_path: Path) -> None:
    done = build(cache, context(tmp_path, image="docker.io/library/absent:1"), "--settle-timeout", "120")
    assert done.returncode == 8, done.stderr[-2000:]
    assert "docker.io/library/absent:1" in done.stderr
    assert "404" in done.stderr
    assert leftovers() == []


def test_a_login_that_is_missing_says_docker_login(cache: Cache, tmp_path: Path) -> None:
    image = "registry.corp.example:8443/shop/api:1.0.0"
    (tmp_path / "no-login").mkdir()
    where = context(tmp_path, image=image)
    done = subprocess.run(
        [word.replace(str(cache.docker_config), str(tmp_path / "no-login")) for word in command(cache, where, "--settle-timeout", "120")],
        capture_output=True, text=True, timeout=600, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 8, done.stderr[-2000:]
    assert image in done.stderr
    assert "401" in done.stderr
    assert "docker login " in done.stderr  # to the mirror, which is who refused


def test_a_workload_that_never_becomes_ready_is_named_with_its_event(cache: Cache, tmp_path: Path) -> None:
    done = build(cache, context(tmp_path, probe="false"), "--settle-timeout", "45")
    assert done.returncode != 0
    assert "default/alone" in done.stderr or ("alone" in done.stderr and "default" in done.stderr)
    assert "Readiness probe failed" in done.stderr, done.stderr[-2000:]
    assert leftovers() == []


def test_a_wrong_checksum_stops_the_build(cache: Cache, tmp_path: Path) -> None:
    """The publisher serves other bytes than those that were promised: one of the pins says so."""
    pins = tmp_path / "pins.sha256"
    helm, others = "https://get.helm.sh/helm-v3.22.0-linux-amd64.tar.gz", cache.pins.read_text().splitlines(keepends=True)
    pins.write_text("".join(line for line in others if helm not in line) + f"{'0' * 64}  {helm}\n")
    done = build(cache, context(tmp_path), "--pins", str(pins))
    assert done.returncode == 5, done.stderr[-2000:]
    assert "get.helm.sh/helm-v3.22.0" in done.stderr
    assert "0" * 64 in done.stderr


def test_ctrl_c_removes_the_temporary_cluster(cache: Cache, tmp_path: Path) -> None:
    where = context(tmp_path)
    process = subprocess.Popen(
        command(cache, where), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, start_new_session=True
    )
    deadline = time.monotonic() + 300
    while not leftovers(process.pid) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert leftovers(process.pid), "the temporary cluster never appeared"
    time.sleep(5)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output[-2000:]
    assert leftovers(process.pid) == [], output[-2000:]
    assert not (where / "bad.run").exists()


def test_a_full_disk_is_named_and_leaves_nothing(cache: Cache, shop_run: Path, tmp_path: Path) -> None:
    """The target's file system is too small for the artifact. A tmpfs stands in for the full disk."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", small], check=True)
    try:
        done = subprocess.run(
            shop_command(cache, small / "shop.run"), capture_output=True, text=True, timeout=900, check=False, cwd=ROOT
        )
        assert done.returncode == 9, done.stderr[-2000:]
        assert str(small) in done.stderr
        assert [path.name for path in small.iterdir()] == ["shop.run.log"], "what a build said stays, and nothing of the file"
    finally:
        subprocess.run(["umount", small], check=True)
