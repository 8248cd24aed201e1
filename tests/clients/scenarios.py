"""What is asked of every client: one scenario for each way to name an image and each kind of content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference, Repository
from tests.unit.registry_snapshot.images import absent_digest

TAG_AND_DIGEST = "by-tag-and-digest"
ARTIFACT = "artifact"
WITH_PORT = "registry-with-port"
AGAIN = "again"
SECOND_NAME = "second-name"
ZERO_BYTES = "zero-byte-layer"


@dataclass(frozen=True)
class Ask:
    """One name to pull, as it is published; ``by`` what of it the client is told."""

    published: str
    by: str = "tag"  # tag, digest, or both
    digest: Digest | None = None
    """A digest that is not the published one's."""

    def reference(self, offers: Mapping[str, Descriptor]) -> Reference:
        """Return the reference that the client is given."""
        named = Reference.parse(self.published)
        digest = self.digest or offers[self.published].digest if self.by != "tag" else None
        return Reference(named.repository, None if self.by == "digest" else named.tag, digest)

    def recorded(self, offers: Mapping[str, Descriptor]) -> Reference:
        """Return the reference that is recorded: of ``tag@digest`` no client ever sends the tag."""
        reference = self.reference(offers)
        return Reference(reference.repository, None if reference.digest else reference.tag, reference.digest)


@dataclass(frozen=True)
class Scenario:
    """``asks`` in order. ``absent``: the upstream has none of it."""

    name: str
    asks: tuple[Ask, ...]
    absent: bool = False


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("by-tag", (Ask("registry.k8s.io/tools/probe:v1"),)),
    # The very bytes of the one before, under another name at another registry.
    Scenario(SECOND_NAME, (Ask("quay.io/tools/again:v2"),)),
    # What kubelet does for every start of a container with imagePullPolicy Always.
    Scenario(AGAIN, (Ask("registry.k8s.io/tools/probe:v1"),)),
    Scenario(TAG_AND_DIGEST, (Ask("quay.io/team/pinned:v1", "both"),)),
    Scenario("by-digest", (Ask("quay.io/team/digested:v1", "digest"),)),
    Scenario("single-manifest", (Ask("quay.io/team/single:v1"),)),
    Scenario("docker-index", (Ask("docker.io/library/listed:v1"),)),
    Scenario("docker-manifest", (Ask("docker.io/team/plain:v1"),)),
    Scenario("docker-by-digest", (Ask("docker.io/team/fixed:v1", "digest"),)),
    Scenario("same-path", (Ask("quay.io/team/app:v1"), Ask("ghcr.io/team/app:v1"))),
    Scenario(WITH_PORT, (Ask("quay.io:5443/team/app:v1"),)),
    Scenario(ZERO_BYTES, (Ask("quay.io/team/hollow:v1"),)),
    Scenario(ARTIFACT, (Ask("quay.io/charts/shop:1.0.0"),)),
    Scenario("absent-tag", (Ask("quay.io/team/nowhere:v1"),), absent=True),
    Scenario("absent-digest", (Ask("quay.io/team/single:v1", "digest", absent_digest()),), absent=True),
)
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def by_path_prefix(registry: str, reference: Reference) -> str:
    """Return how a client that knows no mirrors names an image: below our registry's address, its own registry first."""
    moved = Repository(registry, str(reference.repository))
    return str(Reference(moved, reference.tag, reference.digest))
