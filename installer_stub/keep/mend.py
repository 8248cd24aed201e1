"""Certificates of a master that are torn or gone: made anew by the CAs that lie there. ``kubeadm certs renew`` cannot: it reads the old ones.

Only at a person's word (``certs renew``). A file that cannot be read is no torn file: then nobody can tell, and nothing is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from installer_stub.distro.certificates import (
    KUBELET_CONFIG,
    LEAVES,
    MASTERS_CONFIGS,
    PKI,
    RESTARTED,
    renewal_config,
)
from installer_stub.distro.paths import CONFIGURATION
from installer_stub.errors import InstallerError
from installer_stub.facts.certificates import embedded, read_certificate
from installer_stub.keep import before, renew, static_pods
from installer_stub.keep.document import HostDocument
from installer_stub.keep.programs import run
from installer_stub.keep.report import Failure, Report

_LIMIT: Final = 64 << 10  # bytes of a file


@dataclass(frozen=True, slots=True)
class Torn:
    """What ``kubeadm init phase ARGUMENTS`` makes anew, once ``paths`` are gone."""

    arguments: tuple[str, ...]
    paths: tuple[str, ...]


def torn(root: str = "") -> tuple[Torn, ...]:
    """Return what is torn or gone on this master. Raises InstallerError where a file cannot be read."""
    from installer_stub.hostside.keys import is_pair

    found = []
    for name, phase in LEAVES.items():
        certificate, key = f"{PKI}/{name}.crt", f"{PKI}/{name}.key"
        if not is_pair(_read(root, certificate), _read(root, key)):
            found.append(Torn(("certs", phase), (certificate, key)))
    for name in MASTERS_CONFIGS:
        path = f"{CONFIGURATION}/{name}.conf"
        if read_certificate(path, embedded(_read(root, path))).problem:
            found.append(Torn(("kubeconfig", name), (path,)))
    return tuple(found)


def mend(document: HostDocument, report: Report) -> None:
    """Make anew what is torn or gone of a master's certificates and kubeconfigs; what is whole stays for ``renew``."""
    if not document.certificates.master or not Path(KUBELET_CONFIG).exists():
        return
    what, config = "torn certificates", Path(renew.CONFIG)
    try:
        found = torn(str(renew.DISK.root).rstrip("/"))
        if not found:
            return
        config.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        config.write_text(_config(document))
        with before.kept([path for each in found for path in each.paths], renew.DISK):
            for each in found:
                _make(each)
            renew.put_on_disk(CONFIGURATION)
    except (InstallerError, OSError) as error:
        report.failed.append(Failure.of(what, error))
        return
    finally:
        config.unlink(missing_ok=True)
    static_pods.end(RESTARTED)
    renew.restart_kubelet(report)  # and its back-off: an API server that could not start is started now
    report.changed.append(f"{what}: made anew: {', '.join(path for each in found for path in each.paths)}")


def _make(each: Torn) -> None:
    for path in each.paths:
        renew.DISK.at(path).unlink(missing_ok=True)
    done = run(("kubeadm", "init", "phase", *each.arguments, "--config", renew.CONFIG), timeout=renew.KUBEADM_TIMEOUT)
    if not done.ok:
        raise InstallerError(f"kubeadm init phase {' '.join(each.arguments)}: {done.output[-400:]}", "are the keys of the CAs on this master?")


def _config(document: HostDocument) -> str:
    policy = document.certificates
    return renewal_config(kubernetes=policy.kubernetes, name=document.name, address=document.address, validity=policy.validity, services=document.services)


def _read(root: str, path: str) -> bytes:
    try:
        with Path(f"{root}{path}").open("rb") as stream:
            return stream.read(_LIMIT)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise InstallerError(f"{path} cannot be read: {error.strerror}", "see whether the disk is sound: dmesg") from None
