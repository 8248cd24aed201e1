"""Member: how a host says that it is, completely, part of the cluster of one certificate authority."""

from __future__ import annotations

from typing import Final

from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection
from installer_stub.plan import STATE

MARKER: Final = f"{STATE}/member"
AUTHORITY: Final = f"{STATE}/authority"  # of the first master: the CA outlives every kubeadm reset there

# The CA that the marker names and kubelet's have to be one and the same. What stands in /etc/airseal is the registry's.
_CHECK: Final = """\
[ -s "$1" ] && [ -s "$2" ] || exit 1
[ "$(cat "$1")" = "$(sha256sum < "$2")" ]
"""


def is_member(connection: Connection) -> bool:
    """Tell whether the host finished starting or joining, for the CA it now has."""
    return connection.run(Command.shell(_CHECK, MARKER, KUBEADM.authority), check=False).ok


def become_member_script() -> str:
    """Return shell text that writes the marker: last in whatever makes a host a member."""
    return (
        f"sync\nsha256sum < {KUBEADM.authority} > {MARKER}.new\nsync {MARKER}.new\nmv -f {MARKER}.new {MARKER}\nsync {STATE}\n"
    )


def leave_script() -> str:
    """Return shell text that takes the marker away: first in whatever ends a membership."""
    return f"rm -f {MARKER}\n"
