"""What stands beside a file is of that file, whenever the power was cut while it replaced another."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from bundler import cli
from bundler.errors import SigningError
from bundler.signing.signing import Signing
from bundler.steps.sums import Beside
from installer_stub.bundle.beside import of_this_file
from installer_stub.errors import BesideAnother
from tests.unit.bundler.signing.test_certificates import issue, write
from tests.unit.bundler.signing.test_keys import nobody
from tests.unit.installer_stub.bundle.sealed import Ingredients, ingredients
from tests.unit.installer_stub.trust.openssh import make

BESIDE = ("shop.run.sha256", "shop.run.sha256.p7s", "shop.run.sig")


class PowerCutError(BaseException):
    """Nothing after it was done."""


class Power:
    """Counts what changes the disk, and is cut before number ``last``. ``said`` are the changes, in words."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, last: int = 10**6) -> None:
        self.said: list[str] = []

        def counted(what: str, real: Any, owner: Any, name: str) -> None:
            def instead(first: Any, *more: Any, **words: Any) -> Any:
                if len(self.said) == last:
                    raise PowerCutError
                about = more[0].name if what == "rename" else Path(f"/proc/self/fd/{first}").readlink().name if what == "sync" else first.name
                self.said.append(f"{what} {about}")
                return real(first, *more, **words)

            monkeypatch.setattr(owner, name, instead)

        counted("remove", Path.unlink, Path, "unlink")
        counted("rename", Path.rename, Path, "rename")
        counted("sync", os.fsync, os, "fsync")


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Signing:
    home = tmp_path_factory.mktemp("keys")
    return Signing.load([make(home).path], nobody, write(home / "release.pem", issue("release", issue("Root", None))))


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ingredients, Ingredients]:
    home = tmp_path_factory.mktemp("builds")
    return ingredients(home / "old"), ingredients(home / "new", version="1.5.0")


def seal(made: Ingredients, run: Path, signing: Signing) -> None:
    """Seal, as ``seal_whole`` does it."""
    beside = Beside(signing)
    made.sealed(run, sign=signing, ready=beside.ready)
    beside.write()


def is_consistent(run: Path) -> bool:
    sha256 = hashlib.sha256(run.read_bytes()).hexdigest()
    of_this_file(run, sha256)
    sums, certified = (run.with_name(name) for name in BESIDE[:2])
    return not certified.exists() or hashlib.sha256(sums.read_bytes()).digest() in certified.read_bytes()


@pytest.mark.parametrize("after", ["signed", "not signed"])
def test_wherever_the_power_is_cut_nothing_beside_a_file_is_of_another(
    builds: tuple[Ingredients, Ingredients], signing: Signing, tmp_path: Path, after: str
) -> None:
    old, new = builds
    whole = {made.seal(tmp_path / "alone.run").read_bytes() for made in builds} if after == "not signed" else set()
    for last in range(100):
        run = tmp_path / str(last) / "shop.run"
        run.parent.mkdir()
        seal(old, run, signing)
        before = run.read_bytes()
        assert {path.name for path in run.parent.iterdir()} == {run.name, *BESIDE}
        with pytest.MonkeyPatch.context() as patch:
            power = Power(patch, last)
            try:
                seal(new, run, signing if after == "signed" else Signing())
                done = True
            except PowerCutError:
                done = False
        assert is_consistent(run), power.said
        assert run.read_bytes() == before or f"rename {run.name}" in power.said
        if done:
            break
    assert last > 5
    assert run.read_bytes() in whole or after == "signed"
    assert {path.name for path in run.parent.glob("shop*")} == {run.name, *(BESIDE if after == "signed" else BESIDE[:1])}


def test_the_old_ones_are_off_the_disk_before_the_file_has_its_name(
    builds: tuple[Ingredients, Ingredients], signing: Signing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal(builds[0], run := tmp_path / "shop.run", signing)
    power = Power(monkeypatch)
    seal(builds[1], run, signing)
    at = power.said.index("rename shop.run")
    assert power.said[at - 5 : at + 2] == [
        "sync .shop.run.part",
        "remove shop.run.sig",
        "remove shop.run.sha256.p7s",
        "remove shop.run.sha256",
        f"sync {tmp_path.name}",
        "rename shop.run",
        f"sync {tmp_path.name}",
    ]
    assert [said for said in power.said[at + 2 :] if said.startswith("rename")] == [f"rename {name}" for name in BESIDE]


def test_what_cannot_be_signed_replaces_nothing(
    builds: tuple[Ingredients, Ingredients], signing: Signing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that was pulled out while the file was written."""
    seal(builds[0], run := tmp_path / "shop.run", signing)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def refuse(*_: object) -> bytes:
        raise SigningError("the token was pulled out", "put it in")

    monkeypatch.setattr(Signing, "of_file", refuse)
    with pytest.raises(SigningError):
        seal(builds[1], run, signing)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["shop.run.sha256", "shop.run.sig"])
def test_verify_says_what_is_of_another_file(
    builds: tuple[Ingredients, Ingredients], signing: Signing, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    for made, place in zip(builds, ("old", "new"), strict=True):
        (tmp_path / place).mkdir()
        seal(made, tmp_path / place / "shop.run", signing)
    run = tmp_path / "new" / "shop.run"
    assert cli.run(["verify", str(run)]) == 0
    said = capsys.readouterr().out
    assert all(f"beside  shop.run{end}, which is of this file" in said for end in (".sha256", ".sig"))
    (tmp_path / "old" / name).rename(tmp_path / "new" / name)
    assert cli.run(["verify", str(run)]) == 3
    said = capsys.readouterr().err
    assert f"shop.run is whole, but {name} beside it is" in said
    assert "fetch it again with what stands beside it" in said


def test_what_others_write_under_those_names_is_theirs(tmp_path: Path) -> None:
    run, digest = tmp_path / "shop.run", "a" * 64
    assert of_this_file(run, digest) == ()
    for sums, signature in (("", ""), ("MD5 (shop.run) = 12", "-----BEGIN PGP SIGNATURE-----"), ("0" * 128, "\0" * 20)):
        run.with_name("shop.run.sha256").write_text(sums)
        run.with_name("shop.run.sig").write_text(signature)
        assert of_this_file(run, digest) == ()
    run.with_name("shop.run.sha256").write_text(f"{'b' * 64}  other.run\n{'A' * 64} *shop.run\n")
    assert of_this_file(run, digest) == ("shop.run.sha256",)
    run.with_name("shop.run.sig").write_text("-----BEGIN SSH SIGNATURE-----\ntorn")
    with pytest.raises(BesideAnother, match=r"shop.run.sig beside it is no signature of this file"):
        of_this_file(run, digest)
    run.with_name("shop.run.sig").unlink()
    os.mkfifo(run.with_name("shop.run.sig"))
    assert of_this_file(run, digest) == ("shop.run.sha256",)
