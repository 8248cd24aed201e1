"""What every host needs before Kubernetes, and must stay: written down on the host, made so there by its own unit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import ClassVar, Final

from installer_stub.changes.things import Kind, Thing
from installer_stub.distro import units
from installer_stub.distro.base import HostFile
from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.distro.paths import KERNEL_MODULES
from installer_stub.errors import HostError
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection, read_all, write
from installer_stub.host.model import Role
from installer_stub.keep import document as documents
from installer_stub.keep import kernel, script
from installer_stub.keep.document import CertificatePolicy, HostDocument
from installer_stub.keep.hosts_file import HOSTS
from installer_stub.keep.report import Report
from installer_stub.phases.base import Context, HostPhase
from installer_stub.phases.journal import Journal
from installer_stub.phases.member import is_member
from installer_stub.plan.model import HostPlan, Plan

_UNITS: Final = (units.HOST_UNIT, units.KEEP_TIMER)
_TEXTS: Final = dict(zip(units.HOST_FILES, (units.HOST, units.KEEP, units.TIMER), strict=True))
_THINGS: Final = (
    Thing(Kind.PARENT, KERNEL_MODULES),
    *(Thing(Kind.DIRECTORY, path) for path in KUBEADM.data_directories),
    *(Thing(Kind.MODULE, module.name) for module in kernel.MODULES),
    *(Thing(Kind.SYSCTL, name) for name in kernel.names()),
    Thing(Kind.BLOCK, HOSTS),
    # Last, so that a reset stops them first: they would put back what it takes away.
    *(Thing(Kind.FILE, path) for path in _TEXTS),
    *(Thing(Kind.UNIT, unit) for unit in (units.HOST_UNIT, units.KEEP_UNIT, units.KEEP_TIMER)),
)
_TIMEOUT: Final = 120.0
_START: Final = """\
systemctl daemon-reload; systemctl enable --quiet "$@"; systemctl start "$@"
"""
# What airseal before host.json had in its place: a unit for the route, and files that others' files overrule.
_OLD_UNIT: Final = "airseal-service-route.service"
_OLD_FILES: Final = (f"/etc/systemd/system/{_OLD_UNIT}", "/etc/sysctl.d/90-airseal.conf", "/etc/modules-load.d/airseal.conf")
_RETIRE: Final = """\
unit=$1; shift
if [ -e "$1" ]; then systemctl disable --now "$unit" 2>/dev/null || true; fi
rm -f -- "$@"
"""


class PrepareHosts(HostPhase):
    """Everything goes through the journal; a setting that a host does not allow is noted, unless nothing works without."""

    title: ClassVar[str] = "Prepare the hosts"
    seconds: ClassVar[float] = 2.0

    def things(self, plan: Plan, host: HostPlan) -> tuple[Thing, ...]:
        """What the kernel has to be like, the units that keep it so, and where Kubernetes' data will be."""
        del host
        return (*own_directories(plan), *_THINGS)

    def is_done(self, context: Context, host: HostPlan, connection: Connection) -> bool:
        """Compare document and units, and let the host look whether its kernel is what the document says."""
        return _is_ready(context.plan, host, connection)

    def do(self, context: Context, host: HostPlan, connection: Connection) -> None:
        """Write down what it must stay, and make it so."""
        context.notes += [f"{host.address}: {note}" for note in _prepare(context.plan, host, connection)]


def api_target(plan: Plan, host: HostPlan, connection: Connection) -> str:
    """Return where this host finds the API: a master that is complete at itself, everybody else at the first master.

    That of the site for a member, whichever masters a run names; for a host that is to join one that this run works on.
    """
    first = plan.masters[0].internal
    if not is_member(connection):
        return first
    return host.internal if host.role is Role.MASTER else plan.site_masters[0].address


def host_document(plan: Plan, host: HostPlan, api: str) -> HostDocument:
    """Return what ``host`` must stay."""
    master = host.role is Role.MASTER
    return HostDocument(
        name=host.name,
        address=host.internal,
        services=plan.service_cidr,
        api=api,
        modules=kernel.MODULES,
        sysctls=kernel.SYSCTLS,
        certificates=CertificatePolicy(
            validity=plan.certificate_validity,
            kubernetes=plan.bundle.kubernetes,
            master=master,
            position=[each.name for each in plan.site_masters].index(host.name) if master else 0,
            masters=len(plan.site_masters),
        ),
    )


def _is_ready(plan: Plan, host: HostPlan, connection: Connection) -> bool:
    wanted = host_document(plan, host, api_target(plan, host, connection))
    there = read_all(connection, (documents.PATH, script.PATH, *_TEXTS, *_OLD_FILES))
    data = there[documents.PATH]
    if data is None:
        return False
    try:
        found = documents.decode(data)
    except documents.DocumentError:
        return False
    if replace(found, cannot=()) != wanted or there[script.PATH] != script.script(found).encode():
        return False
    if any(there[path] != text.encode() for path, text in _TEXTS.items()):
        return False
    if any(there[path] is not None for path in _OLD_FILES):
        return False
    enabled = connection.run(Command.of("systemctl", "is-enabled", "--quiet", *_UNITS), check=False)
    active = connection.run(Command.of("systemctl", "is-active", "--quiet", *_UNITS), check=False)
    # Units only say that they once ran; what the kernel has now, the host itself looks at.
    return enabled.ok and active.ok and connection.run(Command.of_stub("keep", "--check"), check=False, timeout=_TIMEOUT).ok


def _prepare(plan: Plan, host: HostPlan, connection: Connection) -> list[str]:
    journal = Journal(connection)
    journal.remember(*((thing.kind, thing.name) for thing in (*own_directories(plan), *_THINGS)))
    connection.run(Command.shell(_RETIRE, _OLD_UNIT, *_OLD_FILES, changes="take away what host.json replaces"))
    wanted = host_document(plan, host, api_target(plan, host, connection))
    _write(connection, wanted)
    report = _keep(host, connection)
    if report.cannot:
        _write(connection, replace(wanted, cannot=tuple(report.cannot)))
    journal.done(*((Kind.SYSCTL, name) for name in kernel.names()))
    journal.write_all([HostFile(path, text) for path, text in _TEXTS.items()])
    connection.run(Command.shell(_START, *_UNITS, changes="start what keeps the host as it is"))
    if report.failed:
        failed = "; ".join(map(str, report.failed))
        raise HostError(host.address, f"nothing works without this: {failed}", "let the host's administrator allow it")
    return [f"{name}: this kernel does not have it or does not let it be set; it stays as it is" for name in report.cannot]


def own_directories(plan: Plan) -> Iterator[Thing]:
    """Return the directories that the site wants for data, after those above them: who fills them makes those too."""
    for _, path in plan.settings.directories:
        yield from (Thing(Kind.PARENT, str(above)) for above in reversed(PurePosixPath(path).parents[:-1]))
        yield Thing(Kind.DIRECTORY, path)


def _write(connection: Connection, document: HostDocument) -> None:
    write(connection, documents.PATH, document.encode())
    write(connection, script.PATH, script.script(document))


def _keep(host: HostPlan, connection: Connection) -> Report:
    command = Command.of_stub("keep", "--no-certificates", changes="make the host what it must stay")
    result = connection.run(command, check=False, timeout=_TIMEOUT)
    try:
        return Report.decode(result.stdout)
    except ValueError:
        said = (result.stderr or result.stdout).strip()[-400:]
        raise HostError(host.address, f"{command} ended with status {result.status}: {said}") from None
