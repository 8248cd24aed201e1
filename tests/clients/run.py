"""One client's whole story: it pulls everything through the recording proxy; the upstream ends; from an empty store it
pulls everything again from the site registry. A sniffer watches its network from the first packet to the last."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.journal import Pull
from registry_snapshot.record.recording import RecordingDirectory
from registry_snapshot.store.disk import DiskBlobStore
from tests.clients.client import Client, Place, PullFailedError, Session
from tests.clients.images import PLATFORMS, child_of, parts, publish
from tests.clients.scenarios import AGAIN, SCENARIOS, SECOND_NAME, Ask, Scenario
from tests.clients.skins import proxy, site
from tests.clients.tap import Tap
from tests.clients.trace import Exchange, Trace
from tests.clients.upstream import fill, mirrors
from tests.clients.world import World
from tests.conformance.distribution import DistributionRegistry
from tests.testbed.sniffer import Report, Sniffer

PORT = 5000


@dataclass(frozen=True)
class Offer:
    """What the upstream has: every name, in a store of our own, and in a directory that distribution serves."""

    blobs: DiskBlobStore
    images: Mapping[str, Descriptor]
    registry: Path
    directory: Path
    platform: Platform

    @classmethod
    def make(cls, directory: Path, registry: Path, crane: Path, platform: Platform) -> Offer:
        """Fill a registry with every image, and end it."""
        blobs = DiskBlobStore(directory / "images")
        images = publish(blobs)
        with DistributionRegistry(registry, directory / "registry") as upstream:
            fill(upstream, crane, blobs, images)
        return cls(blobs, images, registry, directory / "registry", platform)

    def digest(self, published: str, reports: str) -> Digest:
        """Return the digest that a client reports of an image: its root's, or its child's for our platform."""
        root = self.images[published]
        return root.digest if reports == "root" else child_of(self.blobs, root, self.platform)


@dataclass(frozen=True)
class Outcome:
    """How one scenario went: the digests the client then had, or what it said; and what it sent between ``began`` and ``ended``."""

    digests: tuple[Digest, ...]
    words: str
    exchanges: tuple[Exchange, ...]
    journal: tuple[Pull, ...]
    began: float
    ended: float


@dataclass(frozen=True)
class Run:
    """The whole story of one client."""

    client: Client
    client_address: str
    proxied: Mapping[str, Outcome]
    offline: Mapping[str, Outcome]
    recorded: RecordingDirectory
    sniffed: Report
    looked_up: frozenset[str]
    """The names it asked a nameserver for."""

    def traces(self) -> tuple[Trace, ...]:
        """Return what it sent to the proxy, by scenario."""
        return tuple(
            Trace(self.client.name, name, tuple(sorted({str(pull.reference) for pull in one.journal})), one.exchanges)
            for name, one in self.proxied.items()
        )


def whole_run(client: Client, world: World, offer: Offer, directory: Path) -> Run:
    """Let ``client`` pull all it can express, twice. A scenario that fails is an Outcome, not an error."""
    address, looked_up = (world.gateway, PORT), len(world.looked_up)
    shutil.copytree(offer.directory, directory / "upstream")
    upstream = DistributionRegistry(offer.registry, directory / "upstream")
    with Sniffer(world.interface, world.subnet) as sniffer:
        with upstream, proxy(address, directory / "recording", mirrors(upstream, offer.images), offer.platform) as recorder:
            proxied = pull_all(client, world, offer, directory / "proxied", recorder.new_pulls)
            recorded = recorder.finish()
        # Here both the upstream and the recorder have ended: what the site does not have, nobody has.
        with site(address, recorded.path):
            offline = pull_all(client, world, offer, directory / "offline")
    looked = frozenset(world.looked_up[looked_up:])
    return Run(client, world.client_address, proxied, offline, recorded, sniffer.report(), looked)


def pull_all(
    client: Client, world: World, offer: Offer, directory: Path, new_pulls: Callable[[], tuple[Pull, ...]] = tuple
) -> dict[str, Outcome]:
    """Let ``client`` pull all it can express, beginning with nothing, through a tap from whoever serves at the gateway."""
    directory.mkdir()
    listen, outcomes = (world.client_address, PORT), {}
    place = Place(directory, world, f"{world.client_address}:{PORT}")
    with Tap(world.netns, listen, (world.gateway, PORT)) as tap, client.session(place) as session:
        for scenario in SCENARIOS:
            if scenario.name in client.manners.scenarios:
                began = time.time()
                digests, words = _pull(session, scenario, offer.images)
                if scenario.name in client.manners.refuses:
                    tap.wait_until_quiet()  # or what it left under way would be noted as the next scenario's
                outcomes[scenario.name] = Outcome(digests, words, tap.take(), new_pulls(), began, time.time())
    return outcomes


def _pull(session: Session, scenario: Scenario, offers: Mapping[str, Descriptor]) -> tuple[tuple[Digest, ...], str]:
    digests = []
    for ask in scenario.asks:
        try:
            digests.append(session.pull(ask.reference(offers)))
        except PullFailedError as error:
            return tuple(digests), str(error)
    return tuple(digests), ""


def expected_recording(client: Client, offer: Offer) -> tuple[dict[Reference, Digest], frozenset[Digest]]:
    """Return the names that a recording must hold after all that ``client`` can express, and the blobs."""
    manners = client.manners
    asked = [(one.name, ask) for one in SCENARIOS if one.name in manners.scenarios and not one.absent for ask in one.asks]
    asked += [("", Ask(name)) for name in manners.also]
    names, blobs = {}, set()
    for scenario, ask in asked:
        root, reference = offer.images[ask.published], ask.recorded(offer.images)
        names[reference] = root.digest
        blobs |= parts(offer.blobs, root, offer.platform)
        if manners.all_metadata and scenario not in {SECOND_NAME, AGAIN}:
            for other in set(PLATFORMS) - {offer.platform}:
                child = child_of(offer.blobs, root, other)
                if child != root.digest:
                    names[Reference(reference.repository, None, child)] = child
                    blobs |= parts(offer.blobs, root, other)
    return names, frozenset(blobs)
