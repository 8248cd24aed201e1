"""What is frozen is what is listed, it starts, and it finds its own package whatever lies in its payload."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bundler.options import cache_directory
from bundler.pack.stub_runtime import StubRuntime
from bundler.pack.stubs import stub_for
from installer_stub.bundle.program import platform_of
from installer_stub.phases import put_stub
from installer_stub.phases.base import Artifact
from release import frozen
from release.portable_python import portable_interpreter
from release.recipe import GLIBC_LIMIT, KERNEL
from release.stub import HERE, make_stub
from tests.fakes.local_host import LocalConnection
from tests.unit.installer_stub.bundle.sealed import Ingredients, Silent, ingredients

ROOT = Path(__file__).resolve().parents[2]
COOKIE = 88  # bytes: PyInstaller's pyi_archive.h, struct ARCHIVE_COOKIE


@pytest.fixture(scope="module")
def stub() -> StubRuntime:
    """The frozen installer of this tree, as artifacts get it; from the cache if nothing changed."""
    return make_stub(cache_directory(None), Silent())


@pytest.fixture(scope="module")
def facts(stub: StubRuntime) -> dict[str, Any]:
    return dict(json.loads(stub.package.with_name("frozen.json").read_text()))


@pytest.fixture(scope="module")
def made(stub: StubRuntime, tmp_path_factory: pytest.TempPathFactory) -> Ingredients:
    """An artifact's ingredients whose payload holds the tail of another frozen program: the package, with its cookie."""
    root = tmp_path_factory.mktemp("made")
    package = stub.package.read_bytes()
    decoy = random.Random(1).randbytes(len(package) - COOKIE) + package[-COOKIE:]  # noqa: S311 - noise, so that it stays uncompressed
    bundle = ingredients(root, files={"bin/decoy": (decoy, 0o755)})
    assert bundle.files[0].blob.digest == bundle.files[0].digest
    return replace(bundle, runtime=stub)


@pytest.fixture(scope="module")
def run_file(made: Ingredients, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.seal(tmp_path_factory.mktemp("run") / "shop.run")


def standard_library() -> set[str]:
    """Return the modules of the Python that is frozen, which is not the one that runs this, where there is a portable one."""
    python = portable_interpreter(cache_directory(None), HERE, Silent()).python
    listed = subprocess.run([python, "-c", "import sys; print(*sys.stdlib_module_names)"], capture_output=True, text=True, check=True, timeout=60)
    return set(listed.stdout.split())


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)


def test_only_listed_libraries_are_inside(facts: dict[str, Any]) -> None:
    packages = {module.partition(".")[0] for module in facts["modules"]}
    assert packages - standard_library() - frozen.LIBRARIES - set(frozen.PACKAGES) == set()


def test_nothing_of_the_build_side_is_inside(facts: dict[str, Any]) -> None:
    forbidden = ("docker", "urllib3", "requests", "bundler", *frozen.BUILD_ONLY, "multiprocessing", "tkinter", "unittest")
    inside = [module for module in facts["modules"] for name in forbidden if module == name or module.startswith(f"{name}.")]
    assert inside == []


def test_all_of_ours_is_inside(facts: dict[str, Any]) -> None:
    sources = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for package in frozen.PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }
    ours = {name for name in sources if not name.startswith(frozen.BUILD_ONLY)} - {"installer_stub.__main__"}
    assert ours - set(facts["modules"]) == set()


def test_libraries_of_the_host_stay_on_the_host(facts: dict[str, Any]) -> None:
    assert [name for name in facts["binaries"] if name.startswith(frozen.LEFT_TO_THE_HOST)] == []


def test_it_needs_no_newer_glibc_than_it_says(stub: StubRuntime) -> None:
    assert int(stub.glibc.removeprefix("2.")) <= GLIBC_LIMIT
    assert stub.kernel == KERNEL


def test_it_is_what_a_build_finds(stub: StubRuntime) -> None:
    assert stub_for([platform_of(HERE)], cache_directory(None)) == stub


def test_no_path_and_no_day_of_this_machine_is_inside(stub: StubRuntime) -> None:
    program = stub.open().read()
    for word in (str(cache_directory(None)), str(ROOT), time.strftime("%b %d %Y"), time.strftime("%b %e %Y"), time.strftime("%b %d %H:")):
        assert word.encode() not in program, word


def test_the_bare_stub_starts_and_knows_that_it_is_bare(stub: StubRuntime, tmp_path: Path) -> None:
    program = tmp_path / "airseal"
    program.write_bytes(stub.open().read())
    program.chmod(0o755)
    assert run(program, "--help").returncode == 0
    done = run(program, "inspect")
    assert (done.returncode, done.stdout) == (3, "")
    assert "is the installer alone: there is no bundle in it" in done.stderr


def test_an_artifact_starts_with_another_frozen_program_in_its_payload(run_file: Path) -> None:
    done = run(run_file, "inspect", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["name"] == "shop"
    assert run(run_file, "verify").returncode == 0


def test_the_stub_out_of_an_artifact_is_the_one_that_went_in(run_file: Path, stub: StubRuntime) -> None:
    assert json.loads(run(run_file, "inspect", "--json").stdout)["stubDigest"] == f"sha256:{stub.digest}"


def test_it_finds_itself_through_a_link_and_serves_on_after_it_was_removed(run_file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.run"
    copy.write_bytes(run_file.read_bytes())
    copy.chmod(0o755)
    (tmp_path / "link").symlink_to(copy)
    with subprocess.Popen([tmp_path / "link", "serve", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().strip().rpartition(":")[2])
            copy.unlink()
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/v2/library/busybox/manifests/1.36?ns=docker.io")
            answer = connection.getresponse()
            assert answer.status == 200
            answer.read()
            connection.close()
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()


def test_laid_out_as_on_hosts_it_is_one_process_that_writes_nothing(stub: StubRuntime, run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "opt" / "bin" / "airseal"
    monkeypatch.setattr(put_stub, "STUB", str(program))
    connection, artifact = LocalConnection(), Artifact(stub.size, stub.open, stub.digest)
    put_stub.put_stub(connection, artifact, Silent())
    temporary, store = tmp_path / "tmp", tmp_path / "store"
    temporary.mkdir()
    store.mkdir()
    (store / "shop.run").symlink_to(run_file)
    command = (program, "serve", "--store", store, "--listen", "127.0.0.1:0")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(temporary)}) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            assert Path(f"/proc/{process.pid}/exe").readlink() == program.resolve()
            assert Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text() == ""
            assert put_stub.has_stub(connection, artifact)
        finally:
            process.kill()
    assert list(temporary.iterdir()) == []
    assert put_stub.has_stub(connection, artifact)


def test_what_a_killed_one_file_program_left_goes_with_the_next_start(stub: StubRuntime, run_file: Path, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary)}

    def left() -> set[str]:
        return {path.name for path in temporary.iterdir()}

    def serving() -> subprocess.Popen[str]:
        command = (run_file, "serve", "--listen", "127.0.0.1:0")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True)
        assert process.stdout is not None
        assert process.stdout.readline()
        return process

    with serving() as killed:
        os.killpg(killed.pid, signal.SIGKILL)
    (dead,) = left()
    with serving() as alive:
        try:
            (living,) = left() - {dead}
            for name in (dead, living):
                os.utime(temporary / name, (0, 0))
            assert subprocess.run([run_file, "--version"], env=environment, capture_output=True, check=False).returncode == 0
            assert left() == {living}
        finally:
            os.killpg(alive.pid, signal.SIGKILL)
