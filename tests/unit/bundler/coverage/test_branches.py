"""Texts of charts: what their values and templates name, whatever is rendered of them. The shell's part is run, as a host runs it."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

from bundler.coverage.branches import TEXTS, images_of_texts

VALUES = """\
image: {registry: quay.io, repository: team/web, tag: 1.2}
metrics:
  enabled: false
  image: quay.io/team/exporter:2   # quay.io/in/comment:1
  sidecar: {image: {repository: quay.io/team/side, tag: ""}}
port: 8080
address: "0.0.0.0:9090"
"""
TEMPLATE = """\
{{- if .Values.backup.enabled }}
# image: quay.io/old/backup:0
      image: "quay.io/team/backup:3"
      image: "{{ .Values.image.registry }}/team/web:{{ .Values.image.tag }}"
{{- end }}
"""
FILES = {"Chart.yaml": "name: web\n", "values.yaml": VALUES, "templates/cron.yaml": TEMPLATE, "templates/NOTES.txt": "image: quay.io/notes/none:1\n", "README.md": "image: quay.io/readme/none:1\n"}
NAMED = {
    "quay.io/team/web:1.2": ("chart charts/web: values.yaml", "Values.image.repository"),
    "quay.io/team/exporter:2": ("chart charts/web: values.yaml", "Values.metrics.image"),
    "quay.io/team/backup:3": ("chart charts/web: templates/cron.yaml", "line 3"),
}


def chart(root: Path, files: dict[str, str] = FILES) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def archive(of: Path, into: Path) -> Path:
    into.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(into, "w:gz") as tar:
        tar.add(of, of.name)
    return into


def texts(path: Path) -> str:
    return subprocess.run(["/bin/sh", "-c", TEXTS, "sh", str(path)], capture_output=True, text=True, check=True, timeout=60).stdout


def named(said: str) -> dict[str, tuple[str, str]]:
    return {each.text: (each.place.object, each.place.path) for each in images_of_texts(said, "chart charts/web")}


def test_values_and_templates_of_a_directory() -> None:
    said = "".join(f"\x1e{name}\x1d{text}" for name, text in FILES.items() if name.endswith("yaml") and name != "Chart.yaml")
    assert named(said) == NAMED


def test_the_host_finds_them_in_directories_archives_and_archives_within(tmp_path: Path) -> None:
    plain = chart(tmp_path / "web")
    assert named(texts(plain)) == NAMED
    part = chart(tmp_path / "part", {"values.yaml": "image: quay.io/team/part:1\n"})
    archive(part, plain / "charts" / "part-1.tgz")
    assert named(texts(plain)) == {**NAMED, "quay.io/team/part:1": ("chart charts/web: part/values.yaml", "Values.image")}
    whole = archive(plain, tmp_path / "web-1.tgz")
    assert named(texts(whole)).keys() == {*NAMED, "quay.io/team/part:1"}


@pytest.mark.parametrize("values", ["image: [", "image: &a [*a]\n", "- 1\n", "", "\x00", "a: " * 1000])
def test_values_that_are_none_name_nothing(values: str) -> None:
    assert named(f"\x1evalues.yaml\x1d{values}") == {}
