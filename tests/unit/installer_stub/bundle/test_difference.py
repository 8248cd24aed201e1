"""What came, went and changed between two files, and how much of it has to be carried."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bundler.cli import run
from bundler.pack.stub_runtime import StubRuntime
from installer_stub.bundle.difference import Difference, compare
from installer_stub.bundle.model import ClusterCommand
from installer_stub.bundle.reader import Bundle
from tests.unit.installer_stub.bundle.sealed import FILES, IMAGES, Ingredients, ingredients
from tests.unit.installer_stub.bundle.test_damage import signing
from tests.unit.installer_stub.bundle.test_format import format_1

KEY = signing().fingerprints[0]


@pytest.fixture(scope="module")
def old(made: Ingredients, run_file: Path) -> Iterator[Bundle]:
    del made
    with Bundle.open(run_file) as bundle:
        yield bundle


def other(root: Path, **changes: object) -> Ingredients:
    """Return what the module's artifact is made of, with other images or files."""
    return ingredients(root, **changes)  # type: ignore[arg-type]


def test_a_file_is_like_itself(old: Bundle) -> None:
    found = compare(old, old)
    assert (found.same_content, found.differences, found.new) == (True, (), 0)
    assert found.shared == sum(old.document.blobs.values())


def test_images_and_files_that_came_went_and_changed(old: Bundle, tmp_path: Path) -> None:
    images = {**IMAGES, "docker.io/library/busybox:1.36": 50_001, "quay.io/new/one:2": 7}
    del images["localhost:5000/a/b:v1"]
    files = {**FILES, "bin/kubectl": (b"#!kubectl 2\n", 0o755), "manifests/more.yaml": (b"kind: Job\n", 0o644), "cni/bridge": (FILES["cni/bridge"][0], 0o644)}
    del files["etc/empty"]
    with Bundle.open(other(tmp_path, images=images, files=files).seal(tmp_path / "new.run")) as new:
        found = compare(old, new)
        kinds = {(each.kind, each.name): (each.before is not None, each.after is not None) for each in found.differences}
        assert kinds == {
            ("image", "docker.io/library/busybox:1.36"): (True, True),
            ("image", "localhost:5000/a/b:v1"): (True, False),
            ("image", "quay.io/new/one:2"): (False, True),
            ("file", "bin/kubectl"): (True, True),
            ("file", "cni/bridge"): (True, True),
            ("file", "etc/empty"): (True, False),
            ("file", "manifests/more.yaml"): (False, True),
        }
        assert not found.same_content
        fresh = set(new.blobs.digests()) - set(old.blobs.digests())
        assert found.new == sum(new.blobs.size(digest) for digest in fresh) > 50_000
        assert found.new + found.shared == sum(new.document.blobs.values())


def test_what_the_bundle_says_of_itself(old: Bundle, tmp_path: Path) -> None:
    made = other(tmp_path)
    made.info = replace(
        made.info, version="1.5.0", commands=(*made.info.commands[:1], ClusterCommand(("helm", "list"), timeout=60)), environment={"A": "2", "C": "3"}, labels={}
    )
    with Bundle.open(made.seal(tmp_path / "new.run")) as new:
        assert [each for each in compare(old, new).differences if each.kind != "image"] == [
            Difference("bundle", "version", "1.4.0", "1.5.0"),
            Difference("command", "2", "helm list (at most 600 s)", "helm list (at most 60 s)"),
            Difference("environment", "B", "2", None),
            Difference("environment", "A", "1", "2"),
            Difference("environment", "C", None, "3"),
            Difference("label", "vendor", "Müller & Söhne", None),
        ]


def test_an_installer_and_a_signature_are_no_content(old: Bundle, tmp_path: Path) -> None:
    made = other(tmp_path)
    made.runtime.package.write_bytes(made.runtime.package.read_bytes() + b"mended")
    made.runtime = StubRuntime.of(made.runtime.bootloader, made.runtime.package, glibc="2.28")
    with Bundle.open(made.sealed(tmp_path / "new.run", sign=signing()).path) as new:
        found = compare(old, new)
        assert found.same_content
        assert [(each.kind, each.name) for each in found.differences] == [("installer", "program"), ("installer", "needs"), ("publisher", KEY)]
        assert (found.differences[1].before, found.differences[1].after) == ("x86_64, glibc 2.17 or newer, Linux 3.10 or newer", "x86_64, glibc 2.28 or newer")


def test_a_file_of_format_1_can_be_compared(old: Bundle, tmp_path: Path) -> None:
    with Bundle.open(format_1(tmp_path)) as before:
        assert {each.kind for each in compare(before, old).differences} <= {"installer"}


def test_the_verb_for_people_machines_and_scripts(run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = other(tmp_path, images={**IMAGES, "quay.io/new/one:2": 7}).sealed(tmp_path / "new.run", sign=signing()).path
    assert run(["diff", str(run_file), str(new)]) == 0
    out = capsys.readouterr().out
    assert "another content; of its blobs" in out
    assert "  + image       quay.io/new/one:2\n      sha256:" in out
    assert f"  + publisher   {KEY}\n" in out
    assert run(["diff", str(run_file), str(new), "--json", "--exit-code"]) == 1
    value = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in value["differences"] if each["kind"] == "image"] == ["quay.io/new/one:2"]
    assert run(["diff", str(run_file), str(run_file), "--exit-code"]) == 0
    assert run(["diff", str(run_file), str(tmp_path / "none.run")]) == 3
