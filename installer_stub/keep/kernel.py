"""Kernel modules and settings: what every host needs, and making the running kernel so.

The kernel is asked (/proc), never a file that may have set it: ``/etc/sysctl.d/99-*.conf`` of a hardening baseline comes
after any file of ours, and is applied again whenever somebody restarts systemd-sysctl.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from installer_stub.keep.document import HostDocument, Module, Sysctl
from installer_stub.keep.programs import run
from installer_stub.keep.report import Failure, Report

SYSCTLS: Final = (
    Sysctl("net.ipv4.ip_forward", 1, required=True),
    Sysctl("net.bridge.bridge-nf-call-iptables", 1),
    # kubelet, containerd and every "kubectl logs -f" take instances; at the default of 128 a host with many pods dies
    # of "too many open files", and containers on one kernel share the one limit.
    Sysctl("fs.inotify.max_user_instances", 8192, at_least=True),
    Sysctl("fs.inotify.max_user_watches", 1048576, at_least=True),
)
MODULES: Final = (
    Module("overlay", "/proc/filesystems"),
    Module("br_netfilter", "/proc/sys/net/bridge"),
    Module("nf_conntrack", "/proc/sys/net/netfilter"),
)
_LOAD_TIMEOUT: Final = 30.0


def keep_modules(document: HostDocument, report: Report, *, look_only: bool, root: Path = Path("/")) -> None:
    """Load what is missing. A module that this kernel has not is ``cannot``, not a failure: a note says so once."""
    for module in document.modules:
        if has_module(module, root):
            continue
        what = f"module {module.name}"
        if look_only:
            if module.name not in document.cannot:
                report.differs.append(what)
            continue
        run(("modprobe", module.name), timeout=_LOAD_TIMEOUT)
        if has_module(module, root):
            report.changed.append(what)
        else:
            report.cannot.append(module.name)


def has_module(module: Module, root: Path = Path("/")) -> bool:
    """Tell whether the kernel can do what the module is for."""
    evidence = root / module.evidence.lstrip("/")
    if evidence.is_file():
        return any(line.split()[-1:] == [module.name] for line in evidence.read_text().splitlines())
    return evidence.exists()


def keep_sysctls(document: HostDocument, report: Report, *, look_only: bool, root: Path = Path("/")) -> None:
    """Set what differs. A required setting that cannot be set is a failure, any other one is ``cannot``."""
    for setting in document.sysctls:
        path = root / "proc/sys" / setting.path
        value = _value(path)
        if value is not None and setting.satisfied(value):
            continue
        what = f"{setting.name} = {setting.value}"
        if look_only:
            if setting.required or (value is not None and setting.name not in document.cannot):
                report.differs.append(what)
            continue
        why = "the kernel has no such setting" if value is None else _set(path, setting)
        if not why:
            report.changed.append(what)
        elif setting.required:
            report.failed.append(Failure(what, why))
        elif value is not None:
            report.cannot.append(setting.name)


def _set(path: Path, setting: Sysctl) -> str:
    """Write the value and read it back; return why it is not so, or nothing."""
    try:
        path.write_text(f"{setting.value}\n")
    except OSError as error:
        return error.strerror or repr(error)
    now = _value(path)
    return "" if now is not None and setting.satisfied(now) else f"the kernel keeps {now}"


def _value(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.lstrip("-").isdigit() else None


def names(settings: Iterable[Sysctl] = SYSCTLS) -> tuple[str, ...]:
    """Return the names of the settings."""
    return tuple(setting.name for setting in settings)
