"""The wheels of a release: a stub as data, the same bytes each time, and found again by an airseal that has it installed."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from bundler.errors import BuildError
from bundler.pack.stubs import stub_for
from installer_stub.version import VERSION
from release.recipe import MACHINES, SOURCES
from release.sbom import sbom
from release.wheels import stub_wheel, with_stubs
from tests.unit.bundler.pack.test_stubs import ARM64, put

ROOT = Path(__file__).resolve().parents[3]
VERSIONS = ["no-noexec", "3.13.5 (main)", "x86_64", "paramiko=5.1.0", "PyNaCl=1.6.2"]


@pytest.fixture
def stub(tmp_path: Path) -> Path:
    return put(tmp_path / "stub", machine="aarch64", versions=VERSIONS)


def test_every_file_is_in_the_record_with_its_hash(stub: Path, tmp_path: Path) -> None:
    made = stub_wheel(stub, tmp_path)
    assert made.name == f"airseal_stub_aarch64-{VERSION}-py3-none-manylinux2014_aarch64.whl"
    with zipfile.ZipFile(made) as archive:
        record = next(name for name in archive.namelist() if name.endswith("/RECORD"))
        lines = list(csv.reader(io.StringIO(archive.read(record).decode())))
        assert [name for name, _, _ in lines] == archive.namelist()
        for name, said, size in lines:
            if name != record:
                data = archive.read(name)
                assert said == "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
                assert int(size) == len(data)


def test_the_same_stub_gives_the_same_bytes(stub: Path, tmp_path: Path) -> None:
    first = stub_wheel(stub, tmp_path).read_bytes()
    assert stub_wheel(stub, tmp_path).read_bytes() == first


def test_pip_installs_it_and_a_build_finds_it(stub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = stub_wheel(stub, tmp_path)
    words = ("install", "--quiet", "--no-deps", "--no-index", "--platform", "manylinux2014_aarch64", "--only-binary=:all:", "--target", tmp_path / "site")
    subprocess.run([sys.executable, "-m", "pip", *words, made], check=True)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    found = stub_for([ARM64], tmp_path / "cache")
    assert found.package == tmp_path / "site" / "airseal_stub_aarch64" / "stub.pkg"
    assert found.digest == hashlib.sha256((stub / "bootloader").read_bytes() + (stub / "stub.pkg").read_bytes()).hexdigest()


def test_one_of_this_machines_python_is_not_released(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="frozen with this machine's Python"):
        stub_wheel(put(tmp_path / "stub", portable=False, versions=VERSIONS), tmp_path)


def test_the_bill_of_materials_has_every_source_and_every_distribution() -> None:
    document = json.loads(sbom("x86_64", "0" * 64, VERSIONS))
    names = {one["name"]: one["version"] for one in document["components"]}
    assert {source.component for source in SOURCES} | {"paramiko", "PyNaCl", "airseal"} == names.keys()
    assert (names["paramiko"], names["PyNaCl"]) == ("5.1.0", "1.6.2")
    refs = [one["bom-ref"] for one in document["components"]]
    assert refs == sorted(set(refs)) == document["dependencies"][0]["dependsOn"]
    assert document["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": "0" * 64}]


def test_a_user_of_airseal_gets_the_stub_of_his_machine_and_no_compiler() -> None:
    project = tomllib.loads(with_stubs((ROOT / "pyproject.toml").read_text()))["project"]
    asked = project["dependencies"]
    for machine in MACHINES:
        assert f"airseal-stub-{machine}=={VERSION}; sys_platform == 'linux' and platform_machine == '{machine}'" in asked
    assert not [one for one in asked if "pyinstaller" in one or "ziglang" in one]
    assert project["version"] == VERSION


@pytest.mark.parametrize("text", ["", "[project]\nname = 'x'\n", "dependencies = []\n"])
def test_metadata_of_another_shape_is_refused(text: str) -> None:
    with pytest.raises(BuildError, match="no list of dependencies"):
        with_stubs(text)
