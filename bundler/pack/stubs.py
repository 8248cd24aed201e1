"""Which frozen installer an artifact gets: the one that was released with this airseal, for the machine that the bundle is for.

A stub is a directory: ``bootloader``, ``stub.pkg`` and ``frozen.json``, its facts, the program's own SHA-256 among them. It comes as a wheel (airseal-stub-x86_64, -aarch64) or,
in a checkout, by ``make stub`` into the cache. Nothing here compiles or freezes.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from bundler.errors import BuildError, StubDamaged, StubMissing
from bundler.pack.stub_runtime import StubRuntime
from bundler.pack.stub_sources import ROOT, sources_digest
from installer_stub.version import VERSION
from registry_snapshot.oci.descriptor import Platform
from registry_snapshot.store.disk import write_file
from registry_snapshot.store.durable import sync_directory

FACTS: Final = "frozen.json"
FORMAT: Final = "airseal.stub/2"
MACHINES: Final = ("x86_64", "aarch64")  # that there is a stub for, in the words of uname -m
_PARTS: Final = ("bootloader", "stub.pkg", FACTS)
_MOST: Final = 256 << 20  # bytes of one part; a package has 36 MB
_MOST_FACTS: Final = 1 << 20
_TORN: Final = (OSError, ValueError, KeyError, TypeError)  # what reading facts raises that a power cut or somebody's editor left


@dataclass(frozen=True, slots=True)
class _Stub:
    home: Path
    machine: str
    sources: str
    is_portable: bool
    used: float


def stub_for(platforms: Iterable[str], cache: Path, given: Path | None = None) -> StubRuntime:
    """Return the installer for hosts of ``platforms`` (``linux/amd64``), which must all be of one machine.

    ``given`` is a stub's wheel or directory that a person names; otherwise it is the installed wheel, or what ``make stub`` has put into
    ``cache``, of these very sources. Raises StubMissing, StubDamaged, BuildError.
    """
    machines = {machine_of_platform(text) for text in platforms}
    if len(machines) != 1:
        raise BuildError(f"one file has one installer; this bundle is for {', '.join(sorted(map(str, platforms)))}", "seal a file for each --platform")
    machine = machines.pop()
    if given is not None:
        found = _read(_unpacked(given, cache) if given.suffix == ".whl" else given)
        if found is None:
            raise StubMissing(f"{given} is no stub that this airseal ({VERSION}) knows", "name a wheel airseal_stub_…-manylinux2014_….whl, or its directory")
        _check(found, machine, str(given))
        return stub_in(found.home, f"fetch {given} again")
    known = [stub for home in _homes(cache) if (stub := _read(home)) is not None and stub.machine == machine]
    fitting = [stub for stub in known if stub.sources == sources_digest()]
    if not fitting:
        raise StubMissing(_why_not(machine, known=bool(known)), _remedy(machine))
    best = max(fitting, key=lambda stub: (stub.is_portable, stub.used))
    return stub_in(best.home, _anew(best.home, machine))


def stub_in(home: Path, remedy: str = "make stub") -> StubRuntime:
    """Return the frozen installer of a directory, which is the program of its facts, byte for byte. Raises StubDamaged with ``remedy``."""
    try:
        facts = _facts(home)
        found, said = _runtime(home, facts), (str(facts["sha256"]), int(facts["size"]))
    except _TORN as error:
        raise StubDamaged(f"the installer in {home} cannot be read: {error!r}", remedy) from None
    if (found.digest, found.size) != said:
        now, then = (f"{size} bytes with sha256 {digest}" for digest, size in ((found.digest, found.size), said))
        raise StubDamaged(f"the installer in {home} is not the one that was frozen: {now}, not {then}", remedy)
    return found


def is_whole(home: Path) -> bool:
    """Tell whether a directory has a frozen installer as it was frozen."""
    try:
        stub_in(home)
    except StubDamaged:
        return False
    return True


def frozen_before(cache: Path, digest: str) -> StubRuntime | None:
    """Return the frozen installer whose SHA-256 in hex is ``digest``, of whatever sources, if it is here still."""
    for home in _homes(cache):
        try:
            found = _runtime(home, _facts(home))  # facts of before have no hash; ``digest`` is one
        except _TORN:  # or somebody has just taken it away
            continue
        if found.digest == digest:
            _use(home)
            return found
    return None


def machine_of_platform(platform: str) -> str:
    """Return the machine of a platform in the words of uname -m. Raises BuildError for one that no stub is made for."""
    for machine in MACHINES:
        if str(Platform.of_machine(machine)) == platform:
            return machine
    raise BuildError(f"there is no installer for {platform}", "airseal installs on linux/amd64 and linux/arm64")


def is_checkout() -> bool:
    """Tell whether this airseal runs from a checkout, which makes its own stubs."""
    return (ROOT / "release").is_dir() and (ROOT / "Makefile").is_file()


def _homes(cache: Path) -> Iterator[Path]:
    for machine in MACHINES:
        spec = importlib.util.find_spec(f"airseal_stub_{machine}")
        for place in (spec.submodule_search_locations or ()) if spec is not None else ():
            yield Path(place)
    for facts in sorted((cache / "runtime").glob(f"*/{FACTS}")):
        yield facts.parent


def _read(home: Path) -> _Stub | None:
    try:
        facts = _facts(home)
        if facts["format"] != FORMAT:
            return None
        return _Stub(home, str(facts["machine"]), str(facts["sources"]), bool(facts["portable"]), home.stat().st_mtime)
    except _TORN:
        return None


def _facts(home: Path) -> dict[str, Any]:
    return dict(json.loads((home / FACTS).read_bytes()[:_MOST_FACTS]))


def _runtime(home: Path, facts: Mapping[str, Any]) -> StubRuntime:
    return StubRuntime.of(home / "bootloader", home / "stub.pkg", glibc=str(facts["glibc"]), kernel=str(facts.get("kernel", "")))


def _check(stub: _Stub, machine: str, name: str) -> None:
    if stub.machine != machine:
        raise StubMissing(f"{name} is an installer for {stub.machine}; the bundle is for {machine}", f"name one for {machine}, or another --platform")
    if stub.sources != sources_digest():
        raise StubMissing(f"{name} is the installer of another airseal than this one ({VERSION})", f"take airseal-stub-{machine}=={VERSION}")


def _why_not(machine: str, *, known: bool) -> str:
    if known and is_checkout():
        return f"the installer for {machine} was frozen of other sources than those of this checkout"
    other = ": there is one of another version" if known else ""
    return f"there is no installer for {machine} that belongs to this airseal ({VERSION}){other}"


def _remedy(machine: str) -> str:
    if is_checkout():
        return "make stub" if machine == os.uname().machine else f"make stub MACHINE={machine}"
    if machine == os.uname().machine:
        return f"pip install airseal-stub-{machine}=={VERSION}"
    fetch = f"pip download --no-deps --only-binary=:all: --platform manylinux2014_{machine} airseal-stub-{machine}=={VERSION}"
    return f"{fetch}, and name the wheel with --stub"


def _anew(home: Path, machine: str) -> str:
    """Return how a stub that is damaged is had anew: from the wheel that is installed, or of these sources."""
    if home.name.startswith("airseal_stub_"):
        return f"pip install --force-reinstall --no-deps airseal-stub-{machine}=={VERSION}"
    return _remedy(machine) if is_checkout() else f"rm -r {home}"


def _unpacked(wheel: Path, cache: Path) -> Path:
    """Return a directory of the cache with what the wheel holds of a stub, each part as it stands in the wheel."""
    (cache / "stubs").mkdir(parents=True, exist_ok=True)
    try:
        with wheel.open("rb") as file:
            home = cache / "stubs" / hashlib.file_digest(file, "sha256").hexdigest()[:32]
        with zipfile.ZipFile(wheel) as archive:
            named = {PurePosixPath(info.filename).name: info for info in archive.infolist() if PurePosixPath(info.filename).parent.name.startswith("airseal_stub_")}
            if missing := [part for part in _PARTS if part not in named or named[part].file_size > _MOST]:
                raise StubMissing(f"{wheel} has no {missing[0]} of a stub", "name a wheel airseal_stub_…-manylinux2014_….whl")
            if not is_whole(home):
                work = Path(tempfile.mkdtemp(prefix=".new-", dir=home.parent))
                for part in _PARTS:
                    write_file(work / part, archive.read(named[part]))
                shutil.rmtree(home, ignore_errors=True)
                work.rename(home)
                sync_directory(home.parent)
    except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
        raise StubMissing(f"{wheel} cannot be read: {error}", "fetch it again") from None
    return home


def _use(home: Path) -> None:
    try:
        os.utime(home)  # the one that was used longest ago is forgotten first
    except OSError:
        return
