"""``certs``: when certificates end, and renewing them with one command, also in a cluster that slept past their end.

Masters renew by themselves at half of a certificate's life (keep/renewal.py). What is left for a person is a node that was
switched off until its kubelet's certificate ended: nobody in the cluster may sign for it without being asked, so the
request travels from the node to a master and the certificate back, over the operator's own connections.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from installer_stub.errors import ClusterError, HostError
from installer_stub.facts.certificates import CERTIFICATES, Certificate
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection
from installer_stub.host.fanout import for_each
from installer_stub.host.model import Host, Role
from installer_stub.keep.report import Report
from installer_stub.kube.kubectl import Kubectl
from installer_stub.options import InstallOptions
from installer_stub.phases.start_agents import leased
from installer_stub.plan.model import STUB
from installer_stub.preflight.certificates import ends_soon
from installer_stub.site.find import find_site, this_change
from installer_stub.ui.summary import table as columns
from installer_stub.verbs import operators_file
from installer_stub.verbs.open_site import open_site
from installer_stub.verbs.operators_file import OperatorsFile
from installer_stub.verbs.session import Session, artifact, close, connect, connect_reachable, result, session

END_SOON: Final = 11  # exit code: something has ended or ends soon, or a host could not be asked
_HERE: Final = Host("here", Role.NODE)  # the operator's machine, in the list of hosts
_LOOK_TIMEOUT: Final = 60.0
_RENEW_TIMEOUT: Final = 300.0
_API_TIMEOUT: Final = 300.0


@dataclass(frozen=True, slots=True)
class HostCertificates:
    """The certificates of one host, and the time by its own clock, which is what its programs judge by."""

    host: Host
    now: float
    certificates: tuple[Certificate, ...]


def show(options: InstallOptions, *, within: float | None) -> int:
    """Print every certificate of every host that answers. ``within``: seconds that count as soon; None: see preflight.

    Return 0, or END_SOON.
    """
    with session(options) as run:
        connections, lost = connect_reachable(run, options.hosts)
        try:
            found = look(connections)
            mine = operators_file.look(options.kubeconfig, connections.values())
        finally:
            close(connections)
        return _say(run, Shown(found, mine, within, tuple(error.problem for error in lost)))


def renew(options: InstallOptions) -> int:
    """Renew all certificates of all hosts, masters one after the other, and the operator's kubeconfig. Raises HostError, HostsFailed, ClusterError."""
    with session(options) as run:
        connections = connect(run, options.hosts)
        try:
            with leased(connections.values(), artifact(run), "certs renew", run.screen):
                masters = [connections[host.address] for host in options.masters]
                renew_masters(masters, run.screen.step)
                for host in options.nodes:
                    run.screen.step(f"{host.address}: renewing kubelet's certificate")
                    renew_kubelet(host, connections[host.address], connections[options.masters[0].address])
            site = find_site(connections, lambda _: {}, this_change("certs renew"))
            written = operators_file.renew(options.kubeconfig, site, run.bundle.info.name)
            found = look(connections)
            mine = operators_file.look(options.kubeconfig, connections.values())
        finally:
            close(connections)
        return _say(run, Shown(found, mine, 0.0, note=written))


def kubeconfig(options: InstallOptions) -> int:
    """Write the operator's kubeconfig anew, from a master that answers. Any host of the site leads to one. Raises InstallerError."""
    with session(options) as run:
        with open_site(run, everybody=False) as site:
            written = operators_file.renew(options.kubeconfig, site.found, run.bundle.info.name)
            mine = operators_file.look(options.kubeconfig, site.connections.values())
        ends = datetime.fromtimestamp(mine.certificate.ends, UTC).date().isoformat() if mine is not None else ""
        result(run, f"{written}; it ends on {ends}", kubeconfig=str(options.kubeconfig), ends=ends)
    return 0


def look(connections: Mapping[str, Connection]) -> tuple[HostCertificates, ...]:
    """Return what every host has, asked in parallel. Public parts only. Raises HostError, HostsFailed."""
    hosts = tuple(connection.host for connection in connections.values())
    found = for_each(hosts, lambda host: _look(host, connections[host.address]))
    return tuple(found[host.address] for host in hosts)


def renew_masters(masters: Sequence[Connection], say: Callable[[str], None]) -> None:
    """Renew everything on the masters: one after the other in a cluster that lives.

    In one that slept past its certificates no master comes back before most of them have new ones: all first, then wait.
    """
    alive = any(Kubectl(master).api_ready() for master in masters)
    for master in masters:
        say(f"{master.host.address}: renewing the control plane's certificates")
        _renew_master(master)
        if alive:
            _wait(master)
    for master in masters:
        _wait(master)


def _renew_master(connection: Connection) -> None:
    command = Command.of(STUB, "host", "renew-certificates", changes="renew certificates")
    done = connection.run(command, check=False, timeout=_RENEW_TIMEOUT)
    address = connection.host.address
    try:
        report = Report.decode(done.stdout)
    except ValueError:
        raise HostError(address, f"{command}: {done.stderr.strip()[-300:]}", "install with this file first: it brings the program that does it") from None
    if report.failed:
        raise HostError(address, "; ".join(map(str, report.failed)), "nothing else was renewed; put that right and run certs renew again")


def _wait(connection: Connection, *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep) -> None:
    address = connection.host.address
    deadline = clock() + _API_TIMEOUT
    while not Kubectl(connection).api_ready():
        if clock() > deadline:
            raise ClusterError(f"{address}: the API server did not come back within {_API_TIMEOUT:.0f} s", "look there: journalctl -u kubelet")
        sleep(2.0)


def renew_kubelet(host: Host, node: Connection, master: Connection) -> None:
    """Let a node's kubelet have a new client certificate. Its key never leaves the node. Raises HostError."""
    name = _node_name(node)
    request = node.run(Command.of(STUB, "host", "kubelet-request", changes="make a key for kubelet"), timeout=_LOOK_TIMEOUT)
    sign = Command.of(STUB, "host", "kubelet-sign", "--name", name, changes=f"sign the certificate of {name}", stdin=request.stdout.encode())
    signed = master.run(sign, timeout=_LOOK_TIMEOUT).stdout
    if "BEGIN CERTIFICATE" not in signed:
        raise HostError(master.host.address, f"no certificate was signed for {host.address}")
    node.run(Command.of(STUB, "host", "kubelet-install", changes="put kubelet's certificate in its place", stdin=signed.encode()), timeout=_LOOK_TIMEOUT)


@dataclass(frozen=True, slots=True)
class Shown:
    """What ``show`` and ``renew`` say: the hosts, the operator's file, what counts as soon (None: see preflight), who was silent."""

    hosts: tuple[HostCertificates, ...]
    mine: OperatorsFile | None = None
    within: float | None = None
    lost: tuple[str, ...] = ()
    note: str = ""

    def entries(self) -> Iterator[tuple[str, Certificate, float, bool]]:
        """Give host, certificate, days left and whether that is soon. The operator's own by this machine's clock."""
        own = HostCertificates(_HERE, time.time(), (self.mine.certificate,)) if self.mine is not None else None
        for host in (*self.hosts, *([own] if own is not None else ())):
            for each in host.certificates:
                yield host.host.address, each, each.days_left(host.now), _soon(each, host.now, self.within)


def table(shown: Shown) -> tuple[str, int]:
    """Return the lines for a person, the first end first, and how many certificates have ended or end soon."""
    rows: list[tuple[float, tuple[str, ...]]] = []
    bad = 0
    for host, each, days, soon in shown.entries():
        bad += soon
        if each.problem:
            rows.append((0.0, ("✗", host, "?", "?", f"{each.path}: {each.problem}")))
            continue
        day = datetime.fromtimestamp(each.ends, UTC).date().isoformat()
        left = f"{days:.0f}" if days >= 10 else f"{days:.2f}"
        name = f"{each.path} (CA)" if each.authority else each.path
        rows.append((each.ends, ("✗" if soon else "", host, day, left, name)))
    head = ("", "host", "ends", "days left", "certificate")
    return columns([head, *(row for _, row in sorted(rows))]), bad


def _say(run: Session, shown: Shown) -> int:
    text, bad = table(shown)
    if bad:
        text += f"\n\n{bad} of them ended, or will soon: certs renew, with the same hosts"
    text += f"\n{shown.note}" if shown.note else ""
    text += "".join(f"\nnot asked: {problem}" for problem in shown.lost)
    listed = [
        {
            "host": host,
            "path": each.path,
            "ends": datetime.fromtimestamp(each.ends, UTC).isoformat(),
            "days_left": round(days, 3),
            "authority": each.authority,
            "problem": each.problem,
            "soon": soon,
        }
        for host, each, days, soon in shown.entries()
    ]
    result(run, text, certificates=listed, soon=bad, lost=list(shown.lost))
    return END_SOON if bad or shown.lost else 0


def _soon(certificate: Certificate, now: float, within: float | None) -> bool:
    if certificate.problem:
        return True
    return ends_soon(certificate, now) if within is None else certificate.ends - now <= within


def _look(host: Host, connection: Connection) -> HostCertificates:
    answer = connection.run(Command.shell(f"date +%s; {CERTIFICATES.command} || true"), timeout=_LOOK_TIMEOUT).stdout
    first, _, rest = answer.partition("\n")
    if not first.strip().isdigit():
        raise HostError(host.address, f"does not tell the time: {first[:80]!r}")
    return HostCertificates(host, float(first), CERTIFICATES.parse(rest))


def _node_name(connection: Connection) -> str:
    from installer_stub.keep.document import PATH, decode

    data = connection.read(PATH)
    if data is None:
        raise HostError(connection.host.address, f"there is no {PATH}: airseal did not install this host", "name the hosts of the site")
    return decode(data).name
