"""The stub's own verbs on a host, as commands: ``airseal host …``."""

from __future__ import annotations

import shlex

from installer_stub.distro.containerd import rotated
from installer_stub.host.command import Command
from installer_stub.host.model import Role
from installer_stub.plan.model import LINKS, OPT, STATE, STUB, HostPlan, Plan


def _files(verb: str, plan: Plan, host: HostPlan) -> list[str]:
    """Masters take the files from their own artifact, nodes and recordings from a registry, masters in rotated order."""
    argv = [verb]
    if host.role is Role.MASTER and not plan.recording:
        argv += ["--bundle", plan.bundle_path]
    else:
        argv += ["--registry", ",".join(rotated(plan.images.endpoints, plan.position(host)))]
        argv += ["--ca", plan.images.ca_path] if plan.images.ca_path else []
        argv += ["--credential", plan.images.credential_path] if plan.images.credential_path else []
    argv += ["--reference", str(plan.bundle.cluster_reference), "--manifest", str(plan.bundle.cluster.digest)]
    argv += ["--into", plan.cluster_directory]
    for name, directory in LINKS:
        argv += ["--link", f"{name}={directory}"]
    return [*argv, "--ledger", STATE]


def check_files(plan: Plan, host: HostPlan) -> Command:
    """Exit status 0: every file stands as sealed. 10: there is something to fetch."""
    return Command.of_stub(*_files("check-files", plan, host))


def fetch_files(plan: Plan, host: HostPlan) -> str:
    """Return the shell text that brings the cluster files."""
    # Where SELinux is on, programs below /opt may only be run by systemd with the label that its policy has for them.
    label = f"if command -v restorecon >/dev/null; then restorecon -R {OPT} || true; fi\n"
    return f"set -e\n{shlex.join((STUB, 'host', *_files('fetch-files', plan, host)))}\n{label}"


def new_credential(path: str, user: str) -> Command:
    """Make the site registry's login, if it is not there. It is printed nowhere."""
    return Command.of_stub("new-credential", "--file", path, "--user", user, changes="make the site registry's login")


def new_authority() -> Command:
    """Make the site registry's CA on a master, if it is not there."""
    return Command.of_stub("new-authority", changes="make the site registry's certificate authority")


def next_authority() -> Command:
    """Make the CA that is to follow the site registry's present one, beside it, if it is not there."""
    return Command.of_stub("new-authority", "--next", changes="make the site registry's next certificate authority")


def switch_authority() -> Command:
    """Have a master use the next CA, and issue its registry's certificate by it."""
    return Command.of_stub("switch-authority", changes="use the site registry's next certificate authority")


def renew_registry() -> Command:
    """Have a master's registry show the certificate that its file has."""
    return Command.of_stub("renew-registry", changes="let the registry show its certificate")


def issue_registry(addresses: tuple[str, ...], names: tuple[str, ...]) -> Command:
    """Have a master issue its registry's certificate, for exactly these. The key is made there, and stays."""
    argv = ["issue-registry"]
    for address in addresses:
        argv += ["--ip", address]
    for each in names:
        argv += ["--dns", each]
    return Command.of_stub(*argv, changes="issue the registry's certificate")
