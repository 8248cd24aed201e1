"""The operator's kubeconfig, beside the operator."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import ClassVar

import yaml

from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.distro.kubeadm_config import dump
from installer_stub.errors import ClusterError, InstallerError
from installer_stub.phases.base import Context, Phase
from installer_stub.plan import API_PORT, in_url


def for_operator(admin: bytes, address: str) -> bytes:
    """Return the administrator's kubeconfig with the API at ``address``: the operator has no entry in /etc/hosts."""
    try:
        value = yaml.safe_load(admin)
        for cluster in value["clusters"]:
            cluster["cluster"]["server"] = f"https://{in_url(address)}:{API_PORT}"
    except (yaml.YAMLError, KeyError, TypeError):
        # From None: the parser's error would quote the file, and the file has a private key.
        raise ClusterError("the administrator's kubeconfig on the first master cannot be read") from None
    return dump(value).encode()


def keep(target: Path, content: bytes) -> Path | None:
    """Move a ``target`` of other content out of the way. Return where it is now."""
    if not target.exists() or target.read_bytes() == content:
        return None
    number = 0
    while (aside := target.with_name(f"{target.name}.bak{f'.{number}' if number else ''}")).exists():
        number += 1
    target.rename(aside)
    return aside


def write(target: Path, content: bytes) -> None:
    """Write a secret file whole or not at all, readable by its owner alone."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


class WriteKubeconfig(Phase):
    """A reset leaves the file: it is the operator's."""

    title: ClassVar[str] = "Write the kubeconfig"

    def is_needed(self, context: Context) -> bool:
        """Compare content and mode."""
        target = Path(context.kubeconfig)
        return not (target.is_file() and target.read_bytes() == _content(context) and target.stat().st_mode & 0o777 == 0o600)

    def run(self, context: Context) -> None:
        """Write it; another one that was there is kept."""
        target, content = Path(context.kubeconfig), _content(context)
        try:
            aside = keep(target, content)
            write(target, content)
        except OSError as error:
            raise InstallerError(f"{target} cannot be written: {error.strerror}", "give another path with --kubeconfig") from error
        if aside is not None:
            context.notes.append(f"the {target.name} that was there is now {aside}")


def _content(context: Context) -> bytes:
    admin = context.first.read(KUBEADM.kubeconfig)
    if admin is None:
        raise ClusterError(f"there is no {KUBEADM.kubeconfig} on {context.first.host.address}")
    return for_operator(admin, context.plan.masters[0].address)
