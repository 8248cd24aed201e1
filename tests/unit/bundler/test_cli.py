"""Every way a command line can end has an exit code, a problem and what to do; never a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bundler.cli import VERBS, run
from bundler.errors import BuildError
from bundler.verbs import build as verbs_build
from installer_stub.errors import NotSettled
from registry_snapshot.errors import RegistryError

HEAVY = {"paramiko", "docker", "requests", "urllib3", "tqdm", "yaml", "zstandard", "cryptography"}


def build(tmp_path: Path, *more: str) -> list[str]:
    return ["build", "-t", "shop:1", "-o", str(tmp_path / "shop.run"), *more, str(tmp_path)]


@pytest.mark.parametrize("word", ["--help", "-h", "help", "--version", "-V"])
def test_help_and_version(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([word]) == 0
    assert "airseal" in capsys.readouterr().out


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_every_verb_has_help_with_examples(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        run([verb, "--help"])
    printed = capsys.readouterr().out
    assert f"examples:\n  airseal {verb}" in printed
    assert "{prog}" not in printed


@pytest.mark.parametrize("arguments", [["--help"], ["build", "--help"], ["record", "--help"], ["snapshot", "--help"]])
def test_help_pays_for_no_heavy_import(arguments: list[str]) -> None:
    probe = (
        "import sys\nfrom bundler.cli import run\n"
        f"try:\n    run({arguments!r})\nexcept SystemExit as end:\n    assert end.code == 0, end.code\n"
        f"print('HEAVY', sorted({HEAVY!r} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert done.stdout.rstrip().endswith("HEAVY []"), done.stdout[-300:] + done.stderr


@pytest.mark.parametrize("name", ["push", "pull"])
def test_an_image_that_travels_alone_pays_for_nothing_of_hosts_and_recordings(name: str) -> None:
    """crane has started in 10 ms; what we import is most of a push that has nothing to send."""
    unwanted = {*HEAVY - {"urllib3"}, "subprocess", "ctypes", "installer_stub.phases.base", "installer_stub.bundle.model", "bundler.travel.artifacts"}
    probe = f"import sys, bundler.verbs.{name}, bundler.travel.{name}, installer_stub.ui.console\nprint(sorted({unwanted!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_bases_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["base", "list"]) == 0
    assert "kubernetes:v1.36.3" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["build"],
        ["biuld"],
        ["build", "-t", "shop:1", "."],
        ["build", "-t", "Shop", "-o", "x", "."],
        ["base", "pin", "alpine:3"],
        ["build", "-t", "shop:1", "-o", "x", "--settle-timeout", "long", "."],
    ],
)
def test_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "what to do: " in error


def test_no_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Kubefile").write_text("FROM kubernetes:v1.36.3\n")
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert run(build(tmp_path)) == 4
    assert "no docker engine answers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (BuildError("odd", "do this"), 1, "error: odd\nwhat to do: do this\n"),
        (RegistryError("quay.io says no"), 1, "error: quay.io says no\n"),
        (NotSettled("pod x"), 6, "error: pod x\n"),
        (KeyboardInterrupt(), 130, "error: stopped\n"),
        (OSError(28, "No space left on device", "/cache/x"), 9, "error: no space left: /cache/x\n"),
        (ValueError("a bug"), 70, "nobody foresaw: ValueError: a bug"),
    ],
)
def test_how_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, error: BaseException, code: int, words: str
) -> None:
    def fail(_arguments: object) -> int:
        raise error

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(verbs_build, "run", fail)
    assert run(build(tmp_path)) == code
    captured = capsys.readouterr().err
    assert words in captured
    assert "Traceback" not in captured


def test_errors_are_events_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert run(build(tmp_path, "--json")) == 4
    event = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (event["event"], event["code"]) == ("error", 4)
    assert event["remedy"]
