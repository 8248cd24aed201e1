"""Renewing this host's certificates without a person, and without asking anybody: the cluster may have slept past them.

On a master ``kubeadm certs renew all`` makes new ones with the CA that lies there, and the control plane starts anew;
kubelet's own is signed by the same CA. A node has no CA: it asks the API for the next certificate while the present one is
valid, and one that has ended is replaced by ``certs renew`` from the operator's machine.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from installer_stub.changes.disk import Disk
from installer_stub.distro.certificates import (
    CA_KEY,
    KUBELET_CLIENT,
    KUBELET_CONFIG,
    RESTARTED,
    renewal_config,
    renewed_by_kubeadm,
)
from installer_stub.distro.paths import CONFIGURATION
from installer_stub.errors import InstallerError
from installer_stub.facts.certificates import Certificate
from installer_stub.keep import (
    before,
    kubelet_client,
    kubelet_request,
    others,
    renewal,
    static_pods,
)
from installer_stub.keep.certificates import host_certificates
from installer_stub.keep.document import HostDocument
from installer_stub.keep.programs import run
from installer_stub.keep.report import Failure, Report
from installer_stub.keep.script import NEXT

DISK: Final = Disk()
CONFIG: Final = "/run/airseal/renew.yaml"
KUBEADM_TIMEOUT: Final = 120.0
_SYSTEMCTL_TIMEOUT: Final = 60.0
_AFTER_FAILURE: Final = 3600.0  # seconds until the next attempt: what failed wants a person
_API_AWAY: Final = 180.0  # the same where only the API did not answer: masters that renew start theirs anew just then


def keep_certificates(document: HostDocument, report: Report, *, clock: Callable[[], float] = time.time) -> None:
    """Renew what is due and note when to look again. Reads and writes files of this host only."""
    now = clock()
    put_back(report)
    certificates = kubernetes(host_certificates())
    report.failed += [Failure(each.path, each.problem) for each in certificates if each.problem]
    failures = len(report.failed)
    waits = _renew_registry(document, report, now)
    away = _is_my_turn(document, certificates, now) and renew(document, renewal.due(certificates, now), report)
    after = kubernetes(host_certificates())
    look = renewal.next_look(document.certificates, after, clock())
    if waits:
        look = min(look, renewal.next_slot(document.certificates, clock()))
    if len(report.failed) > failures:
        look = clock() + (_API_AWAY if away else _AFTER_FAILURE)
    _note(look)


def _is_my_turn(document: HostDocument, certificates: Sequence[Certificate], now: float) -> bool:
    """Tell whether this host renews now. A slot is a promise of time: a master before us may need longer than its own, or be off."""
    policy = document.certificates
    if not renewal.due(certificates, now) or not renewal.my_turn(policy, certificates, now):
        return False
    return not (policy.master and renewal.may_wait(certificates, now) and others.missing(policy.masters))


def put_back(report: Report) -> None:
    """Finish a renewal that was cut, by the certificates from before it; at boot kubelet waits until we have."""
    what = "certificates from before a renewal that was cut"
    try:
        changed = before.put_back(DISK)
    except (InstallerError, OSError) as error:
        report.failed.append(Failure.of(what, error))
    else:
        if changed:
            static_pods.end(RESTARTED)
            report.changed.append(f"{what}: put back {', '.join(changed)}")


def kubernetes(certificates: Sequence[Certificate]) -> tuple[Certificate, ...]:
    """Return those of Kubernetes: not the site registry's."""
    return tuple(each for each in certificates if not each.path.startswith("/etc/airseal/"))


def renew(document: HostDocument, wanted: Sequence[Certificate], report: Report) -> bool:
    """Renew ``wanted``, and let what uses them read the new ones. Tell whether nothing is wrong but that the API did not answer."""
    if not document.certificates.master:
        return _renew_node(document, wanted, report)
    by_kubeadm = [each for each in wanted if renewed_by_kubeadm(each.path)]
    if by_kubeadm:
        _renew_with_kubeadm(document, report)
    kubelet = [each for each in wanted if each.path == KUBELET_CLIENT]
    if kubelet:
        _renew_kubelet(document, report)
    if by_kubeadm or kubelet:
        restart_kubelet(report)
    return False


def _renew_registry(document: HostDocument, report: Report, now: float) -> bool:
    """Its certificate has a rule and a CA of its own, on every master: it knows itself when. Return whether it waits for a turn."""
    from installer_stub.pki import registry

    what = "certificate of the site registry"
    try:
        done = registry.renew(registry.RegistryFiles(), dt.datetime.fromtimestamp(now, dt.UTC), my_turn=renewal.in_slot(document.certificates, now))
    except InstallerError as error:
        report.failed.append(Failure(what, error.problem))
        return False
    else:
        if done in {registry.Renewal.RENEWED, registry.Renewal.RESTARTED}:
            report.changed.append(f"{what}: {done}")
        return done is registry.Renewal.WAITS


def _renew_with_kubeadm(document: HostDocument, report: Report) -> None:
    policy = document.certificates
    if not Path(KUBELET_CONFIG).exists():
        return  # not a member yet, or not any more: nothing here is in use
    text = renewal_config(kubernetes=policy.kubernetes, name=document.name, address=document.address, validity=policy.validity)
    config = Path(CONFIG)
    what = "certificates of the control plane"
    try:
        config.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        config.write_text(text)
    except OSError as error:
        report.failed.append(Failure(what, f"{CONFIG}: {error.strerror}"))
        return
    present = host_certificates()
    try:
        with before.kept(before.files_of(present), DISK):
            _run_kubeadm(present)
    except (InstallerError, OSError) as error:
        report.failed.append(Failure.of(what, error))
        return
    finally:
        config.unlink(missing_ok=True)
    restarted = static_pods.end(RESTARTED)
    report.changed.append(f"{what}; started anew: {', '.join(restarted) or 'nothing ran'}")


def _run_kubeadm(present: Sequence[Certificate]) -> None:
    done = run(("kubeadm", "certs", "renew", "all", "--config", CONFIG), timeout=KUBEADM_TIMEOUT)
    if not done.ok:
        raise InstallerError(f"kubeadm certs renew all: {done.output[-400:]}", "see what it says, then certs renew")
    if host_certificates() == present:
        # kubeadm says yes and does nothing where the CA's key is not on the host.
        raise InstallerError("kubeadm renewed nothing: is the CA's key on this master?", f"bring it to {CA_KEY} for as long as certs renew takes")
    put_on_disk(CONFIGURATION)


def put_on_disk(root: str) -> None:
    """Sync what lies below ``root``, and no other file system of the host: on a dead NFS mount os.sync never ends."""
    for directory, _, names in os.walk(root):
        for name in (*names, "."):
            with contextlib.suppress(OSError):  # a link, or gone meanwhile
                fd = os.open(f"{directory}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)


def _renew_kubelet(document: HostDocument, report: Report) -> None:
    what = f"{KUBELET_CLIENT} of kubelet"
    try:
        request = kubelet_client.request(document.name)
        kubelet_client.install(kubelet_client.sign(request, document.name, document.certificates.validity))
    except InstallerError as error:
        report.failed.append(Failure(what, error.problem))
    except OSError as error:
        report.failed.append(Failure(what, error.strerror or repr(error)))
    else:
        report.changed.append(what)


def _renew_node(document: HostDocument, wanted: Sequence[Certificate], report: Report) -> bool:
    """While it is valid the API gives the next one; afterwards nobody would answer."""
    mine = [each for each in wanted if each.path == KUBELET_CLIENT]
    if not mine:
        return False
    if mine[0].ends <= time.time():
        report.failed.append(Failure(KUBELET_CLIENT, "has ended; from the operator's machine: certs renew, with --master and --node"))
        return False
    what = f"{KUBELET_CLIENT} of kubelet"
    try:
        kubelet_client.install(kubelet_request.ask(kubelet_client.request(document.name), document.certificates.validity))
    except (InstallerError, OSError) as error:
        report.failed.append(Failure(what, error.problem if isinstance(error, InstallerError) else error.strerror or repr(error)))
        return isinstance(error, kubelet_request.NotAnswered)
    report.changed.append(what)
    restart_kubelet(report)
    return False


def restart_kubelet(report: Report) -> None:
    """It reads its certificate at its start; and a new kubelet waits for no container that crashed again and again."""
    # Not waited for: at boot kubelet itself waits until we have ended.
    done = run(("systemctl", "--no-block", "restart", "kubelet.service"), timeout=_SYSTEMCTL_TIMEOUT)
    if not done.ok:
        report.failed.append(Failure("kubelet.service", done.output[-200:]))


def _note(look: float) -> None:
    with suppress(OSError):  # not noted: the next minute looks again
        Path(NEXT).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        Path(f"{NEXT}.new").write_text(f"{int(look)}\n")
        Path(f"{NEXT}.new").rename(NEXT)
