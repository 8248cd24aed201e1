"""Distro: what the phases need of a Kubernetes distribution. kubeadm is the first; k3s and k0s fit behind it.

Everything here is text made from a plan: configuration files and shell scripts. The phases decide when they run, on
which host, and what is true afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from installer_stub.distro.datastore import Datastore
from installer_stub.host.command import Command, Secret
from installer_stub.membership.evidence import Traces
from installer_stub.plan.model import HostPlan, Plan
from installer_stub.plan.settings import AS_USUAL, SiteSettings


@dataclass(frozen=True, slots=True)
class HostFile:
    """A file that a host has because of us. One whose text holds a secret has mode 0600, and printing it shows none."""

    path: str
    text: str = field(repr=False)
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class JoinGrant:
    """What lets a host into the cluster, for minutes. ``certificate_key`` only lets masters in."""

    token: Secret
    authority_hash: str  # "sha256:…" of the CA's public key: the joining host believes no other
    certificate_key: Secret | None = None


class Distro(Protocol):
    """A Kubernetes distribution, as text."""

    @property
    def kubeconfig(self) -> str:
        """Path of the administrator's kubeconfig on a master."""

    @property
    def authority(self) -> str:
        """Path of the cluster CA's certificate on every member. Its identity is its public key: ``authority_hash``."""

    @property
    def services(self) -> tuple[str, ...]:
        """The systemd units of every host, in the order they start."""

    @property
    def data_directories(self) -> tuple[str, ...]:
        """Directories that fill once the cluster runs; a reset empties those that were not there before."""

    @property
    def own_directories(self) -> tuple[tuple[str, bool], ...]:
        """Directories in which nothing of others may lie, and whether even an empty directory in one counts."""

    @property
    def traces(self) -> Traces:
        """Where a membership leaves traces on a host."""

    @property
    def datastore(self) -> Datastore:
        """How the members of the cluster's datastore are asked."""

    @property
    def flush_script(self) -> str:
        """Shell text that puts what a start or a join wrote on the disk; best effort, it never fails."""

    def pause_image(self, plan: Plan) -> Command:
        """Return a command whose output is the sandbox image that this version wants."""

    def host_files(self, plan: Plan, host: HostPlan, *, pause: str, authorization: Secret | None = None) -> tuple[HostFile, ...]:
        """Return every configuration file of runtime and node agent on ``host``.

        ``authorization`` is the header that the registry wants; None where it wants none.
        """

    def first_master_config(self, plan: Plan, host: HostPlan, grant: JoinGrant | None = None) -> str:
        """Return what starts the first master; with a grant, what announces that grant. Secret then."""

    def join_config(self, plan: Plan, host: HostPlan, grant: JoinGrant) -> str:
        """Return what joins ``host``. It holds secrets."""

    def pull_script(self, plan: Plan, host: HostPlan, others: Mapping[str, Sequence[str]]) -> str:
        """Return the script that brings images to ``host`` before it joins: those of its role, and ``others`` (digest → names) as far as they come."""

    def start_script(self, config: str) -> str:
        """Return a script that makes the host it runs on a cluster of one."""

    def grant_script(self, config: str, *, masters: bool) -> str:
        """Return a script for the first master that makes the grant in ``config`` valid. It prints no secret."""

    def authority_hash(self, certificate: bytes) -> str:
        """Return what a joining host pins the CA in the PEM text ``certificate`` by. Raises ValueError for no certificate."""

    def authority_keys(self, certificates: bytes) -> frozenset[str]:
        """Return the hashes of all CAs in the PEM text ``certificates``; none for what is no such text."""

    def join_script(self, config: str) -> str:
        """Return a script that joins the host it runs on."""

    def leave_script(self, settings: SiteSettings = AS_USUAL) -> str:
        """Return a script that takes a cluster, whole or half made, off the host it runs on; its word in the datastore stays.

        Never fails for what is not there.
        """
