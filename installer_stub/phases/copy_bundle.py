"""Copy the whole ``.run`` to each master: there it is the site registry's store, and the seed of every later repair."""

from __future__ import annotations

import json
from typing import BinaryIO, ClassVar, Final, cast

from installer_stub.distro.units import REGISTRY_STARTED
from installer_stub.errors import BundleError, CommandFailed
from installer_stub.host.checked_stream import CheckedStream
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection, ResumableConnection
from installer_stub.phases.base import Artifact, Context, HostPhase
from installer_stub.phases.journal import Journal
from installer_stub.plan import model
from installer_stub.plan.model import HostPlan, Plan
from installer_stub.scrub.damage import SUFFIX, Damage

# $1 the artifact. All that lies beside it, too: an earlier version let every user of the host read what is sold.
_CLOSE: Final = """\
umask 077
directory=${1%/*}
mkdir -p -- "$directory"
chmod 0700 -- "$directory"
for each in "$directory"/*; do
  if [ -f "$each" ] && [ ! -L "$each" ]; then chmod 0600 -- "$each"; fi
done
"""


def identity(context: Context) -> str:
    """Return what names the artifact: the digest of all its bytes, as verified. Raises BundleError where there is none."""
    artifact = context.artifact
    if artifact.open_run is None or not artifact.run_sha256:
        raise BundleError("there is no verified artifact to copy", "a recording does not run this phase")
    return f"sha256:{artifact.run_sha256}"


class CopyBundle(HostPhase):
    """Send the artifact: the very bytes that were verified, for root alone. That it is whole is then written down beside it."""

    title: ClassVar[str] = "Copy the bundle to the masters"

    def hosts(self, plan: Plan) -> tuple[HostPlan, ...]:
        """Masters."""
        return plan.masters

    def moves(self, plan: Plan, host: HostPlan, artifact: Artifact) -> int:
        """All of it."""
        del plan, host
        return artifact.run_size

    def is_done(self, context: Context, host: HostPlan, connection: Connection) -> bool:
        """Look at size, time and what was written down; hashing gigabytes on every run is for ``verify``."""
        del host
        return _is_whole(connection, context)

    def do(self, context: Context, host: HostPlan, connection: Connection) -> None:
        """Copy what is not there."""
        _copy(context, host, connection)


def _stamp(connection: Connection, path: str) -> str:
    """Return size, times and inode of the artifact there, empty if it is not, or not for root alone."""
    looked = connection.run(Command.of("stat", "-c", "%a %s %.9Y %.9Z %i", path.rpartition("/")[0], path), check=False).stdout
    lines = [line.split(maxsplit=1) for line in looked.splitlines()]
    return lines[1][1] if [line[0] for line in lines] == ["700", "600"] else ""


def _journal(connection: Connection) -> Journal:
    return Journal(connection, model.STATE)


def _name(path: str) -> str:
    return f"bundle:{path}"  # of the fact in the host's ledger: what it is, and size, times and inode of the file when that was seen


def _is_whole(connection: Connection, context: Context) -> bool:
    path = context.plan.bundle_path
    stamp = _stamp(connection, path)
    if not stamp or _damage(connection, path, stamp) is not None:
        return False
    return _journal(connection).facts().get(_name(path)) == f"{identity(context)} {stamp}"


def _damage(connection: Connection, path: str, stamp: str) -> Damage | None:
    """Return what the master found damaged in the artifact that lies there: size, times and inode do not tell. None: nothing."""
    size, modified, _, inode = stamp.split()
    there = f"{size} {modified} {inode}"
    try:
        raw = connection.read(f"{path}{SUFFIX}")
    except CommandFailed:  # it is there, and the disk does not give it
        raw = b""
    return Damage.told(raw, there) if raw is not None else None


def _take_over(connection: Connection, context: Context) -> bool:
    """Take over what an older airseal wrote down beside the bundle. Tell whether that says it all."""
    path = context.plan.bundle_path
    older = f"{path}.whole"
    data = connection.read(older)
    if data is None:
        return False
    stamp = _stamp(connection, path)
    try:
        known = bool(stamp) and json.loads(data) == {"content": identity(context), "stamp": stamp}
    except ValueError:
        known = False
    if known:
        _journal(connection).hold({_name(path): f"{identity(context)} {stamp}"})
    connection.run(Command.of("rm", "-f", older, changes=f"remove {older}"))
    return known


def _copy(context: Context, host: HostPlan, connection: Connection) -> None:
    artifact, path, size = context.artifact, context.plan.bundle_path, context.artifact.run_size
    content = identity(context)
    if artifact.open_run is None or _is_whole(connection, context) or _take_over(connection, context):
        return
    connection.run(Command.shell(_CLOSE, path, changes="keep bundles to root"))
    stamp = _stamp(connection, path)
    # Killed between the end of the copy and writing it down: reading it there is faster than sending it again.
    arrived = stamp.split()[:1] == [str(size)] and _remote_digest(connection, path) == artifact.run_sha256
    if not arrived:
        if stamp and (damage := _damage(connection, path, stamp)) is not None:
            context.reporter.step(f"{host.address}: the bundle on its disk is damaged, so it is copied again: {damage}")
        what = f"bundle to {host.address}"
        put = connection.put_resumable if isinstance(connection, ResumableConnection) else connection.put
        with CheckedStream(artifact.open_run(), size=size, sha256=artifact.run_sha256, what=context.plan.bundle.title) as stream:
            source = cast("BinaryIO", stream)
            put(source, path, size=size, mode=0o600, moved=lambda count: context.reporter.moved(what, count, size))
    # A registry that runs has the file open that was there before, and knows of its damage.
    connection.run(Command.of("rm", "-f", f"{path}{SUFFIX}", REGISTRY_STARTED, changes="let the site registry read what is there now"))
    _journal(connection).hold({_name(path): f"{content} {_stamp(connection, path)}"})


def _remote_digest(connection: Connection, path: str) -> str:
    result = connection.run(Command.of("sha256sum", path), check=False)
    return result.stdout.split()[0] if result.ok and result.stdout else ""
