"""The wheels of a release: airseal itself, and one stub for each machine. The same sources give the same bytes.

A stub's wheel is data: the frozen program in its two pieces, their facts, and its bill of materials. Sources: PEP 427 (wheels), PEP 599
(manylinux2014, which ``gate`` holds), PEP 770 (``.dist-info/sboms``).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from bundler.errors import BuildError
from bundler.pack.stub_sources import ROOT
from bundler.pack.stubs import FACTS, stub_in
from installer_stub.phases.reporter import Reporter
from installer_stub.version import VERSION
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.store.disk import write_file
from release import recipe
from release.portable_python import portable_interpreter
from release.sbom import sbom
from release.stub import make_stub

_DAY: Final = (1980, 1, 1, 0, 0, 0)  # of every entry: ZIP knows no earlier one
_EPOCH: Final = "315532800"  # the same day
_PACKAGES: Final = ("bundler", "installer_stub", "registry_snapshot")
_SUMMARY: Final = "The frozen installer of airseal for hosts of one kind of machine"


def make_wheels(cache: Path, output: Path, machines: Sequence[str], reporter: Reporter, mirrors: Mirrors) -> Iterator[Path]:
    """Yield each wheel when it is whole in ``output``. Raises BuildError, OSError."""
    output.mkdir(parents=True, exist_ok=True)
    for machine in machines:
        yield stub_wheel(make_stub(cache, reporter, machine, mirrors).package.parent, output)
    yield own_wheel(portable_interpreter(cache, platform.machine(), reporter, mirrors).path[0], output)


def stub_wheel(stub: Path, output: Path) -> Path:
    """Write the wheel of the stub in the directory ``stub`` and return its path. Raises BuildError, StubDamaged, OSError."""
    facts = json.loads((stub / FACTS).read_bytes())
    machine = str(facts["machine"])
    if not facts["portable"]:
        raise BuildError(f"{stub} was frozen with this machine's Python", "release what python -m release stub makes")
    package, info = f"airseal_stub_{machine}", f"airseal_stub_{machine}-{VERSION}.dist-info"
    program = stub_in(stub)
    bootloader, content = program.read()
    parts = {"bootloader": bootloader, "stub.pkg": content, FACTS: (stub / FACTS).read_bytes()}
    members = {f"{package}/__init__.py": f'"""{_SUMMARY}: {machine}. Its files are its contents."""\n'.encode()}
    members |= {f"{package}/{name}": data for name, data in parts.items()}
    members |= {
        f"{info}/METADATA": _metadata(machine, facts).encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: airseal {VERSION}\nRoot-Is-Purelib: false\nTag: {_tag(machine)}\n".encode(),
        f"{info}/licenses/LICENSE": (ROOT / "LICENSE").read_bytes(),
        f"{info}/sboms/stub.cdx.json": sbom(machine, program.digest, facts["versions"]),
    }
    return _write(output / f"airseal_stub_{machine}-{VERSION}-{_tag(machine)}.whl", members, f"{info}/RECORD")


def own_wheel(tools: Path, output: Path) -> Path:
    """Write airseal's own wheel, which asks for the stub of its machine, and return its path. ``tools`` has setuptools. Raises BuildError."""
    with tempfile.TemporaryDirectory() as scratch:
        tree, made = Path(scratch, "tree"), Path(scratch, "made")
        tree.mkdir()
        made.mkdir()
        for name in (*_PACKAGES, "README.md", "LICENSE"):
            _copy(ROOT / name, tree / name)
        (tree / "pyproject.toml").write_text(with_stubs((ROOT / "pyproject.toml").read_text()))
        environment = {**os.environ, "PYTHONPATH": str(tools), "SOURCE_DATE_EPOCH": _EPOCH, "PYTHONDONTWRITEBYTECODE": "1"}
        code = "import sys, setuptools.build_meta as backend; backend.build_wheel(sys.argv[1])"
        # A wheel has the modes of its files, so they are not to be those that whoever makes it gives new ones.
        done = subprocess.run([sys.executable, "-c", code, made], cwd=tree, env=environment, umask=0o022, capture_output=True, text=True, errors="replace", check=False)
        found = list(made.glob("airseal-*.whl"))
        if done.returncode or len(found) != 1:
            end = "\n".join(done.stderr.strip().splitlines()[-8:])
            raise BuildError(f"the wheel of airseal was not made:\n{end}", "correct pyproject.toml")
        target = output / found[0].name
        write_file(target, found[0].read_bytes())
        return target


def with_stubs(pyproject: str) -> str:
    """Return the project's metadata with the stubs among its dependencies: a checkout has none yet, a user has one."""
    lines = "".join(f"""  "airseal-stub-{machine}=={VERSION}; sys_platform == 'linux' and platform_machine == '{machine}'",\n""" for machine in recipe.MACHINES)
    changed, count = re.subn(r"(?m)^dependencies = \[\n", lambda found: found[0] + lines, pyproject)
    if count != 1:
        raise BuildError("pyproject.toml has no list of dependencies that begins on a line of its own", "write dependencies = [ there")
    return changed


def _metadata(machine: str, facts: Mapping[str, object]) -> str:
    return (
        f"Metadata-Version: 2.4\nName: airseal-stub-{machine}\nVersion: {VERSION}\nSummary: {_SUMMARY}: {machine}\nLicense-Expression: Apache-2.0\n"
        f"License-File: LICENSE\nRequires-Python: >=3.11\nDescription-Content-Type: text/markdown\n\n"
        f"It runs on Linux {facts['kernel']} or newer with glibc {facts['glibc']} or newer, on {machine}. `airseal build` seals it into every file\n"
        "for such hosts. What it is made of stands in `sboms/stub.cdx.json` of the metadata; the same sources give the same bytes.\n"
    )


def _tag(machine: str) -> str:
    return f"py3-none-manylinux2014_{machine}"


def _write(target: Path, members: Mapping[str, bytes], record: str) -> Path:
    lines = [f"{name},sha256={_urlsafe(hashlib.sha256(data).digest())},{len(data)}" for name, data in members.items()]
    whole = {**members, record: ("\n".join([*lines, f"{record},,"]) + "\n").encode()}
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name, data in whole.items():
                entry = zipfile.ZipInfo(name, _DAY)
                entry.compress_type, entry.external_attr, entry.create_system = zipfile.ZIP_DEFLATED, 0o100644 << 16, 3
                archive.writestr(entry, data, compresslevel=9)
        file.seek(0)
        write_file(target, file.read())
    return target


def _urlsafe(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _copy(source: Path, target: Path) -> None:
    if source.is_file():
        shutil.copyfile(source, target)
        target.chmod(0o644)
        return
    target.mkdir()
    for each in sorted(source.iterdir()):
        if each.name != "__pycache__":
            _copy(each, target / each.name)
