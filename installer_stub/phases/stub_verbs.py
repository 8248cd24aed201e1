"""The stub's own verbs on a host, as commands: ``airseal host …``."""

from __future__ import annotations

import shlex
from typing import Final

from installer_stub.distro.containerd import rotated
from installer_stub.host.command import Command
from installer_stub.host.model import Role
from installer_stub.plan import OPT, STUB, HostPlan, Plan

LINKS: Final = (("bin", "/usr/local/bin"), ("cni", "/opt/cni/bin"))


def _files(verb: str, plan: Plan, host: HostPlan) -> list[str]:
    """Masters take the files from their own artifact, nodes and recordings from a registry, masters in rotated order."""
    argv = [STUB, "host", verb]
    if host.role is Role.MASTER and not plan.recording:
        argv += ["--bundle", plan.bundle_path]
    else:
        argv += ["--registry", ",".join(rotated(plan.images.endpoints, plan.hosts.index(host)))]
        argv += ["--ca", plan.images.ca_path] if plan.images.ca_path else []
        argv += ["--credential", plan.images.credential_path] if plan.images.credential_path else []
    argv += ["--reference", str(plan.bundle.cluster_reference), "--manifest", str(plan.bundle.cluster.digest)]
    argv += ["--into", plan.cluster_directory]
    for name, directory in LINKS:
        argv += ["--link", f"{name}={directory}"]
    return argv


def check_files(plan: Plan, host: HostPlan) -> Command:
    """Exit status 0: every file stands as sealed. 10: there is something to fetch."""
    return Command.of(*_files("check-files", plan, host))


def fetch_files(plan: Plan, host: HostPlan) -> str:
    """Return the shell text that brings the cluster files."""
    # Where SELinux is on, programs below /opt may only be run by systemd with the label that its policy has for them.
    label = f"if command -v restorecon >/dev/null; then restorecon -R {OPT} || true; fi\n"
    return f"set -e\n{shlex.join(_files('fetch-files', plan, host))}\n{label}"


def new_key(key: str, csr: str, *, name: str, addresses: tuple[str, ...], names: tuple[str, ...]) -> Command:
    """Make a key and a request for its certificate. The key never leaves the host."""
    argv = [STUB, "host", "new-key", "--key", key, "--csr", csr, "--name", name]
    for address in addresses:
        argv += ["--ip", address]
    for each in names:
        argv += ["--dns", each]
    return Command.of(*argv, changes="make the registry's key")


def new_credential(path: str, user: str) -> Command:
    """Make the site registry's login, if it is not there. It is printed nowhere."""
    return Command.of(STUB, "host", "new-credential", "--file", path, "--user", user, changes="make the site registry's login")


def sign(ca_cert: str, ca_key: str, csr: bytes, *, days: int) -> Command:
    """Sign a request from stdin; the certificate is the output."""
    argv = (STUB, "host", "sign", "--ca-cert", ca_cert, "--ca-key", ca_key, "--csr", "-", "--days", str(days))
    return Command.of(*argv, stdin=csr, changes="sign a registry certificate")
