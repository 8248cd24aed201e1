"""sealer's Kubefiles build where they make sense, and say with their line what they cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.errors import KubefileError
from bundler.kubefile.dockerfile import render
from bundler.kubefile.parse import parse
from bundler.kubefile.sealer import translated
from bundler.kubefile.stages import Stages, stages_of
from registry_snapshot.oci.descriptor import Platform


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "charts/web").mkdir(parents=True)
    (tmp_path / "charts/web/Chart.yaml").write_text("name: web\n")
    (tmp_path / "nginx.yaml").touch()
    (tmp_path / "setup.sh").touch()
    return tmp_path


def staged(text: str, directory: Path) -> Stages:
    return stages_of(translated(parse(text), directory), {}, Platform("linux", "amd64"))


KUBEFILE = """\
FROM kubernetes:v1.36.3
APP web local://charts/web
APP nginx local://nginx.yaml \\
    https://example.com/more.yaml
APP setup local://setup.sh
COPY nginx.yaml manifests/
LAUNCH ["setup", "nginx", "web"]
"""


def test_apps_become_copies_and_their_launch_commands(directory: Path) -> None:
    stages = staged(KUBEFILE, directory)
    assert [(each.argv[-1], each.line) for each in stages.commands(())] == [
        ("sh apps/setup/setup.sh", 7), ("kubectl apply -f apps/nginx/", 7), ("helm upgrade --install web apps/web", 7),
    ]  # fmt: skip
    assert render(stages, {}, heredocs=False).splitlines() == [
        "FROM kubernetes:v1.36.3",
        "COPY charts/web /cluster/apps/web/",
        "ADD nginx.yaml https://example.com/more.yaml /cluster/apps/nginx/",
        "#",
        "COPY setup.sh /cluster/apps/setup/",
        "COPY nginx.yaml manifests/",
        '# LAUNCH ["setup", "nginx", "web"]',
    ]


def test_lists_of_commands(directory: Path) -> None:
    text = 'FROM k\nAPP web local://charts/web\nAPPCMDS web ["helm install web apps/web", "echo done"]\nLAUNCH web\nCMDS ["a b", "c"]\n'
    assert [(each.argv[-1], each.line) for each in staged(text, directory).commands(())] == [("helm install web apps/web", 4), ("echo done", 4), ("a b", 5), ("c", 5)]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("FROM docker.io/sealerio/kubernetes:v1-22-15-sealerio-2\n", 1, "FROM kubernetes:v1.36.3"),
        ("FROM k\nCNI --type calico\n", 2, "bases/"),
        ("FROM k\nCSI --type x\n", 2, "COPY the driver's manifests"),
        ("FROM k\nKUBEVERSION v1.22.15\n", 2, "FROM says the version"),
        ("FROM k\nAPPENV web A=b\n", 2, "write ENV"),
        ("FROM k\nAPP web helm://repo/web\n", 2, "helm pull --untar"),
        ("FROM k\nAPP web\n", 2, "a source are wanted"),
        ("FROM k\nAPP a local://nginx.yaml local://setup.sh\n", 2, "APPCMDS"),
        ("FROM k\nAPP a local://charts/web local://nginx.yaml\n", 2, "a chart is an app of its own"),
        ("FROM k\nLAUNCH web\n", 2, "no APP of this Kubefile"),
        ("FROM k\nCMDS kubectl apply\n", 2, "wants a list"),
    ],
)
def test_what_it_cannot_do(directory: Path, text: str, line: int, words: str) -> None:
    with pytest.raises(KubefileError) as caught:
        staged(text, directory)
    assert caught.value.line == line
    assert words in str(caught.value)


def test_a_kubefile_of_ours_stays_as_it_is(directory: Path) -> None:
    kubefile = parse("FROM k\nCMD a\n")
    assert translated(kubefile, directory) is kubefile
