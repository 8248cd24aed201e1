"""What a bundle says about itself: ``airseal/bundle.json`` and the cluster files' manifest.

Cluster files (binaries, manifests, charts, scripts) travel as an ordinary OCI artifact: one layer a file, its path in
``org.opencontainers.image.title`` as ORAS writes it. So one store, one digest check and one registry serve images and
files alike, and ``oras pull`` reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from installer_stub.bundle.names import INTERNAL_REGISTRY
from installer_stub.bundle.reasons import Reason, is_attached
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference, Repository

# A base's label: the image of the load balancer through which nodes reach the API. What it names is sealed.
BALANCER_LABEL: Final = "internal.airseal.balancer"
CLUSTER_ARTIFACT: Final = "application/vnd.airseal.cluster.v1"
FILE_ZSTD: Final = "application/vnd.airseal.file.v1+zstd"
FILE_PLAIN: Final = "application/vnd.airseal.file.v1"
TITLE: Final = "org.opencontainers.image.title"
MODE: Final = "internal.airseal.mode"  # four octal digits, "0755"
PROGRAM: Final = 0o755  # the two modes that files are sealed with
PLAIN: Final = 0o644
CONTENT_DIGEST: Final = "internal.airseal.content-digest"  # of the file as it stands on a host
COMMAND_SECONDS: Final = 600  # for a CMD that says nothing: twice what helm --wait takes by itself
CONTENT_SIZE: Final = "internal.airseal.content-size"  # bytes, decimal


@dataclass(frozen=True, slots=True)
class ClusterCommand:
    """One CMD of the Kubefile: what runs on the first master once the cluster is up.

    ``argv`` is the exec form; the shell form arrives as ``("/bin/sh", "-ec", text)``. ``line`` is where it stands, 0 for one
    of a base. ``timeout`` is how many seconds it may take.
    """

    argv: tuple[str, ...]
    line: int = 0
    timeout: int = COMMAND_SECONDS

    def text(self) -> str:
        """Return the command as a person wrote it."""
        shell = self.argv[:2] == ("/bin/sh", "-ec") and len(self.argv) == 3
        return self.argv[2] if shell else " ".join(self.argv)


@dataclass(frozen=True, slots=True)
class BundleInfo:
    """The heart of ``airseal/bundle.json``. Sizes in bytes."""

    name: str
    version: str
    kubernetes: str  # "v1.36.3"
    platforms: tuple[str, ...]  # ("linux/amd64",)
    cluster: Descriptor  # manifest of the cluster artifact
    commands: tuple[ClusterCommand, ...]
    environment: Mapping[str, str]  # the Kubefile's ENV, for the commands
    labels: Mapping[str, str]
    images_size: int  # unique image blobs, as stored
    images_unpacked_size: int  # estimate of what they take in a host's image store
    files_size: int  # cluster files, as they stand on a host
    airseal: str  # version of the tool that sealed it

    @property
    def title(self) -> str:
        """Return ``name:version``."""
        return f"{self.name}:{self.version}"

    @property
    def balancer(self) -> str:
        """Return the image of the nodes' load balancer, or an empty text for a bundle that has none."""
        return self.labels.get(BALANCER_LABEL, "")

    @property
    def file_stem(self) -> str:
        """Return ``name-version``, safe as a file name."""
        return f"{self.name}-{self.version}"

    @property
    def cluster_reference(self) -> Reference:
        """Return the name under which the registry serves the cluster artifact."""
        repository = Repository.of(INTERNAL_REGISTRY, f"cluster/{self.name}")
        return Reference(repository, self.version, None)


@dataclass(frozen=True, slots=True)
class ClusterFile:
    """One file below ``/cluster``. ``path`` is relative: ``bin/kubeadm``."""

    path: str
    mode: int  # PROGRAM or PLAIN as we seal; never a bit that lets others than the owner write
    size: int
    digest: Digest  # of the content as it stands on a host
    blob: Descriptor  # as stored; equal to the content, or zstd of it


@dataclass(frozen=True, slots=True)
class LockedImage:
    """One line of ``airseal/images.lock.json``."""

    reference: Reference
    descriptor: Descriptor
    digests: tuple[Digest, ...]  # every digest a runtime may report for it: index, manifests, configs
    reasons: tuple[Reason, ...]  # why it is here, in the order of ``reasons.in_order``
    size: int = 0  # bytes of everything it needs, as stored, what it shares included; 0 where an older lock does not say


@dataclass(frozen=True, slots=True)
class ImageLock:
    """``airseal/images.lock.json``: reference → digest → why."""

    images: tuple[LockedImage, ...]

    @property
    def roots(self) -> tuple[tuple[Reference, Descriptor], ...]:
        """Every image under the name it was asked for."""
        return tuple((image.reference, image.descriptor) for image in self.images)

    @property
    def count(self) -> str:
        """How many there are, in words: what upstreams keep for images is no image."""
        attached = sum(is_attached(image.reasons) for image in self.images)
        return f"{len(self.images) - attached} images" + (f" and {attached} signatures and the like" if attached else "")
