"""The operator's kubeconfig, beside the operator."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.errors import ClusterError, InstallerError
from installer_stub.kube.kubeconfig import AdminAccess, replaces
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.cluster_access import speaker
from installer_stub.plan.model import API_PORT, Access, HostPlan, Member, Plan, in_url

MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an operator's file says beside the administrator's values: the cluster's name in it, and where its API is."""

    cluster: str
    access: Access
    masters: tuple[Member, ...]  # of the site, in its order


def keep(target: Path, content: bytes) -> Path | None:
    """Move a ``target`` that says something else out of the way. Return where it is now; None: nothing of it would be lost."""
    if not target.exists() or (old := target.read_bytes()) == content or replaces(content, old):
        return None
    number = 0
    while (aside := target.with_name(f"{target.name}.bak{f'.{number}' if number else ''}")).exists():
        number += 1
    target.rename(aside)
    return aside


def write(target: Path, content: bytes) -> None:
    """Write a secret file whole or not at all, readable by its owner alone."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


class WriteKubeconfig(Phase):
    """A reset leaves the file: it is the operator's."""

    title: ClassVar[str] = "Write the kubeconfig"

    def hosts(self, plan: Plan) -> tuple[HostPlan, ...]:
        """It is read from a master."""
        return plan.masters[:1]

    def is_needed(self, context: Context) -> bool:
        """Compare content and mode."""
        target = Path(context.kubeconfig)
        return not (target.is_file() and target.read_bytes() == _content(context) and target.stat().st_mode & 0o777 == MODE)

    def run(self, context: Context) -> None:
        """Write it; another one that was there is kept. Ask a master that is ready now."""
        target, content = Path(context.kubeconfig), _content(context)
        try:
            aside = keep(target, content)
            write(target, content)
        except OSError as error:
            raise InstallerError(f"{target} cannot be written: {error.strerror}", "give another path with --kubeconfig") from error
        if aside is not None:
            context.notes.append(f"the {target.name} that was there is now {aside}")


def render(admin: tuple[str, bytes | None], authorities: Iterable[bytes | None], plan: Wanted) -> bytes:
    """Return the operator's file: the administrator's three values, and addresses of ours: the operator has no entry in /etc/hosts.

    ``admin`` is the administrator's file on a master, and that master's address; ``authorities`` are the cluster's CA as every
    master has it: not only as this one has it, which may be the one that lies. Current is the site's endpoint, or this
    master; every master has a context of its own beside it, by the address that the operator reaches it at. Raises ClusterError.
    """
    address, raw = admin
    if raw is None:
        raise ClusterError(f"there is no {KUBEADM.kubeconfig} on {address}")
    where = f"{KUBEADM.kubeconfig} on {address}"
    access = AdminAccess.parse(raw, where)
    for authority in [each for each in authorities if each is not None] or [b""]:
        access.check_authority(authority, where)
    server = plan.access.endpoint.url if plan.access.endpoint is not None else _url(address)
    others = {member.name: _url(member.reach or member.address) for member in plan.masters} if len(plan.masters) > 1 else {}
    return access.render(server, plan.cluster, others)


def _content(context: Context) -> bytes:
    plan, master = context.plan, speaker(context)
    known = context.each(context.reachable(plan.masters), lambda _host, connection: connection.read(KUBEADM.authority))
    # One that is off now is there again when this one is not.
    wanted = Wanted(plan.bundle.name, plan.access, plan.site_masters)
    return render((master.host.address, master.connection.read(KUBEADM.kubeconfig)), known.values(), wanted)


def _url(address: str) -> str:
    return f"https://{in_url(address)}:{API_PORT}"
