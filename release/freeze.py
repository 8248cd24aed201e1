"""Freeze the installer with PyInstaller, once: later calls find it by the hash of everything it is made from.

A frozen program is a directory ``runtime/<key>`` of the cache, as ``bundler.pack.stubs`` reads it. It appears whole and on the disk, or not
at all; one that is no longer the program of its facts is made anew.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bundler.errors import BuildError
from bundler.pack.stub_runtime import StubRuntime
from bundler.pack.stub_sources import ROOT, sources, sources_digest
from bundler.pack.stubs import FACTS, FORMAT, is_whole, stub_in
from installer_stub.phases.reporter import Reporter
from registry_snapshot.errors import StoreError
from registry_snapshot.store.disk import write_file
from registry_snapshot.store.durable import sync_directory
from release import frozen, recipe
from release.emulation import emulated
from release.gate import check_binaries, glibc_of
from release.locks import one_at_a_time
from release.portable_python import Interpreter

KEEP: Final = 8  # frozen programs in the cache; each has 25 MB
_SPEC: Final = recipe.HERE / "stub.spec"
_NAME: Final = "airseal-stub"
_VERSIONS: Final = (
    "import sys, platform, importlib.metadata as m\n"
    "print(sys.version, platform.machine(), *(f'{n}={m.version(n)}' for n in sys.argv[1:]), sep='\\n')"
)
_TRY_SECONDS: Final = 240.0  # an emulated start takes twenty times as long


def of_this_python() -> Interpreter:
    """Return the Python that runs this: what is frozen with it starts only where glibc is as new as here."""
    return Interpreter(Path(sys.executable))


def freeze(cache: Path, interpreter: Interpreter, reporter: Reporter | None = None) -> StubRuntime:
    """Return the installer frozen with ``interpreter``: from the cache, or made in half a minute. Raises BuildError."""
    programs = cache.absolute() / "runtime"
    programs.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(programs), tempfile.TemporaryDirectory(prefix=".new-", dir=programs) as work, emulated(interpreter.machine, Path(work)) as emulation:
        help_ = {**emulation, "PATH": os.pathsep.join((str(Path(work) / "emulation"), os.environ.get("PATH", os.defpath)))}
        versions = _versions(interpreter, help_)
        home = programs / _key(versions)
        if not is_whole(home):
            if reporter:
                reporter.step(f"freezing the installer for {interpreter.machine}: once for these sources, about half a minute")
            _build(home, Path(work), interpreter, versions, help_)
            _forget_old(programs)
        os.utime(home)
    return stub_in(home)


def _build(home: Path, work: Path, interpreter: Interpreter, versions: str, environment: Mapping[str, str]) -> None:
    try:
        _run_pyinstaller(work, interpreter, environment)
        made = work / "whole"
        made.mkdir()
        for name, part in ((_NAME, "bootloader"), (f"{_NAME}.pkg", "stub.pkg")):
            write_file(made / part, (work / "dist" / name).read_bytes())
        program = StubRuntime.of(made / "bootloader", made / "stub.pkg")
        facts = _facts(work / "build" / _SPEC.stem, interpreter, versions) | {"sha256": program.digest, "size": program.size}
        write_file(made / FACTS, json.dumps(facts, indent=1, sort_keys=True).encode())
        _try_it(made, work / "try", environment)
        if _key(versions) != home.name:
            raise BuildError("the sources of airseal changed while the installer was frozen", "run the same command again")
        shutil.rmtree(home, ignore_errors=True)  # not whole: what a kill or a power cut left
        made.rename(home)
        sync_directory(home.parent)
    except (OSError, StoreError) as error:
        raise BuildError(f"the installer could not be frozen: {error}", "see whether the cache's disk is full") from error


def _run_pyinstaller(work: Path, interpreter: Interpreter, help_: Mapping[str, str]) -> None:
    path = os.pathsep.join(str(item) for item in (*interpreter.path, ROOT))
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "_PYI_"))}
    environment |= {
        **help_,
        "PYTHONPATH": path,
        # Two things make PyInstaller's output the same every time (measured): sets in one order, and every module compiled
        # anew, since what is read from a .pyc is marshalled with other reference flags than what was just compiled.
        "PYTHONHASHSEED": "0",
        "PYTHONPYCACHEPREFIX": str(work / "pycache"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYINSTALLER_CONFIG_DIR": str(work / "config"),
        "SOURCE_DATE_EPOCH": "315532800",
    }
    arguments: list[str | Path] = ["--noconfirm", "--log-level", "WARN", "--distpath", work / "dist", "--workpath"]
    arguments += [work / "build", _SPEC]
    done = subprocess.run(
        [interpreter.python, "-m", "PyInstaller", *arguments],
        env=environment,
        cwd=work,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        end = "\n".join(done.stdout.strip().splitlines()[-15:])
        raise BuildError(f"the installer could not be frozen; PyInstaller says:\n{end}", "make the virtual environment anew: rm -r .venv; make venv")


def _try_it(made: Path, program: Path, environment: Mapping[str, str]) -> None:
    program.write_bytes((made / "bootloader").read_bytes() + (made / "stub.pkg").read_bytes())
    program.chmod(0o755)
    try:
        done = subprocess.run([program, "--version"], env={**os.environ, **environment}, capture_output=True, text=True, timeout=_TRY_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"the frozen installer does not start: {error}", "report this") from None
    if done.returncode:
        raise BuildError(f"the frozen installer does not start: {done.stderr.strip()[-500:]}", "report this")


def _facts(build: Path, interpreter: Interpreter, versions: str) -> dict[str, Any]:
    """Return what is inside, from PyInstaller's own tables of contents: Python literals. Raises BuildError for what no host need have."""
    modules = sorted(item[0] for item in ast.literal_eval((build / "PYZ-00.toc").read_text())[1])
    table = ast.literal_eval((build / "PKG-00.toc").read_text())
    items = next(part for part in table if isinstance(part, list) and part and isinstance(part[0], tuple))
    binaries = {item[0]: Path(item[1]) for item in items if item[2] in {"BINARY", "EXTENSION"}}
    needs = {name: glibc_of(source) for name, source in sorted(binaries.items())}
    if interpreter.glibc_limit is not None:
        check_binaries(list(binaries.values()), interpreter.glibc_limit)
    return {
        "format": FORMAT,
        "machine": interpreter.machine,
        "portable": interpreter.is_portable,
        "sources": sources_digest(),
        "glibc": f"2.{max(needs.values(), default=0)}",
        "kernel": recipe.KERNEL if interpreter.is_portable else "",
        "versions": versions.splitlines(),
        "modules": modules,
        "binaries": needs,
    }


def _versions(interpreter: Interpreter, help_: Mapping[str, str]) -> str:
    names = (*frozen.DISTRIBUTIONS, "pyinstaller", "pyinstaller-hooks-contrib")
    environment = {**os.environ, **help_, "PYTHONPATH": os.pathsep.join(str(item) for item in interpreter.path), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run([interpreter.python, "-c", _VERSIONS, *names], capture_output=True, text=True, env=environment, check=False)
    except OSError as error:
        raise BuildError(f"{interpreter.python} cannot be run: {error.strerror}", "name a Python interpreter") from None
    if done.returncode:
        missing = done.stderr.strip().splitlines()[-1:]
        raise BuildError(f"{interpreter.python} lacks a library: {' '.join(missing)}", "make the virtual environment anew: rm -r .venv; make venv")
    return f"{interpreter.bootloader}\n{done.stdout}"


def _key(versions: str) -> str:
    hasher = hashlib.sha256(f"{FORMAT}\0{versions}".encode())
    for path in (*sources(), _SPEC, Path(frozen.__file__)):
        content = path.read_bytes()
        hasher.update(f"\0{path.relative_to(ROOT)}\0{len(content)}\0".encode())
        hasher.update(content)
    return hasher.hexdigest()[:32]


def _forget_old(programs: Path) -> None:
    known = [path for path in programs.iterdir() if (path / FACTS).is_file()]
    for path in sorted(known, key=lambda path: -path.stat().st_mtime_ns)[KEEP:]:
        shutil.rmtree(path, ignore_errors=True)
    for path in programs.glob(".new-*"):  # the lock is ours: nobody works in them any more
        shutil.rmtree(path, ignore_errors=True)
