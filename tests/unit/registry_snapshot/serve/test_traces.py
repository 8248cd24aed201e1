"""What real clients sent, asked again: of a recorder over the same images, and of the site registry over its recording.

The traces are written by ``python -m tests.clients.record``; tests/cluster/test_clients.py holds them against the clients.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.credentials import DockerCredentials
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.record.recorder import Recorder
from registry_snapshot.record.upstreams import Upstreams
from registry_snapshot.serve.app import RegistryApp
from registry_snapshot.serve.messages import Headers, Response
from registry_snapshot.store.disk import DiskBlobStore
from registry_snapshot.store.image_set import ImageSet
from tests.clients.images import AMD64, layout_entries, publish
from tests.clients.matrix import NAMES, client_named
from tests.clients.trace import Exchange, Trace, read_all
from tests.testbed.cache import Cache
from tests.testbed.parts import Parts
from tests.unit.registry_snapshot.upstream_fake import FakeUpstream

TRACES = read_all()
BY_CLIENT = {name: tuple(trace for trace in TRACES if trace.client == name) for name in NAMES}


@dataclass(frozen=True)
class Replayed:
    """What both skins answered to every exchange of one client's traces, in order."""

    recorded: frozenset[str]
    answers: dict[str, list[tuple[Exchange, Response, bytes]]]
    """By skin: ``recorder``, ``site``."""


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeUpstream]:
    with FakeUpstream(tmp_path_factory.mktemp("upstream")) as upstream:
        for reference, root in layout_entries(publish(upstream.blobs)):
            upstream.tag(str(reference), root)
        yield upstream


@pytest.fixture(scope="module")
def replayed(upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Replayed]:
    # One store for all, so that each blob travels once: this is about requests and answers.
    blobs = DiskBlobStore(tmp_path_factory.mktemp("blobs"))
    return {name: replay(traces, upstream, blobs, tmp_path_factory.mktemp(name)) for name, traces in BY_CLIENT.items()}


def replay(traces: tuple[Trace, ...], upstream: FakeUpstream, blobs: DiskBlobStore, directory: Path) -> Replayed:
    """Ask a recorder, then a site that serves what the recorder then holds, without the upstream."""
    registries = sorted({reference.repository.registry for reference, _ in upstream.published})
    mirrors = Mirrors(tuple((registry, upstream.base_for(registry)) for registry in registries))
    upstreams = Upstreams(mirrors, DockerCredentials(), sleep=lambda _seconds: None, proxies={})
    with Recorder(directory, blobs, mirrors, DockerCredentials(), (AMD64,), upstreams=upstreams) as recorder:
        answers = {"recorder": ask(RegistryApp(recorder), traces)}
        images = [(image.reference, image.descriptor) for image in recorder.finish().images]
    answers["site"] = ask(RegistryApp(ImageSet(blobs, images)), traces)
    return Replayed(frozenset(str(reference) for reference, _ in images), answers)


def ask(app: RegistryApp, traces: tuple[Trace, ...]) -> list[tuple[Exchange, Response, bytes]]:
    asked = []
    for trace in traces:
        for exchange in trace.exchanges:
            answer = app.handle(exchange.request())
            asked.append((exchange, answer, answer.read()))
    return asked


def test_every_client_has_a_trace_of_every_scenario_that_it_can_express() -> None:
    parts = Parts(Cache.default())
    expressed = {f"{name}-{scenario}" for name in NAMES for scenario in client_named(name, parts).manners.scenarios}
    assert {trace.name for trace in TRACES} == expressed


@pytest.mark.parametrize("skin", ["recorder", "site"])
@pytest.mark.parametrize("name", NAMES)
def test_it_is_answered_as_it_was(replayed: dict[str, Replayed], name: str, skin: str) -> None:
    for exchange, answer, _ in replayed[name].answers[skin]:
        assert answer.status == exchange.status, exchange
        for header in {key for key, _ in exchange.answered}:
            assert Headers(answer.headers).all(header) == Headers(exchange.answered).all(header), exchange


@pytest.mark.parametrize("skin", ["recorder", "site"])
@pytest.mark.parametrize("name", NAMES)
def test_its_bodies_are_what_their_digests_say(replayed: dict[str, Replayed], name: str, skin: str) -> None:
    bodies = 0
    for exchange, answer, body in replayed[name].answers[skin]:
        if exchange.method == "HEAD":
            assert body == b""
        elif exchange.status == 200 and (digest := answer.header("Docker-Content-Digest")):
            assert Digest.of(body) == Digest.parse(digest), exchange
            bodies += 1
    assert bodies > 0


@pytest.mark.parametrize("name", NAMES)
def test_its_recording_holds_what_the_real_one_held(replayed: dict[str, Replayed], name: str) -> None:
    held = {reference for trace in BY_CLIENT[name] for reference in trace.recorded}
    assert replayed[name].recorded == held
    assert all(str(Reference.parse(reference)) == reference for reference in held)
