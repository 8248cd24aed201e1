"""``airseal init`` writes a Kubefile that names what lies there, and overwrites nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.cli import run
from bundler.image import read_source
from bundler.scaffold.look import Chart, Content, look


def put(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_yaml", ".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MANIFEST = "apiVersion: v1\nkind: Service\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    put(
        tmp_path, manifests__a_yaml=MANIFEST, manifests__crds__b_yaml=f"# x\n{MANIFEST}", notes_yaml="kind: none\n",
        base__kustomization_yaml="resources: [a.yaml]\n", base__a_yaml=MANIFEST,
        overlays__prod__kustomization_yaml="resources:\n- ../../base\n", overlays__prod__patch_yaml=MANIFEST,
        charts__web__Chart_yaml="name: Web App\ndependencies:\n- name: redis\n- name: pg\n", charts__web__templates__a_yaml=MANIFEST,
    )  # fmt: skip
    put(tmp_path / "charts/web/charts", pg__Chart_yaml="name: pg\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_lies_there(site: Path) -> None:
    assert look(site, site) == Content((Chart("charts/web", "web-app", ("redis",)),), ("overlays/prod",), ("manifests", "manifests/crds"), ("base", "base/a.yaml"))


def test_everything_is_copied_to_where_it_lies_and_started_by_its_tool(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "."]) == 0
    text = (site / "Kubefile").read_text()
    words = [line for line in text.splitlines() if line.startswith(("FROM", "COPY", "CMD"))]
    assert words == [
        "FROM kubernetes:v1.36.3",
        "COPY manifests /cluster/manifests/",
        "COPY manifests/crds /cluster/manifests/crds/",
        "COPY base /cluster/base/",
        "COPY overlays /cluster/overlays/",
        "COPY charts/web /cluster/charts/web/",
        "CMD kubectl apply -f manifests",
        "CMD kubectl apply -f manifests/crds",
        "CMD kubectl apply -k overlays/prod",
        "CMD helm upgrade --install web-app charts/web",
    ]
    assert "run helm dependency build charts/web first" in capsys.readouterr().out
    assert len(read_source(site).stages.commands(())) == 4


def test_nothing_is_overwritten(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (site / "Kubefile").write_text("mine\n")
    assert run(["init", "charts/web"]) == 2
    assert (site / "Kubefile").read_text() == "mine\n"
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["charts/web", "manifests", "overlays/prod"])
def test_a_part_alone(site: Path, name: str) -> None:
    assert run(["init", name]) == 0
    assert name in (site / "Kubefile").read_text()
    assert read_source(site)


def test_a_chart_that_is_the_directory_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, Chart_yaml="name: web\n")
    monkeypatch.chdir(tmp_path)
    assert run(["init", "."]) == 0
    text = (tmp_path / "Kubefile").read_text()
    assert "COPY . /cluster/charts/web/\n" in text
    assert "CMD helm upgrade --install web charts/web\n" in text


def test_what_holds_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "deep").mkdir()
    assert run(["init", str(tmp_path / "deep")]) == 2
    assert run(["init", str(tmp_path / "none")]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not list(tmp_path.rglob("Kubefile"))
