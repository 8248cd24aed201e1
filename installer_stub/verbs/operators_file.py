"""The operator's kubeconfig after the installation: when its certificate ends, and a new one in its place.

It is a copy, so nothing on a host can renew it: whoever renews the cluster's certificates from here renews it too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.errors import ClusterError, InstallerError
from installer_stub.facts.certificates import Certificate, read_certificate
from installer_stub.host.connection import Connection
from installer_stub.host.model import Role
from installer_stub.kube.kubeconfig import LIMIT, AdminAccess
from installer_stub.phases.write_kubeconfig import MODE, Wanted, keep, render, write
from installer_stub.site.find import Found
from installer_stub.site.from_record import FromRecord


@dataclass(frozen=True, slots=True)
class OperatorsFile:
    """A kubeconfig beside the operator that leads to this cluster, and its certificate."""

    path: str
    certificate: Certificate


def look(path: Path, connections: Iterable[Connection]) -> OperatorsFile | None:
    """Return the operator's file; None where there is none, or none of the cluster of these hosts. Raises HostError."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(LIMIT)
    except OSError:
        return None
    for connection in connections:
        authority = connection.read(KUBEADM.authority)
        if authority:
            try:
                access = AdminAccess.parse(raw, str(path))
                access.check_authority(authority, str(path))
            except ClusterError:
                return None
            return OperatorsFile(str(path), read_certificate(str(path), access.certificate[0].public_bytes(Encoding.PEM)))
    return None


def renew(target: Path, found: Found, cluster: str) -> str:
    """Put the administrator's present access into ``target``, as an installation would. Return what was done, for people.

    ``cluster`` is the name that an installation gave it there. Another file that was there is kept. Raises ClusterError
    where no master answers, InstallerError where it cannot be written.
    """
    if found.record is None or not found.api:
        raise ClusterError("no API server answers, so nobody can say whose kubeconfig is right", "look on a master: journalctl -u kubelet; then: certs kubeconfig, with --master")
    masters = _masters(found)
    wanted = FromRecord(found.record)
    members = tuple(member for member in wanted.members if member.role is Role.MASTER)
    admin = (found.api, found.connections[found.api].read(KUBEADM.kubeconfig))
    known = [connection.read(KUBEADM.authority) for connection in masters.values()]
    content = render(admin, known, Wanted(cluster, wanted.access, members))
    try:
        if target.is_file() and target.read_bytes() == content and target.stat().st_mode & 0o777 == MODE:
            return f"{target} is as it should be"
        aside = keep(target, content)
        write(target, content)
    except OSError as error:
        raise InstallerError(f"{target} cannot be written: {error.strerror}", "give another path with --kubeconfig") from error
    return f"{target} was written" + (f"; the one that was there is now {aside}" if aside is not None else "")


def _masters(found: Found) -> Mapping[str, Connection]:
    assert found.record is not None  # noqa: S101 - the caller has looked
    return {host.name: connection for host in found.record.site.masters if (connection := found.connected(host)) is not None}
