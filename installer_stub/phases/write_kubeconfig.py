"""The operator's kubeconfig, beside the operator."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import ClassVar

from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.errors import ClusterError, InstallerError
from installer_stub.kube.kubeconfig import AdminAccess
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.cluster_access import speaker
from installer_stub.plan.model import API_PORT, HostPlan, Plan, in_url


def keep(target: Path, content: bytes) -> Path | None:
    """Move a ``target`` of other content out of the way. Return where it is now."""
    if not target.exists() or target.read_bytes() == content:
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
        return not (target.is_file() and target.read_bytes() == _content(context) and target.stat().st_mode & 0o777 == 0o600)

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


def _content(context: Context) -> bytes:
    """Return the operator's file: the administrator's three values, and addresses of ours: the operator has no entry in /etc/hosts.

    Current is the site's endpoint, or the first ready master; every master has a context of its own beside it.
    """
    plan, master = context.plan, speaker(context)
    admin = master.connection.read(KUBEADM.kubeconfig)
    if admin is None:
        raise ClusterError(f"there is no {KUBEADM.kubeconfig} on {master.host.address}")
    where = f"{KUBEADM.kubeconfig} on {master.host.address}"
    access = AdminAccess.parse(admin, where)
    # Every master's, not only this one's: that host may be the one that lies.
    known = context.each(context.reachable(plan.masters), lambda _host, connection: connection.read(KUBEADM.authority))
    for authority in [each for each in known.values() if each is not None] or [b""]:
        access.check_authority(authority, where)
    endpoint = plan.access.endpoint
    server = endpoint.url if endpoint is not None else _url(master.host.address)
    masters = plan.site_masters  # one that is off now is there again when this one is not
    others = {member.name: _url(member.address) for member in masters} if len(masters) > 1 else {}
    return access.render(server, plan.bundle.name, others)


def _url(address: str) -> str:
    return f"https://{in_url(address)}:{API_PORT}"
