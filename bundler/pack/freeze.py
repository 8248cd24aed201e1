"""Freeze the installer with PyInstaller, once: later builds find it by the hash of everything it is made from.

A frozen program is a directory ``runtime/<key>`` of the cache: ``bootloader``, ``stub.pkg`` and ``frozen.json`` (modules,
libraries, the glibc it needs). It appears whole or not at all.
"""

from __future__ import annotations

import ast
import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import bundler
from bundler.errors import BuildError
from bundler.pack import frozen
from bundler.pack.stub_runtime import StubRuntime
from installer_stub.phases.base import Reporter
from registry_snapshot.store.ours import open_lock

KEEP: Final = 8  # frozen programs in the cache; each has 25 MB
_ROOT: Final = Path(bundler.__file__).resolve().parents[1]
_SPEC: Final = Path(__file__).with_name("stub.spec")
_NAME: Final = "airseal-stub"
_GLIBC = re.compile(rb"GLIBC_2\.(\d+)")
_VERSIONS = (
    "import sys, platform, importlib.metadata as m\n"
    "print(sys.version, platform.machine(), *(f'{n}={m.version(n)}' for n in sys.argv[1:]), sep='\\n')"
)


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The Python that is frozen together with us: its executable, and where its libraries are beside its own."""

    python: Path
    path: tuple[Path, ...] = ()
    bootloader: str = "stock"  # which one its PyInstaller has: part of the program's identity
    glibc_limit: int | None = None  # the newest glibc 2.x, as x, that anything inside may need


def runtime(cache: Path, python: Path | None = None, *, reporter: Reporter | None = None) -> StubRuntime:
    """Return the frozen installer, made with ``python``, by default the one that runs this. Raises BuildError.

    Such a program starts only where glibc is as new as here; ``portable_python`` has the Python for everywhere else.
    """
    return freeze(cache, Interpreter(python or Path(sys.executable)), reporter)


def freeze(cache: Path, interpreter: Interpreter, reporter: Reporter | None = None) -> StubRuntime:
    """Return the installer frozen with ``interpreter``: from the cache, or made in half a minute. Raises BuildError."""
    programs = cache.absolute() / "runtime"
    programs.mkdir(parents=True, exist_ok=True)
    versions = _versions(interpreter)
    with one_at_a_time(programs):
        home = programs / _key(versions)
        if not (home / "frozen.json").is_file():
            if reporter:
                reporter.step("freezing the installer: once for this version, about half a minute")
            _build(home, interpreter, versions)
            _forget_old(programs)
        os.utime(home)
    return frozen_in(home)


def frozen_in(home: Path) -> StubRuntime:
    """Return the frozen installer in a directory of the cache. Raises OSError, ValueError, KeyError for one that is torn."""
    facts = json.loads((home / "frozen.json").read_text())
    return StubRuntime.of(home / "bootloader", home / "stub.pkg", glibc=str(facts["glibc"]))


def _build(home: Path, interpreter: Interpreter, versions: str) -> None:
    work = Path(tempfile.mkdtemp(prefix=".new-", dir=home.parent))
    try:
        _run_pyinstaller(work, interpreter)
        made = work / "whole"
        made.mkdir()
        shutil.move(work / "dist" / _NAME, made / "bootloader")
        shutil.move(work / "dist" / f"{_NAME}.pkg", made / "stub.pkg")
        facts = _facts(work / "build" / _SPEC.stem, versions)
        _check_glibc(facts["binaries"], interpreter.glibc_limit)
        (made / "frozen.json").write_text(json.dumps(facts, indent=1))
        _try_it(made, work / "try")
        if _key(versions) != home.name:
            raise BuildError("the sources of airseal changed while the installer was frozen", "run the same command again")
        shutil.rmtree(home, ignore_errors=True)  # without frozen.json it is what a kill left
        made.rename(home)
    except OSError as error:
        raise BuildError(f"the installer could not be frozen: {error}", "see whether the cache's disk is full") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _run_pyinstaller(work: Path, interpreter: Interpreter) -> None:
    path = os.pathsep.join(str(item) for item in (*interpreter.path, _ROOT))
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "_PYI_"))}
    environment |= {
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
        raise BuildError(f"the installer could not be frozen; PyInstaller says:\n{end}", "install airseal again with its pinned requirements")


def _try_it(made: Path, program: Path) -> None:
    program.write_bytes((made / "bootloader").read_bytes() + (made / "stub.pkg").read_bytes())
    program.chmod(0o755)
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"the frozen installer does not start: {error}", "report this") from None
    if done.returncode:
        raise BuildError(f"the frozen installer does not start: {done.stderr.strip()[-500:]}", "report this")


def _facts(build: Path, versions: str) -> dict[str, Any]:
    """Return what is inside, from PyInstaller's own tables of contents: Python literals."""
    modules = sorted(item[0] for item in ast.literal_eval((build / "PYZ-00.toc").read_text())[1])
    table = ast.literal_eval((build / "PKG-00.toc").read_text())
    items = next(part for part in table if isinstance(part, list) and part and isinstance(part[0], tuple))
    binaries = {item[0]: item[1] for item in items if item[2] in {"BINARY", "EXTENSION"}}
    needs = {name: glibc_of(Path(source)) for name, source in sorted(binaries.items())}
    newest = max(needs.values(), default=0)
    return {"versions": versions.splitlines(), "glibc": f"2.{newest}", "modules": modules, "binaries": needs}


def glibc_of(binary: Path) -> int:
    """Return the minor number of the newest glibc 2.x symbol version that ``binary`` names, 0 for none."""
    return max((int(minor) for minor in _GLIBC.findall(binary.read_bytes())), default=0)


def _check_glibc(needs: dict[str, int], limit: int | None) -> None:
    newer = {name: minor for name, minor in needs.items() if limit is not None and minor > limit}
    if newer:
        names = ", ".join(f"{name} (2.{minor})" for name, minor in sorted(newer.items()))
        raise BuildError(f"these would need a newer glibc than 2.{limit}: {names}", "pin versions that have manylinux2014 wheels")


def _versions(interpreter: Interpreter) -> str:
    names = (*frozen.DISTRIBUTIONS, "pyinstaller", "pyinstaller-hooks-contrib")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(str(item) for item in interpreter.path)}
    try:
        done = subprocess.run(
            [interpreter.python, "-c", _VERSIONS, *names], capture_output=True, text=True, env=environment, check=False
        )
    except OSError as error:
        raise BuildError(f"{interpreter.python} cannot be run: {error.strerror}", "name a Python interpreter") from None
    if done.returncode:
        missing = done.stderr.strip().splitlines()[-1:]
        raise BuildError(f"{interpreter.python} lacks a library: {' '.join(missing)}", "install airseal with its requirements")
    return f"{interpreter.bootloader}\n{done.stdout}"


def _key(versions: str) -> str:
    hasher = hashlib.sha256(versions.encode())
    for path in _sources():
        content = path.read_bytes()
        hasher.update(f"\0{path.relative_to(_ROOT)}\0{len(content)}\0".encode())
        hasher.update(content)
    return hasher.hexdigest()[:32]


def _sources() -> Iterator[Path]:
    """Yield every file that decides what is frozen, in a fixed order."""
    left_out = tuple(_ROOT / Path(*name.split(".")) for name in frozen.BUILD_ONLY)
    for package in frozen.PACKAGES:
        for path in sorted((_ROOT / package).rglob("*")):
            if path.is_file() and path.suffix != ".pyc" and not any(path.is_relative_to(skip) for skip in left_out):
                yield path
    yield _SPEC
    yield Path(frozen.__file__)


@contextlib.contextmanager
def one_at_a_time(directory: Path) -> Iterator[None]:
    """Hold the lock of a part of the cache; whoever else wants it waits."""
    with os.fdopen(open_lock(directory / ".lock"), "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _forget_old(programs: Path) -> None:
    known = [path for path in programs.iterdir() if (path / "frozen.json").is_file()]
    for path in sorted(known, key=lambda path: -path.stat().st_mtime_ns)[KEEP:]:
        shutil.rmtree(path, ignore_errors=True)
    for path in programs.glob(".new-*"):  # the lock is ours: nobody works in them any more
        shutil.rmtree(path, ignore_errors=True)
