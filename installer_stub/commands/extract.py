"""``extract DIR``: this file as an OCI image layout, or its cluster files as they stand on a host."""

from __future__ import annotations

import errno
import os
import shutil
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Final

from installer_stub.bundle.damage import COPY_AGAIN
from installer_stub.bundle.reader import Bundle
from installer_stub.commands.bundle_option import add_bundle_option
from installer_stub.errors import BundleError, InstallerError, UsageError
from installer_stub.ui.printable import say
from installer_stub.ui.transfer import size as readable

_PIECE: Final = 1024 * 1024


def define(parser: ArgumentParser, verb: str) -> None:
    """Add the options."""
    del verb
    parser.add_argument("directory", type=Path, metavar="DIR", help="a directory that does not exist yet, or is empty")
    parser.add_argument("--files", action="store_true", help="only the cluster files, unpacked: bin/kubectl and the like")
    add_bundle_option(parser)
    parser.epilog = (
        "examples:\n  ./{prog} extract ./layout && skopeo inspect oci:layout:docker.io/library/busybox:1.36\n"
        "  ./{prog} extract --files ./cluster && ./cluster/bin/kubectl version --client\n\n"
        "Everything is verified first. unzip can do it too, without verifying."
    )


def run(arguments: Namespace) -> int:
    """Verify, write beside the directory, rename."""
    target = Path(os.path.abspath(arguments.directory))  # noqa: PTH100 - a link the user named stays that link
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} exists and is not an empty directory", "name a directory that does not exist yet")
    part = target.with_name(f".{target.name}.part")
    with Bundle.open(arguments.bundle) as bundle:
        bundle.verify()
        try:
            _check_space(target, bundle.info.files_size if arguments.files else bundle.size)
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            (_write_files if arguments.files else _write_layout)(bundle, part)
            part.rename(target)
        except OSError as error:
            reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
            raise InstallerError(f"cannot extract to {target}: {reason}", "choose another directory") from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
        say(f"{bundle.info.title} is in {target}")
    return 0


def _write_layout(bundle: Bundle, into: Path) -> None:
    for name in bundle.names():
        path = into / name
        path.parent.mkdir(parents=True, exist_ok=True)
        wanted = bundle.digest_of(name)
        hasher = wanted.hasher()
        with bundle.extent(name) as extent, path.open("wb") as stream:
            for at in range(0, extent.size, _PIECE):
                piece = extent.read(_PIECE, at)
                hasher.update(piece)
                stream.write(piece)
        if hasher.hexdigest() != wanted.encoded:  # a stick may answer differently the second time
            raise BundleError(f"{bundle.path} changed while it was unpacked: {name} is not {wanted}", COPY_AGAIN)


def _write_files(bundle: Bundle, into: Path) -> None:
    from installer_stub.hostside.fetch import fetch
    from installer_stub.hostside.sources import BundleSource

    fetch(bundle.cluster_files(), into, BundleSource(bundle))


def _check_space(target: Path, needed: int) -> None:
    existing = next(parent for parent in target.parents if parent.exists())
    found = os.statvfs(existing)
    free = found.f_bavail * found.f_frsize
    if free < needed:
        raise InstallerError(f"{target} needs {readable(needed)}, {readable(free)} are free", "free some space, or choose another directory")
