"""containerd and kubelet: their files, their units, and containerd running."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from installer_stub.changes.things import Kind, Thing
from installer_stub.distro import api_servers, containerd, site_files, units
from installer_stub.distro.base import HostFile
from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.distro.paths import PROGRAM
from installer_stub.errors import HostError
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection, read_all
from installer_stub.phases.base import Context, HostPhase
from installer_stub.phases.create_credential import authorization
from installer_stub.phases.journal import Journal
from installer_stub.plan.model import HostPlan, Plan

# hosts.toml is read at every pull; these are read at the start.
_NEEDS_RESTART: Final = frozenset({containerd.CONFIG, containerd.SITE_DROPIN, units.CONTAINERD_UNIT, site_files.CONTAINERD_ENV})
_RUNTIME, _KUBELET = KUBEADM.services
_UNIT_FILES: Final = (units.CONTAINERD_UNIT, units.KUBELET_UNIT)
_OURS: Final = b"# Made by airseal"
_DROPINS: Final = 'for d in "$@"; do for f in "$d"/*.conf; do if [ -e "$f" ] || [ -L "$f" ]; then echo "$f"; fi; done; done'
_PAUSE: Final = 'systemctl stop "$1" 2>/dev/null || true'
_AGAIN: Final = '[ ! -e "$1" ] || systemctl start "$2"'  # only a member's has something to do
_ENABLE: Final = """\
systemctl daemon-reload
systemctl enable --quiet "$@"
"""
_START: Final = """\
systemctl start "$1" || { systemctl status --no-pager --lines=20 "$1" >&2; exit 1; }
n=0; while [ ! -S "$2" ]; do n=$((n+1)); [ $n -le 150 ] || { echo "$2 did not appear" >&2; exit 1; }; sleep 0.2; done
"""


class ConfigureRuntime(HostPhase):
    """One list of files decides: the same comparison tells whether there is work and does it."""

    title: ClassVar[str] = "Configure the container runtime"
    seconds: ClassVar[float] = 3.0

    def things(self, plan: Plan, host: HostPlan) -> tuple[Thing, ...]:
        """Containerd's and kubelet's files and units, and what an earlier life added to the units."""
        written = KUBEADM.host_files(plan, host, pause="")
        return (
            *(Thing(Kind.FILE, file.path) for file in written),
            *(Thing(Kind.UNIT, unit) for unit in KUBEADM.services),
            *(Thing(Kind.FILE, f"{path}.d/*") for path in _UNIT_FILES),
            Thing(Kind.FILE, containerd.SITE_DROPIN),
        )

    def is_done(self, context: Context, host: HostPlan, connection: Connection) -> bool:
        """Compare every file, and look whether the units are enabled and containerd runs."""
        return _is_ready(context, host, connection)

    def do(self, context: Context, host: HostPlan, connection: Connection) -> None:
        """Write them, and start it."""
        _configure(context, host, connection)


def _files(context: Context, host: HostPlan, connection: Connection) -> tuple[HostFile, ...]:
    result = connection.run(KUBEADM.pause_image(context.plan), check=False)
    pause = result.stdout.strip()
    if not result.ok or not pause:
        raise HostError(host.address, f"kubeadm does not name its pause image: {result.stderr.strip()[-300:]}")
    return KUBEADM.host_files(context.plan, host, pause=pause, authorization=authorization(context, connection))


def _is_ready(context: Context, host: HostPlan, connection: Connection) -> bool:
    if not connection.run(Command.of("test", "-x", PROGRAM), check=False).ok:
        return False
    files = _files(context, host, connection)
    if _differing(connection, files) or _passed(files, connection):
        return False
    enabled = connection.run(Command.of("systemctl", "is-enabled", *KUBEADM.services), check=False).ok
    return enabled and connection.run(Command.of("systemctl", "is-active", _RUNTIME), check=False).ok


def _differing(connection: Connection, files: tuple[HostFile, ...]) -> set[str]:
    there = read_all(connection, (file.path for file in files))
    return {file.path for file in files if there[file.path] != file.text.encode()}


def _passed(files: Iterable[HostFile], connection: Connection) -> tuple[str, ...]:
    """Return the files of an earlier Clusterfile that the present one does not want any more."""
    unwanted = [path for path in site_files.PASSING if path not in {file.path for file in files}]
    there = read_all(connection, unwanted)
    return tuple(path for path in unwanted if there[path] is not None)


def _set_aside_dropins(connection: Connection, journal: Journal) -> None:
    """Take away what would change our units, left by an earlier life of the host; a reset puts it back.

    Only while a unit is not ours yet: what is added later somebody means.
    """
    earlier = [path for path in _UNIT_FILES if not (connection.read(path) or b"").startswith(_OURS)]
    if not earlier:
        return
    found = connection.run(Command.shell(_DROPINS, *(f"{path}.d" for path in earlier))).stdout.splitlines()
    if found:
        journal.remember(*((Kind.FILE, path) for path in found))
        connection.run(Command.of("rm", "-f", "--", *found, changes="set aside what changes containerd's and kubelet's units"))


def _configure(context: Context, host: HostPlan, connection: Connection) -> None:
    files = _files(context, host, connection)
    journal = Journal(connection)
    _set_aside_dropins(connection, journal)
    journal.remember(*((Kind.FILE, file.path) for file in files), *((Kind.UNIT, unit) for unit in KUBEADM.services))
    passed = _passed(files, connection)
    changed = _differing(connection, files) | set(passed)
    if changed & _NEEDS_RESTART:
        # Stopped first: if we are killed between writing and starting, the next run sees that something is to be done.
        # Containers go on without it (KillMode=process).
        connection.run(Command.shell(_PAUSE, _RUNTIME, changes="stop containerd, to start it with new files"))
    if site_files.KUBELET_ENV in changed:
        connection.run(Command.shell(_PAUSE, _KUBELET, changes="stop kubelet, to start it with another environment"))
    journal.write_all(files)
    if passed:
        journal.remember(*((Kind.FILE, path) for path in passed))
        connection.run(Command.of("rm", "-f", "--", *passed, changes="remove what the Clusterfile does not want any more"))
        journal.done(*((Kind.FILE, path) for path in passed))
    connection.run(Command.shell(_ENABLE, *KUBEADM.services, changes="enable containerd and kubelet"))
    connection.run(Command.shell(_START, _RUNTIME, containerd.SOCKET, changes="start containerd"))
    if site_files.KUBELET_ENV in changed:
        # Killed before this, Balance finds a member's kubelet stopped and starts it.
        connection.run(Command.shell(_AGAIN, api_servers.KUBELET, _KUBELET, changes="start kubelet"))
