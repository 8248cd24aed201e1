"""Which registries a person has named, and how they are asked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from bundler.cluster_images.names import full_name
from bundler.errors import UsageError
from installer_stub.bundle.names import INTERNAL_REGISTRY
from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.credentials import DockerCredentials
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.record.upstreams import Upstreams


@dataclass(frozen=True, slots=True)
class Ways:
    """How registries are asked: through which mirrors, trusting whom, with whose logins."""

    mirrors: Mirrors
    logins: DockerCredentials

    def upstreams(self, registry: str) -> Upstreams:
        """Return connections to ``registry``, which a person has named. Raises RegistryError for a bad CA file or proxy."""
        return Upstreams(named_by_person(self.mirrors, registry), self.logins)


def named_by_person(mirrors: Mirrors, registry: str) -> Mirrors:
    """Return ``mirrors`` with ``registry`` among what may be asked wherever it is: whoever types a name means it, also in a private network."""
    host = urlsplit(f"//{registry}").hostname or registry
    return replace(mirrors, private=(*mirrors.private, f"[{host}]" if ":" in host else host))


def remote_name(text: str) -> Reference:
    """Return the name of an image in a registry. Raises UsageError for one that is of this machine alone, ReferenceInvalid, DigestInvalid."""
    reference = full_name(text)
    if reference.repository.registry == INTERNAL_REGISTRY:
        raise UsageError(f"{text[:300]} names no registry", f"write for example registry.example.com/{text[:300]}")
    return reference
