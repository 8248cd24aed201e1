"""Real clients of registries: each pulls through the recording proxy, and then, from an empty store and with the network
cut, from the site registry. What it needs to run is in tests/clients; a table of it all is left in build/clients.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.recording import RecordingDirectory
from tests.airseal_process import airseal
from tests.clients.client import Client, Place
from tests.clients.containerd import SKIP_METADATA, Ctr
from tests.clients.matrix import NAMES, PARTS, PINNED, client_named
from tests.clients.run import PORT, Outcome, Run, expected_recording, pull_all
from tests.clients.runs import Runs
from tests.clients.scenarios import AGAIN, ARTIFACT, BY_NAME, SCENARIOS, SECOND_NAME, WITH_PORT
from tests.clients.skins import proxy, site
from tests.clients.table import table
from tests.clients.trace import DIRECTORY, Trace
from tests.clients.upstream import mirrors
from tests.clients.world import clean_environment
from tests.clients.world import run as run_command
from tests.conformance.distribution import DistributionRegistry
from tests.demo.shop import ROOT
from tests.testbed.cache import Cache
from tests.testbed.docker_engine import engine, require_packages
from tests.testbed.parts import Parts

pytestmark = pytest.mark.cluster

OUTPUT = ROOT / "build" / "clients"
CLIENTS = {name: client_named(name, Parts(Cache.default())) for name in NAMES}
PAIRS = [(name, one.name) for name in NAMES for one in SCENARIOS if one.name in CLIENTS[name].manners.scenarios]
HEADS_ONLY = [name for name in NAMES if CLIENTS[name].manners.heads_only]
SENDS_NS = [name for name in NAMES if WITH_PORT in CLIENTS[name].manners.scenarios]

_PACKED = "quay.io/charts/packed:2.0.0"

# What clients say of a 404, each in its own words.
NOT_FOUND = re.compile(r"not found|manifest unknown|name unknown|MANIFEST_UNKNOWN|NAME_UNKNOWN")


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    cache = Cache.default()
    require_packages(cache)
    engine(cache)
    Parts(cache).build_all(only=PARTS)
    # Not pytest's directory: podman takes no path of more than 50 characters for what it mounts.
    with tempfile.TemporaryDirectory(prefix="airseal-") as directory, Runs(cache, Path(directory)) as runs:
        yield runs
        OUTPUT.mkdir(parents=True, exist_ok=True)
        (OUTPUT / "table.md").write_text(table(runs.finished(), runs.offer))


@pytest.mark.parametrize(("name", "scenario"), PAIRS)
def test_it_pulls_through_the_proxy(runs: Runs, name: str, scenario: str) -> None:
    check(runs, runs.of(name), scenario, runs.of(name).proxied[scenario])


@pytest.mark.parametrize(("name", "scenario"), PAIRS)
def test_it_pulls_from_the_site_with_the_network_cut(runs: Runs, name: str, scenario: str) -> None:
    check(runs, runs.of(name), scenario, runs.of(name).offline[scenario])


def check(runs: Runs, run: Run, scenario: str, outcome: Outcome) -> None:
    """The client has the very digest that was published; or it says, in its own words, that there is no such thing."""
    manners = run.client.manners
    if BY_NAME[scenario].absent:
        assert outcome.digests == ()
        assert NOT_FOUND.search(outcome.words), outcome.words
        assert {one.status for one in outcome.exchanges if one.path != "/v2/"} == {404}
    elif scenario in manners.refuses:
        assert "content size of zero" in outcome.words
        assert {one.status for one in outcome.exchanges} == {200}
    else:
        assert outcome.words == ""
        assert outcome.digests == tuple(runs.offer.digest(ask.published, manners.reports) for ask in BY_NAME[scenario].asks)
        assert {one.status for one in outcome.exchanges} == {200}
    assert not any(one.has_login for one in outcome.exchanges)


@pytest.mark.parametrize("name", NAMES)
def test_the_recording_holds_exactly_what_was_asked_for(runs: Runs, name: str) -> None:
    run = runs.of(name)
    names, blobs = expected_recording(run.client, runs.offer)
    assert {image.reference: image.descriptor.digest for image in run.recorded.images} == names
    assert not [image.problem for image in run.recorded.images if image.problem]
    stored = run.recorded.blobs
    assert set(stored.digests()) == blobs
    assert all(Digest.of(stored.read(digest)) == digest for digest in blobs)
    assert airseal("snapshot", run.recorded.path, "--verify").code == 0


@pytest.mark.parametrize("name", NAMES)
def test_the_journal_says_who_asked_when_for_what_and_how(runs: Runs, name: str) -> None:
    run = runs.of(name)
    for scenario, outcome in run.proxied.items():
        if BY_NAME[scenario].absent:
            assert outcome.journal == ()
            continue
        assert {pull.client for pull in outcome.journal} == {run.client_address}
        assert all(outcome.began <= pull.time <= outcome.ended for pull in outcome.journal)
        sent = {(one.method, one.path.rpartition("/")[2]) for one in outcome.exchanges if "/manifests/" in one.path}
        asked = {(pull.method, str(pull.reference.tag or pull.reference.digest)) for pull in outcome.journal}
        assert asked <= sent
        for ask in BY_NAME[scenario].asks:
            wanted = ask.recorded(runs.offer.images)
            assert runs.offer.images[ask.published].digest in {pull.digest for pull in outcome.journal if pull.reference == wanted}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_sent_to_elsewhere(runs: Runs, name: str) -> None:
    run = runs.of(name)
    assert run.sniffed.is_clean, run.sniffed
    # dockerd wants to know whether docker.io's address is one of its insecure ranges, and then sends nothing there.
    allowed = {"registry-1.docker.io", "docker.io", "index.docker.io"} if name == "docker" else set()
    assert run.looked_up <= allowed


@pytest.mark.parametrize("name", NAMES)
def test_the_site_is_asked_the_same_as_the_proxy_and_answers_the_same(runs: Runs, name: str) -> None:
    run = runs.of(name)
    # What it refuses it stops at some moment in the middle of several requests.
    for scenario in set(run.proxied) - run.client.manners.refuses:
        assert answers(run.proxied[scenario]) == answers(run.offline[scenario]), scenario


def answers(outcome: Outcome) -> Counter[tuple[str, str, int, tuple[tuple[str, str], ...]]]:
    return Counter((one.method, one.target, one.status, one.answered) for one in outcome.exchanges)


@pytest.mark.parametrize("scenario", [SECOND_NAME, AGAIN])
@pytest.mark.parametrize("name", HEADS_ONLY)
def test_of_content_that_it_has_a_client_sends_one_head(runs: Runs, name: str, scenario: str) -> None:
    run = runs.of(name)
    for outcome in (run.proxied[scenario], run.offline[scenario]):
        assert [one.method for one in outcome.exchanges if one.path != "/v2/"] == ["HEAD"]
    (pull,) = run.proxied[scenario].journal
    assert pull.method == "HEAD"


@pytest.mark.parametrize("name", SENDS_NS)
def test_a_port_in_a_registrys_name_comes_encoded(runs: Runs, name: str) -> None:
    assert {one.target.partition("?")[2] for one in runs.of(name).proxied[WITH_PORT].exchanges} == {"ns=quay.io%3A5443"}


@pytest.mark.parametrize("name", PINNED)
def test_the_traces_that_unit_tests_replay_are_what_this_client_sends(runs: Runs, name: str) -> None:
    run = runs.of(name)
    for trace in run.traces():
        if trace.scenario in run.client.manners.refuses:
            continue  # it stops at some moment in the middle of several requests
        kept = Trace.read(DIRECTORY / f"{trace.name}.json")
        assert sent(kept) == sent(trace), f"{trace.name}: python -m tests.clients.record {name}"


def sent(trace: Trace) -> Counter[tuple[str, str, int, tuple[tuple[str, str], ...]]]:
    return Counter((one.method, one.target, one.status, one.headers) for one in trace.exchanges)


def pulled_by(client: Client, recording: RecordingDirectory, runs: Runs, directory: str) -> dict[str, Outcome]:
    world = runs.world(client.name)
    with site((world.gateway, PORT), recording.path):
        return pull_all(client, world, runs.offer, runs.directory(directory) / "s")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in {"containerd-cri", "helm", "kubelet"}])
def test_every_client_pulls_what_containerd_recorded(runs: Runs, name: str) -> None:
    client = CLIENTS[name]
    if client.manners.all_metadata:
        client = Ctr(name, client.programs, (SKIP_METADATA,))  # type: ignore[attr-defined]
    outcomes = pulled_by(client, runs.of("containerd-cri").recorded, runs, f"x-{name}")
    for scenario, outcome in outcomes.items():
        if scenario != ARTIFACT and scenario not in client.manners.refuses and not BY_NAME[scenario].absent:
            asks = BY_NAME[scenario].asks
            assert outcome.words == "", scenario
            assert outcome.digests == tuple(runs.offer.digest(ask.published, client.manners.reports) for ask in asks)


def test_ctr_2_wants_what_a_sparse_index_leaves_out_unless_told_otherwise(runs: Runs) -> None:
    outcomes = pulled_by(CLIENTS["containerd-ctr"], runs.of("containerd-cri").recorded, runs, "x-sparse")
    assert "not found" in outcomes["by-tag"].words
    assert outcomes["single-manifest"].words == ""


def test_a_chart_that_helm_packed_and_pushed_comes_back_byte_for_byte(runs: Runs) -> None:
    directory, offer, world = runs.directory("chart"), runs.offer, runs.world("helm")
    packed = pack_chart(directory, runs.parts.out("helm") / "helm")
    address, upstream = (world.gateway, PORT), DistributionRegistry(offer.registry, directory / "upstream")
    with upstream, proxy(address, directory / "recording", mirrors(upstream, [_PACKED]), offer.platform) as recorder:
        target = f"oci://{upstream.address[0]}:{upstream.address[1]}/quay.io/charts"
        helm(directory, runs.parts.out("helm") / "helm", "push", packed, target, "--plain-http")
        assert pulled_chart(runs, directory / "proxied") == packed.read_bytes()
        recorded = recorder.finish()
    with site(address, recorded.path):
        assert pulled_chart(runs, directory / "offline") == packed.read_bytes()


def pack_chart(directory: Path, program: Path) -> Path:
    chart = directory / "packed"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: packed\nversion: 2.0.0\n")
    (chart / "templates" / "settings.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n")
    helm(directory, program, "package", chart, "--destination", directory)
    return directory / "packed-2.0.0.tgz"


def helm(directory: Path, program: Path, *words: str | Path) -> None:
    done = run_command([str(word) for word in (program, *words)], clean_environment(directory / "home"))
    assert done.returncode == 0, done.stderr


def pulled_chart(runs: Runs, directory: Path) -> bytes:
    directory.mkdir()
    world = runs.world("helm")
    with CLIENTS["helm"].session(Place(directory, world, f"{world.gateway}:{PORT}")) as session:
        session.pull(Reference.parse(_PACKED))
    (file,) = directory.glob("pulled-*/packed-2.0.0.tgz")
    return file.read_bytes()
