"""Putting one thing back. Each function looks first, and looks again afterwards; what others changed since is left alone.

All of them may be cut off anywhere and begun again: a thing that is as it was needs nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final

from installer_stub.changes.block import without_block
from installer_stub.changes.image import Form, Image
from installer_stub.changes.mounts import below
from installer_stub.changes.things import Kind, look, sysctl_path
from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.errors import LedgerDamaged, NotPutBack
from installer_stub.keep.hosts_file import HOSTS, SAFE
from installer_stub.ledger.cluster_remains import FOREIGN_TASK
from installer_stub.ledger.ledger import Entry, Ledger
from installer_stub.ledger.record import Step
from installer_stub.ledger.trees import restore_tree
from installer_stub.plan.model import API_NAME

# Others have files of their own there: only what we wrote goes, and the directory when it is empty.
SHARED: Final = frozenset({"/etc/containerd", "/etc/systemd/system/kubelet.service.d"})
# Images of others may have come into it since, and nothing in its files says whose they are.
_STORES: Final = frozenset({"/var/lib/containerd"})
_IN_PLACE: Final = PurePosixPath(SAFE).name
_MOUNTED: Final = "see what uses it: findmnt; unmount it, then run reset again"


def is_own_directory(entry: Entry) -> bool:
    """Tell whether it is a directory that a site chose for containerd's, kubelet's or etcd's data."""
    known = (*KUBEADM.data_directories, *SHARED)
    return entry.thing.kind is Kind.DIRECTORY and entry.thing.name not in known and not entry.thing.name.startswith("/etc/")


def put_back(ledger: Ledger, entry: Entry) -> str:
    """Put the thing back and look at it. Return a note for people, mostly empty.

    Raises NotPutBack, LedgerDamaged or CouldNotTell with the reason; nothing is lost then, and it can be tried again.
    """
    if entry.before.form is Form.LOST:
        raise LedgerDamaged(f"what it was before is not known: {entry.before.value}", "put it right by hand, then name it with --abandon")
    ways: dict[Kind, Callable[[Ledger, Entry], str]] = {
        Kind.FILE: _file,
        Kind.LINK: _file,
        Kind.BLOCK: _block,
        Kind.DIRECTORY: _directory,
        Kind.PARENT: _parent,
        Kind.SYSCTL: _sysctl,
        Kind.MODULE: _module,
        Kind.UNIT: _unit,
    }
    try:
        if entry.thing.kind in {Kind.FILE, Kind.LINK, Kind.BLOCK}:
            ledger.machine.disk.remove_part(entry.thing.name)
        return ways[entry.thing.kind](ledger, entry)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise NotPutBack(f"{where}{error.strerror or error}", "see why the disk refuses it (lsattr, mount), mend that, then run reset again") from error


def _file(ledger: Ledger, entry: Entry) -> str:
    disk, name, before = ledger.machine.disk, entry.thing.name, entry.before
    now, data = disk.seen(name)
    if now.matches(before):
        return ""
    content = ledger.store.content(before)
    torn = entry.state is Step.UNDOING and now.form is Form.FILE and content.startswith(data)
    if entry.afters and not entry.is_ours(now) and not torn:
        raise _changed_since(ledger, entry)
    if Form.DIRECTORY in {now.form, before.form} or Form.OTHER in {now.form, before.form}:
        raise NotPutBack(f"it is a {now.form.value} and was a {before.form.value}", "put it right by hand, then name it with --abandon")
    ledger.note(Step.UNDOING, entry.thing)
    if before.form is Form.ABSENT:
        disk.remove(name)
    else:
        disk.make_parents(name)
        if before.form is Form.LINK:
            disk.replace_link(name, before.target)
        else:
            disk.replace(name, content, before)
    _look_again(ledger, entry)
    return ""


def _block(ledger: Ledger, entry: Entry) -> str:
    disk, name = ledger.machine.disk, entry.thing.name
    now, data = disk.seen(name)
    if now.form is not Form.FILE:
        return ""
    before = block_before(ledger, entry)
    whole = disk.seen(f"{ledger.state}/{_IN_PLACE}")[1] if name == HOSTS else b""  # there while the file is written in place
    wanted = _unblocked(ledger, entry, whole or data, before)
    if wanted == data:
        return ""
    digest = hashlib.sha256(wanted).hexdigest()
    ledger.store.keep(digest, wanted)  # a mount point is written in place, and a power cut may leave half of it
    ledger.note(Step.UNDOING, entry.thing, after=replace(now, sha256=digest, size=len(wanted)))
    if entry.before.form is Form.ABSENT and not wanted:
        disk.remove(name)
    else:
        disk.replace(name, wanted, replace(now, changed=0))
    if disk.seen(name)[1] != wanted:
        raise NotPutBack("it is not so after writing", "see what else on this host writes it")
    return ""


def block_before(ledger: Ledger, entry: Entry) -> bytes:
    """Return what a file was before our lines. Where what was kept of it is lost: what is there without them, if its hash says that it is the same."""
    try:
        return ledger.store.content(entry.before)
    except LedgerDamaged:
        rest = without_block(ledger.machine.disk.seen(entry.thing.name)[1], API_NAME.encode())
        for candidate in (rest, rest.removesuffix(b"\n")):
            if hashlib.sha256(candidate).hexdigest() == entry.before.sha256:
                return candidate
        raise


def _unblocked(ledger: Ledger, entry: Entry, data: bytes, before: bytes) -> bytes:
    """Return the file's bytes without our lines: the very bytes of before where nobody else changed it since.

    A power cut may have left the beginning of what was being written in place: with our lines, or without them again.
    """
    if entry.state in {Step.INTENT, Step.UNDOING}:
        written = ledger.store.read(entry.afters[-1].sha256) if entry.afters else b""
        if before.startswith(data) or not data.strip():
            return before or data
        if written.startswith(data):
            data = written
    rest = without_block(data, API_NAME.encode())
    return before if before and rest == before + b"\n" else rest


def _directory(ledger: Ledger, entry: Entry) -> str:
    machine, name, before = ledger.machine, entry.thing.name, entry.before
    now, _ = machine.disk.seen(name)
    if now.form is Form.ABSENT and before.form is Form.ABSENT:
        return ""
    if now.form not in {Form.DIRECTORY, Form.ABSENT}:
        raise NotPutBack("it is no directory any more", "see what it is; then name it with --abandon")
    if mounted := below(machine.mounts(), name):
        listed = ", ".join(mount.target for mount in mounted[:5])
        raise NotPutBack(f"{len(mounted)} file systems are mounted below it, and what is in those is not ours: {listed}", _MOUNTED)
    store = name in _STORES or is_own_directory(entry)
    if store and (foreign := [mount.target for mount in machine.mounts() if FOREIGN_TASK.match(mount.target)]):
        raise NotPutBack(f"containers that are not the cluster's run from it: {', '.join(foreign[:3])}", "stop them, then run reset again")
    if name in SHARED:
        return _parent(ledger, entry) if before.form is Form.ABSENT else ""
    if before.form is Form.ABSENT or before.value == "empty":
        if now.form is Form.DIRECTORY and before.form is Form.ABSENT:
            machine.disk.remove_tree(name)
        elif now.form is Form.DIRECTORY:
            machine.disk.empty(name)
            if before.mode:  # containerd makes its own 0700; an older airseal noted no mode
                machine.disk.dress(name, before)
            machine.disk.sync(name)
        return ""
    if not before.sha256 or (store and now.form is Form.DIRECTORY):
        if now.form is Form.ABSENT:
            raise LedgerDamaged("it was there before with data in it, and is gone", "put it back from a backup, then name it with --abandon")
        return "was there before with data in it: what is in it now stays"
    return restore_tree(ledger, entry)


def _parent(ledger: Ledger, entry: Entry) -> str:
    name = entry.thing.name
    path = ledger.machine.disk.at(name)
    if not path.is_dir() or entry.before.form is not Form.ABSENT:
        return ""
    if others := sorted(child.name for child in path.iterdir()):
        return f"stays: {', '.join(others[:5])} in it {'is' if len(others) == 1 else 'are'} not ours"
    if not path.is_mount():
        ledger.machine.disk.remove_directory(name)
    return ""


def _sysctl(ledger: Ledger, entry: Entry) -> str:
    machine = ledger.machine
    now = look(machine, entry.thing).image
    if now.matches(entry.before) or Form.ABSENT in {now.form, entry.before.form}:
        return ""
    if entry.afters and not entry.is_ours(now):
        raise NotPutBack(
            f"it was {entry.before.value}, we made it {entry.afters[-1].value}, and somebody made it {now.value} since: left alone",
            "set it as it should be, then name it with --abandon",
        )
    ledger.note(Step.UNDOING, entry.thing)
    machine.disk.set(sysctl_path(entry.thing.name), f"{entry.before.value}\n")
    _look_again(ledger, entry)
    return ""


def _module(ledger: Ledger, entry: Entry) -> str:
    if entry.before.form is not Form.ABSENT or look(ledger.machine, entry.thing).image.form is Form.ABSENT:
        return ""
    done = ledger.machine.programs.run("modprobe", "-r", entry.thing.name)
    return "" if done is not None and done.returncode == 0 else "stays loaded until the next restart: it is in use"


def _unit(ledger: Ledger, entry: Entry) -> str:
    """Files are back already, and systemd has read them again."""
    units, name, before = ledger.machine.units, entry.thing.name, entry.before.value
    now = units.state(name)
    if not before:
        if now.endswith(" active"):
            units.do("stop", name)
        with contextlib.suppress(NotPutBack):  # only one that failed has something to forget
            units.do("reset-failed", name)
        return ""
    enabled, _, active = before.partition(" ")
    if enabled == "enabled":
        units.do("reenable", name)  # the link that enables it led to our file
        now = units.state(name)
    if now == before:
        return ""
    if not now:
        raise NotPutBack("its unit file is gone", "install what it belongs to, or name it with --abandon")
    if enabled != now.partition(" ")[0]:
        verb = {"disabled": "disable", "masked": "mask"}.get(enabled)
        if verb is not None:
            units.do(verb, name)
    if active:  # an older airseal noted only whether it was enabled
        units.do("start" if active == "active" else "stop", name)
    after = units.state(name)
    if after != before and not (not active and after.startswith(f"{enabled} ")):
        raise NotPutBack(f"it was {before}, and is {after} now", f"see why: systemctl status {name}")
    return ""


def _look_again(ledger: Ledger, entry: Entry) -> None:
    now: Image = look(ledger.machine, entry.thing).image
    if not now.matches(entry.before):
        raise NotPutBack(f"it is not as it was after putting it back: {now.form.value} {now.value}".rstrip(), "see what else on this host changes it")


def _changed_since(ledger: Ledger, entry: Entry) -> NotPutBack:
    name, before = entry.thing.name, entry.before
    was = {
        Form.ABSENT: "it was not there before",
        Form.LINK: f"before, it was a link to {before.target}",
        Form.FILE: f"what it was before is in {ledger.directory}/content/{before.sha256}",
    }.get(before.form, "")
    return NotPutBack(f"somebody changed it since we wrote it, so it is left alone; {was}", f"make it what it was and run reset again; or let it stay as it is: --abandon {name}")
