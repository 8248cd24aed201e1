"""What the tests on real clusters share: an internet, a build, an installed site.

They run in two processes side by side (``-n 2 --dist loadfile --no-loadscope-reorder``) or one after the other. The tests of a
module stay in one process, and a bed's name belongs to one module. ORDER is that in which modules begin, those that take
longest first, but not two at a time that have three masters each. What is made once for all is made by whichever process
comes first, while the other waits. Each bed has a subnet and a bridge of its own, so that what one lane sniffs is nothing of
the other's.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundler.options import cache_directory
from installer_stub.ui.console import console
from registry_snapshot.serve.login import Credential
from release.stub import make_stub
from tests.demo.__main__ import install_command, operators_environment
from tests.demo.shop import ROOT, shop_command
from tests.testbed.cache import Cache, locked
from tests.testbed.docker_engine import engine
from tests.testbed.hosts import BlankHost, TestBed
from tests.testbed.internet import Internet
from tests.testbed.sniffer import Sniffer

OUTPUT = ROOT / "build" / "cluster-tests"
INSTALL_TIMEOUT = 900

# The second to the fourth do without the artifact: they run while the first one makes it. What is not named here comes last.
ORDER = (
    "test_main_job", "test_clients", "test_coverage", "test_topologies", "test_any_master", "test_reset", "test_interruptions", "test_three_masters",
    "test_never_a_wipe", "test_bad_builds", "test_values", "test_site_record", "test_late_operators", "test_reboot", "test_rehearsal", "test_undo",
    "test_conformance", "test_recorder", "test_bad_sites", "test_bed",
)  # fmt: skip


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ours."""
    parser.addoption("--kept-steps", action="store_true", help="take what builds recorded and rehearsed before this run, of the same inputs: for work on one module")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the modules in order."""
    places = {module: place for place, module in enumerate(ORDER)}
    items.sort(key=lambda item: (places.get(item.path.stem, len(places)), str(item.path)))


@dataclass(frozen=True)
class Site:
    """An installed site of one master and one node, and what was seen while it was installed."""

    bed: TestBed
    run: Path
    kubeconfig: Path
    output: str
    sniffer: Sniffer

    def install(self) -> subprocess.CompletedProcess[str]:
        """Run the same command again."""
        return install(self.run, self.bed, self.kubeconfig)

    def kubectl(self, *words: str) -> str:
        """Run kubectl on the first master."""
        quoted = " ".join(f"'{word}'" for word in words)
        return self.bed.masters[0].run(f"kubectl --kubeconfig=/etc/kubernetes/admin.conf {quoted}").stdout


def registry_login(host: BlankHost) -> Credential:
    """Return the site registry's login as ``host`` has it: for a test that is a client of a real site's registry."""
    return Credential.parse(host.run("cat /etc/airseal/registry.credential").stdout)


def install(run: Path, bed: TestBed, kubeconfig: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run the installer as its operator does, in a directory of the bed's own, and keep what it says."""
    directory = OUTPUT / bed.name
    directory.mkdir(exist_ok=True)
    return subprocess.run(
        install_command(run, bed, kubeconfig, *more),
        capture_output=True,
        text=True,
        timeout=INSTALL_TIMEOUT,
        check=False,
        env=operators_environment(),
        cwd=directory,
    )


@pytest.fixture(scope="session")
def cache(testrun_uid: str, request: pytest.FixtureRequest) -> Cache:
    """The test bed's cache, with a Docker Engine that answers, the internet up, and what a machine makes once.

    On a fresh machine that is half an hour (Kubernetes, a portable Python); the time limits of the tests are for what follows.
    What was recorded and rehearsed before is put out of it: a run that takes a result of an earlier one has shown nothing.
    """
    OUTPUT.mkdir(parents=True, exist_ok=True)
    cache, begun = Cache.default(), OUTPUT / ".run.begun"
    with locked(OUTPUT / ".cache.lock"):
        if not request.config.getoption("--kept-steps", default=False) and not (begun.exists() and begun.read_text() == testrun_uid):
            shutil.rmtree(cache_directory(None) / "steps", ignore_errors=True)
            begun.write_text(testrun_uid)
        engine(cache)
        Internet(cache).up()
        make_stub(cache_directory(None), console())
    return cache


@pytest.fixture(scope="session")
def shop_run(cache: Cache, testrun_uid: str) -> Path:
    """The example, recorded on a temporary cluster and sealed by the command a release engineer types: once for all processes."""
    target, log, made = OUTPUT / "shop.run", OUTPUT / "build.log", OUTPUT / ".shop.run.made"
    with locked(OUTPUT / ".shop.run.lock"):
        if not (made.exists() and made.read_text().split()[0] == testrun_uid):
            built = subprocess.run(
                shop_command(cache, target), capture_output=True, text=True, timeout=1500, check=False, cwd=ROOT
            )
            log.write_text(built.stdout + built.stderr)
            made.write_text(f"{testrun_uid} {built.returncode}")
    assert made.read_text().split()[1] == "0", f"the build failed, see {log}\n{log.read_text()[-4000:]}"
    return target


@pytest.fixture(scope="module")
def only_builder(shop_run: Path) -> Iterator[None]:
    """Let one module at a time build: containers of builds are counted. The artifact's own build is over by then."""
    del shop_run
    with locked(OUTPUT / ".builds.lock"):
        yield


@pytest.fixture(scope="module")
def site(cache: Cache, shop_run: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    """Blank hosts without a route out, installed from the file alone: each module that asks has its own, and only while it runs.

    Their nameserver is of the site and does not answer: docker's own would ask the outside for foreign names, from the
    hosts' addresses, and so blur the proof that nothing leaves.
    """
    name = f"ci-{request.module.__name__.rpartition('test_')[2].replace('_', '-')}"
    kubeconfig = OUTPUT / f"kubeconfig-{name}"
    kubeconfig.unlink(missing_ok=True)
    with TestBed(masters=1, nodes=1, name=name, dns="site", cache=cache) as bed, Sniffer(bed.bridge, bed.subnet) as sniffer:
        done = install(shop_run, bed, kubeconfig)
        (OUTPUT / f"install-{name}.log").write_text(done.stdout + done.stderr)
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        yield Site(bed, shop_run, kubeconfig, done.stdout + done.stderr, sniffer)
