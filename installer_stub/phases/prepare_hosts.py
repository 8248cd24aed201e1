"""Kernel settings and modules, directories, and the API's name: what every host needs before Kubernetes."""

from __future__ import annotations

from typing import ClassVar, Final

from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.errors import HostError
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection
from installer_stub.host.model import Role
from installer_stub.phases import hosts_entry, kernel
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.journal import Journal, Kind
from installer_stub.phases.member import is_member
from installer_stub.phases.service_route import add_route, has_route
from installer_stub.plan import HostPlan, Plan

SYSCTL_CONF: Final = "/etc/sysctl.d/90-airseal.conf"
MODULES_CONF: Final = "/etc/modules-load.d/airseal.conf"
_MODULES_TEXT: Final = "# Made by airseal.\n" + "".join(f"{module.name}\n" for module in kernel.MODULES)

_LOAD: Final = """\
while [ $# -gt 0 ]; do
  name=$1 evidence=$2; shift 2
  [ -d "/sys/module/$name" ] || modprobe "$name" 2>/dev/null || /sbin/modprobe "$name" 2>/dev/null || true
  case $evidence in
  /proc/filesystems) while read -r line; do case $line in *"$name") continue 2 ;; esac; done < "$evidence" ;;
  *) [ ! -e "$evidence" ] || continue ;;
  esac
  echo "$name"
done
"""
_READ: Final = 'for n in "$@"; do p=/proc/sys/$n; [ ! -r "$p" ] || echo "$n $(cat "$p")"; done'
_SET: Final = """\
while [ $# -gt 0 ]; do
  { printf '%s\\n' "$2" > "/proc/sys/$1"; } 2>/dev/null || true
  [ "$(cat "/proc/sys/$1")" = "$2" ] || echo "$1"
  shift 2
done
"""


class PrepareHosts(Phase):
    """Everything goes through the journal; a setting that a host does not allow is noted, unless nothing works without."""

    title: ClassVar[str] = "Prepare the hosts"

    def is_needed(self, context: Context) -> bool:
        """Compare settings, files and the API's name."""
        ready = context.each(context.plan.hosts, lambda host, connection: _is_ready(context.plan, host, connection))
        return not all(ready.values())

    def run(self, context: Context) -> None:
        """Prepare all hosts at once."""
        notes = context.each(context.plan.hosts, lambda host, connection: _prepare(context.plan, host, connection))
        context.notes += [f"{address}: {note}" for address, found in notes.items() for note in found]

    def undo(self, context: Context) -> None:
        """Restore the journal: this undo runs after that of every phase that wrote to it."""

        def restore(host: HostPlan, connection: Connection) -> None:
            hosts_entry.point(connection, None)
            left = Journal(connection).restore()
            if left:
                raise HostError(host.address, f"could not be put back: {', '.join(left)}", "see /var/lib/airseal/backup there")

        context.each(context.reachable(), restore)


def api_target(plan: Plan, host: HostPlan, connection: Connection) -> str:
    """Return where this host finds the API: a master that is complete at itself, everybody else at the first master."""
    first = plan.masters[0].address
    own = host.role is Role.MASTER and host.address != first and is_member(connection)
    return host.address if own else first


def _current(connection: Connection) -> dict[str, int]:
    read = connection.run(Command.shell(_READ, *(setting.path for setting in kernel.SYSCTLS)))
    by_path = kernel.parse(read.stdout)
    return {setting.name: by_path[setting.path] for setting in kernel.SYSCTLS if setting.path in by_path}


def _is_ready(plan: Plan, host: HostPlan, connection: Connection) -> bool:
    text = (connection.read(SYSCTL_CONF) or b"").decode(errors="replace")
    return (
        connection.read(MODULES_CONF) == _MODULES_TEXT.encode()
        and kernel.satisfied(_current(connection), text)
        and hosts_entry.points_to(connection, api_target(plan, host, connection))
        and has_route(plan, host, connection)
    )


def _prepare(plan: Plan, host: HostPlan, connection: Connection) -> list[str]:
    notes: list[str] = []
    journal = Journal(connection)
    journal.remember(
        *((Kind.DIRECTORY, path) for path in KUBEADM.data_directories),
        *((Kind.MODULE, module.name) for module in kernel.MODULES),
    )
    journal.write(MODULES_CONF, _MODULES_TEXT)
    pairs = [text for module in kernel.MODULES for text in (module.name, module.evidence)]
    missing = connection.run(Command.shell(_LOAD, *pairs, changes="load kernel modules")).stdout.split()
    notes += [f"the kernel has no {name}, and it cannot be loaded" for name in missing]

    current = _current(connection)
    values = kernel.wanted(current)
    paths = {setting.name: setting.path for setting in kernel.SYSCTLS}
    journal.remember(*((Kind.SYSCTL, name) for name in values))
    change = [text for name, value in values.items() if current[name] != value for text in (paths[name], str(value))]
    refused = connection.run(Command.shell(_SET, *change, changes="set kernel parameters")).stdout.split() if change else []
    failed = frozenset(name for name in values if paths[name] in refused)
    for setting in kernel.SYSCTLS:
        if setting.required and (setting.name in failed or setting.name not in current):
            raise HostError(
                host.address,
                f"{setting.name} cannot be set to {setting.value}, and pods reach nothing without it",
                "let the host's administrator set it",
            )
    notes += [f"{name} cannot be set to {values[name]}; it stays {current[name]}" for name in sorted(failed)]
    journal.write(SYSCTL_CONF, kernel.conf(values, failed))
    hosts_entry.point(connection, api_target(plan, host, connection))
    add_route(plan, host, connection, journal)
    return notes
