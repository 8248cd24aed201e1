"""The command line: verbs, exit codes, and errors that say what and what to do."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from installer_stub import cli
from installer_stub.bundle.coverage import Coverage, Signatures, Vouched, encode_coverage
from installer_stub.bundle.model import ClusterCommand
from installer_stub.bundle.names import COVERAGE
from installer_stub.bundle.reader import Bundle
from installer_stub.bundle.reasons import Listed
from installer_stub.version import VERSION
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from tests.unit.installer_stub.bundle.sealed import FILES, Ingredients, ingredients
from tests.unit.installer_stub.values.test_schema import SHOP as SHOP_VALUES

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Ingredients:
    return ingredients(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def run_file(made: Ingredients, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.seal(tmp_path_factory.mktemp("run") / "shop.run")


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    return capfd


def test_the_version_is_the_projects() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


@pytest.mark.parametrize("verb", [verb.name for verb in cli.VERBS])
def test_every_verb_has_help_with_examples(verb: str, said: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main([verb, "--help"])
    printed = said.readouterr().out
    assert "examples:" in printed
    assert "{prog}" not in printed


def test_help_lists_the_verbs_but_not_our_own(said: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == cli.main(["--help"]) == 0
    lines = [line.split()[0] for line in said.readouterr().out.splitlines() if line.startswith("  ")]
    assert "install" in lines
    assert "host" not in lines


def test_inspect_images_and_verify_as_text_and_as_json(run_file: Path, made: Ingredients, said: pytest.CaptureFixture[str]) -> None:
    bundle = ["--bundle", str(run_file)]
    assert cli.main(["inspect", *bundle]) == 0
    assert "kubectl apply -f manifests" in said.readouterr().out
    assert cli.main(["inspect", "--json", *bundle]) == 0
    facts = json.loads(said.readouterr().out)
    assert (facts["name"], facts["images"], facts["labels"]) == ("shop", 3, {"vendor": "Müller & Söhne"})
    assert cli.main(["images", *bundle]) == 0
    assert "docker.io/library/busybox:1.36\n" in said.readouterr().out
    assert cli.main(["images", "--json", *bundle]) == 0
    assert [image["reference"] for image in json.loads(said.readouterr().out)] == sorted(str(name) for name, _ in made.images)
    assert cli.main(["verify", "--json", *bundle]) == 0
    assert json.loads(said.readouterr().out)["digest"] == facts["digest"]
    assert cli.main(["verify", *bundle]) == 0
    assert "shop:1.4.0 is whole" in said.readouterr().out


def test_what_a_bundle_calls_itself_is_shown_and_not_obeyed(made: Ingredients, tmp_path: Path, said: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b[2J\x1b]0;x\x07\n  digest      sha256:0000"
    info = replace(made.info, commands=(ClusterCommand(("/bin/sh", "-ec", evil)),), labels={"a": evil})
    image = replace(made.lock.images[0], reasons=(Listed(f"pod {evil}"),))
    lock = replace(made.lock, images=(image, *made.lock.images[1:]))
    bundle = ["--bundle", str(replace(made, info=info, lock=lock).seal(tmp_path / "evil.run"))]
    for words in (["inspect"], ["inspect", "--json"], ["images"], ["images", "--json"], ["verify"]):
        assert cli.main([*words, *bundle]) == 0
        out = said.readouterr().out
        assert "\x1b" not in out
        assert "\x07" not in out
        assert "\n  digest      sha256:0000" not in out
        if "--json" in words:
            assert evil in json.dumps(json.loads(out), ensure_ascii=False).encode().decode("unicode_escape")


def test_extract_writes_only_what_was_verified(run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A stick may answer differently the second time, or end."""
    for number, alter in enumerate((lambda path, size: os.truncate(path, size // 2), lambda path, size: path.write_bytes(b"x" * size))):
        copy = tmp_path / f"{number}.run"
        shutil.copy(run_file, copy)
        monkeypatch.setattr(Bundle, "verify", lambda bundle, alter=alter: alter(bundle.path, bundle.size))
        assert cli.main(["extract", str(tmp_path / "layout"), "--bundle", str(copy)]) == 3
        assert "altered" in (said := capsys.readouterr().err) or "changed while it was unpacked" in said
        assert not (tmp_path / "layout").exists()


def test_extract_gives_a_layout_or_the_files(run_file: Path, made: Ingredients, tmp_path: Path) -> None:
    bundle = ["--bundle", str(run_file)]
    assert cli.main(["extract", str(tmp_path / "layout"), *bundle]) == 0
    for digest in made.digests:
        with made.store.open(digest) as extent:
            assert (tmp_path / "layout/blobs/sha256" / digest.encoded).read_bytes() == extent.read(extent.size)
    assert cli.main(["extract", str(tmp_path / "layout"), *bundle]) == 2, "never over what is there"
    assert cli.main(["extract", "--files", str(tmp_path / "files"), *bundle]) == 0
    assert (tmp_path / "files/bin/kubeadm").read_bytes() == FILES["bin/kubeadm"][0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["files", "layout"]


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["frobnicate"], 2, "there is no verb 'frobnicate'"),
        (["inspect", "--frobnicate"], 2, "unrecognized arguments"),
        (["--node", "a"], 2, "no master is named"),
        (["verify"], 3, "there is no bundle in this program"),
        (["verify", "--bundle", "/dev/null"], 3, "is empty"),
        (["host", "check-files", "--bundle", "x", "--reference", "a", "--manifest", "x", "--into", "/x"], 1, "'x' is not a digest"),
    ],
)
def test_errors_say_what_and_what_to_do(arguments: list[str], code: int, text: str, said: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == code
    out, complaint = said.readouterr()
    assert out == ""
    assert complaint.startswith("error: ")
    assert text in complaint
    assert "\nwhat to do: " in complaint


def test_an_unforeseen_error_leaves_a_report_without_the_command_line(
    said: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(cli, "_dispatch", lambda *_: 1 // 0)
    assert cli.main(["inspect", "--bundle", "secret-name"]) == 70
    complaint = said.readouterr().err
    (report,) = tmp_path.iterdir()
    assert str(report) in complaint
    assert report.stat().st_mode & 0o777 == 0o600
    assert f"airseal {VERSION}, verb inspect" in report.read_text()
    assert "secret-name" not in complaint + report.read_text()


def test_a_crash_names_the_log_of_its_run(said: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run_file: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("installer_stub.verbs.session._login", lambda _: 1 // 0)
    assert cli.main(["check", "--master", "10.0.0.2", "--bundle", str(run_file)]) == 70
    (log,) = tmp_path.glob("airseal-check-*.log")
    complaint = said.readouterr().err
    assert f"full log: {log}" in complaint
    assert "ZeroDivisionError" in log.read_text()


@pytest.mark.parametrize(
    ("number", "code", "text"),
    [
        (errno.EIO, 1, "stick does not answer"),
        (errno.ENODEV, 1, "is gone"),
        (errno.ENOSPC, 1, "the disk is full"),
        (errno.EROFS, 1, "read-only"),
        (errno.ESTALE, 1, "network file system"),
        (errno.EBADF, 70, "nobody foresaw"),
        (errno.EINVAL, 70, "nobody foresaw"),
        (errno.ENOENT, 70, "nobody foresaw"),
    ],
)
def test_what_a_disk_does_is_no_mistake_of_ours(
    said: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, number: int, code: int, text: str
) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number), "/media/stick/shop.run")

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(cli, "_dispatch", fail)
    assert cli.main(["install"]) == code
    complaint = said.readouterr().err
    assert text in complaint
    assert "/media/stick/shop.run" in complaint
    assert "what to do: " in complaint


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_being_stopped_ends_with_130_and_runs_every_finally(number: int, said: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned: list[int] = []

    def work(*_: object) -> int:
        try:
            os.kill(os.getpid(), number)
            signal.pause()
        finally:
            cleaned.append(number)
        return 0

    monkeypatch.setattr(cli, "_dispatch", work)
    before = signal.getsignal(signal.SIGTERM)
    assert cli.main(["inspect"]) == 130
    assert cleaned == [number]
    assert "error: stopped" in said.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_reader_that_goes_away_is_no_error(run_file: Path) -> None:
    command = f"{sys.executable} -m installer_stub images --json --bundle {run_file} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode in {0, 141}


def test_inspect_says_which_policy_images_were_held_to_and_who_signed(made: Ingredients, tmp_path: Path, said: pytest.CaptureFixture[str]) -> None:
    key = f"sha256:{'a' * 64}"
    held = Signatures(Digest.of(b"policy"), (Vouched(Reference.parse("a/b:1"), key), Vouched(Reference.parse("a/b:2"), unsigned="nobody\x1b signs it")))
    bundle = ["--bundle", str(made.seal(tmp_path / "held.run", documents={COVERAGE: encode_coverage(Coverage(signatures=held))}))]
    assert cli.main(["inspect", *bundle]) == 0
    text = said.readouterr().out
    assert f"images held to the policy {held.policy}: 1 signed, 1 need no signature\n" in text
    assert f"    docker.io/a/b:1: signed by {key}\n" in text
    assert "docker.io/a/b:2: nobody has to sign it: nobody" in text
    assert "\x1b" not in text
    assert cli.main(["inspect", "--json", *bundle]) == 0
    policy = json.loads(said.readouterr().out)["policy"]
    assert (policy["policy"], [each["key"] for each in policy["images"]]) == (str(held.policy), [key, ""])


def test_inspect_lists_what_a_site_may_set(tmp_path: Path, said: pytest.CaptureFixture[str]) -> None:
    valued = ingredients(tmp_path / "valued", files={"values.schema.json": (SHOP_VALUES.encode(), 0o644)})
    bundle = ["--bundle", str(valued.seal(tmp_path / "valued.run"))]
    assert cli.main(["inspect", "--values", *bundle]) == 0
    out = said.readouterr().out
    assert "  replicas (integer, default 2): how many\n" in out
    assert "  db.password (string, required, secret): of the database\n" in out
    assert cli.main(["inspect", "--json", *bundle]) == 0
    assert [each["path"] for each in json.loads(said.readouterr().out)["values"]][:2] == ["replicas", "zones"]
