"""A Kubefile as people write them, and values: declared by the bundle, set by a site, kept, changed, seen by CMDs and charts."""

from __future__ import annotations

import filecmp
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import OUTPUT
from tests.cluster.operators import Operator
from tests.cluster.valued import write
from tests.demo.shop import ADMIN, ROOT
from tests.testbed.blank_host import BlankHost
from tests.testbed.build_command import build_command
from tests.testbed.cache import Cache
from tests.testbed.hosts import TestBed

pytestmark = pytest.mark.cluster

RUN = OUTPUT / "valued.run"
PASSWORD = "hunter22 of the site"


@pytest.fixture(scope="module")
def command(cache: Cache, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The build's words. ``debian:bookworm-slim`` is in docker: the build's hosts are made from it."""
    where = tmp_path_factory.mktemp("valued")
    context = write(where / "context", "debian:bookworm-slim")
    (where / "build-values.yaml").write_text("db: {password: of the build alone}\n")
    (where / "licence").write_text("a licence that no layer keeps\n")
    given = ("--secret", f"id=licence,src={where / 'licence'}", "--values", str(where / "build-values.yaml"))
    return build_command(cache, "valued:1.0.0", RUN, context, "--skip-rehearsal", "--quiet-period", "20", *given)


def build(command: list[str], target: Path, *more: str) -> str:
    """Build, and return what the build said."""
    done = subprocess.run([*command, "-o", str(target), *more], capture_output=True, text=True, timeout=1500, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def built(command: list[str]) -> str:
    """What the build said."""
    return build(command, RUN)


@pytest.fixture(scope="module")
def operator(built: str, cache: Cache) -> Iterator[Operator]:
    del built
    with TestBed(masters=1, nodes=1, name="values", cache=cache) as bed:
        yield Operator(RUN, bed)


@pytest.fixture(scope="module")
def password(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("secret") / "password"
    file.write_text(f"{PASSWORD}\n")
    return file


def hosts(operator: Operator) -> tuple[str, ...]:
    return "--master", operator.bed.masters[0].address, "--node", operator.bed.nodes[0].address


def report(host: BlankHost) -> dict[str, str]:
    return dict(json.loads(host.run(f"kubectl {ADMIN} -n valued get configmap report -o json").stdout)["data"])


def test_the_build_says_what_its_commands_say_and_seals_nothing_that_it_was_given(built: str) -> None:
    assert "command 3 | " in built
    assert "reported for valued" in built
    log = RUN.with_name("valued.run.log").read_text()
    assert "reported for valued" in log
    for secret in ("of the build alone", "a licence that no layer keeps"):
        assert secret not in built + log
        assert secret.encode() not in RUN.read_bytes()
    said = subprocess.run([RUN, "inspect", "--values"], capture_output=True, text=True, check=True).stdout
    assert "  db.password (string, required, secret): password of the database" in said


def test_recorded_by_another_cluster_the_file_has_the_same_bytes(built: str, command: list[str], tmp_path: Path) -> None:
    del built
    said = build(command, tmp_path / "other.run", "--update", "all")
    assert "recorded before" not in said
    assert "starting the temporary cluster" in said
    assert filecmp.cmp(RUN, tmp_path / "other.run", shallow=False)


def test_everything_that_is_wrong_is_said_at_once_and_nothing_is_changed(operator: Operator) -> None:
    said = operator.types("install", *hosts(operator), "--set", "replicas=9", "--set", "motto=LOUD", "--set", "db.pasword=x", expect=2)
    for problem in ("--set: replicas: 5 or less", "--set: motto: does not match", "--set: db.pasword: there is no such value"):
        assert problem in said
    assert "db.password: has to be set" in operator.types("install", *hosts(operator), expect=2)
    assert operator.bed.masters[0].run("ls /var/lib/airseal 2>/dev/null || true").stdout == ""


def test_values_reach_commands_and_charts_and_the_secret_nothing_else(operator: Operator, password: Path) -> None:
    m1 = operator.bed.masters[0]
    said = operator.types("install", *hosts(operator), "--set", "motto=calm seas", "--set-file", f"db.password={password}")
    found = report(m1)
    assert (found["motto"], found["hosts"], found["pods"], found["made"]) == ("calm seas", "1+1", "10.244.0.0/16", "made in a stage")
    assert found["api"] == f"https://{m1.address}:6443"
    assert found["secret"] == str(len(PASSWORD))
    in_cluster = m1.run(f"kubectl {ADMIN} -n valued get secret db -o jsonpath={{.data.password}} | base64 -d").stdout
    assert in_cluster == PASSWORD
    assert PASSWORD not in said
    assert m1.run("stat -c '%a %U' /var/lib/airseal/values /var/lib/airseal/values/secrets/db.password").stdout.split() == ["700", "root", "600", "root"]
    holding = m1.run(f"grep -rlF '{PASSWORD}' /var/lib/airseal /etc/airseal /run/airseal /opt/airseal /var/log 2>/dev/null || true").stdout.split()
    assert sorted(holding) == [f"/var/lib/airseal/values/{name}" for name in ("given.json", "secrets/db.password", "values.yaml")]
    assert PASSWORD not in m1.run(f"kubectl {ADMIN} -n kube-system get configmap airseal-site -o yaml").stdout


def test_fewer_words_keep_them_and_nothing_runs_again(operator: Operator) -> None:
    said = operator.types("install", "--master", operator.bed.masters[0].address)
    assert "Run the application's commands: nothing to do" in said
    assert report(operator.bed.masters[0])["motto"] == "calm seas"


def test_another_value_is_shown_and_runs_the_commands_again(operator: Operator) -> None:
    m1 = operator.bed.masters[0]
    said = operator.types("install", "--master", m1.address, "--set", "replicas=2")
    assert "replicas" in said
    assert "would be 2" in said
    assert m1.run(f"kubectl {ADMIN} -n valued get deploy web -o jsonpath={{.status.readyReplicas}}").stdout == "2"
    assert report(m1)["motto"] == "calm seas"
    refused = operator.types("install", "--master", m1.address, "--set", "zone=south", expect=7)
    assert "zone" in refused
    assert "nothing was changed" in refused
