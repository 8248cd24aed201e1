"""Host keys: known, new, or changed.

Keys are looked up in the operator's own ``~/.ssh/known_hosts`` and ``/etc/ssh/ssh_known_hosts``, which are only read, and
in a file of ours beside the kubeconfig, where new keys are pinned; or, with ``--known-hosts FILE``, in that file alone.
First contact: every new host's fingerprint is shown at once and one question asked for all of them. A host that is known
by any key and shows another one is always refused.

Format: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from installer_stub.errors import HostError, HostKeyRejected, HostsFailed, UsageError
from installer_stub.host.model import Host

SYSTEM_FILE = Path("/etc/ssh/ssh_known_hosts")


@dataclass(frozen=True, slots=True)
class HostKey:
    """A host's public key: ``kind`` as in the file (``ssh-ed25519``), ``blob`` in base64."""

    kind: str
    blob: str

    @property
    def fingerprint(self) -> str:
        """Return it the way ``ssh`` and ``ssh-keygen -l`` show it."""
        digest = hashlib.sha256(base64.b64decode(self.blob)).digest()
        return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A line of a known_hosts file."""

    patterns: str
    key: HostKey
    file: Path
    line: int
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class FirstContact:
    """A host whose key nobody has seen yet."""

    host: Host
    key: HostKey


Confirm = Callable[[Sequence[FirstContact]], bool]  # shows the fingerprints, tells whether they may be pinned


def name_of(host: Host) -> str:
    """Return the host's name in a known_hosts file."""
    return host.address if host.port == 22 else f"[{host.address}]:{host.port}"


def parse_known_hosts(text: str, file: Path) -> tuple[KnownKey, ...]:
    """Return the lines that name a key. Comments, certificate authorities and torn lines are passed over, as ssh does."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
        if len(fields) < 3 or fields[0].startswith("#") or marker not in {"", "@revoked"}:
            continue
        try:
            base64.b64decode(fields[2], validate=True)
        except binascii.Error:
            continue
        found.append(KnownKey(fields[0], HostKey(fields[1], fields[2]), file, number, bool(marker)))
    return tuple(found)


def matches(patterns: str, name: str) -> bool:
    """Tell whether a line's first field means ``name``: hashed, or a list with wildcards and ``!``."""
    if patterns.startswith("|1|"):
        try:
            _, _, salt, hashed = patterns.split("|")
            expected = hmac.new(base64.b64decode(salt), name.encode(), "sha1").digest()
            return hmac.compare_digest(expected, base64.b64decode(hashed))
        except (ValueError, binascii.Error):
            return False
    found = False
    for pattern in patterns.split(","):
        # Brackets are literal in known_hosts, and a class for fnmatch.
        if fnmatch.fnmatchcase(name.lower(), pattern.removeprefix("!").lower().replace("[", "[[]")):
            if pattern.startswith("!"):
                return False
            found = True
    return found


class HostKeyPolicy:
    """Which keys are taken. ``confirm`` None means that nobody can be asked and nothing was allowed beforehand."""

    def __init__(self, read: Sequence[Path], pin: Path, confirm: Confirm | None) -> None:
        self._pin = pin
        self._confirm = confirm
        self._known = [known for file in dict.fromkeys((*read, pin)) for known in _load(file)]

    @classmethod
    def of(cls, known_hosts: str | None, beside: Path, confirm: Confirm | None) -> HostKeyPolicy:
        """Return the policy for ``--known-hosts``; ``beside`` is the kubeconfig's directory."""
        if known_hosts is not None:
            return cls((), Path(known_hosts).expanduser(), confirm)
        return cls((Path("~/.ssh/known_hosts").expanduser(), SYSTEM_FILE), beside / "known_hosts", confirm)

    def known(self, host: Host) -> tuple[KnownKey, ...]:
        """Return the lines about ``host``."""
        return tuple(known for known in self._known if matches(known.patterns, name_of(host)))

    def kinds(self, host: Host) -> tuple[str, ...]:
        """Return the kinds of key we know of ``host``: they are asked for first, else another kind looks like a change."""
        return tuple(dict.fromkeys(known.key.kind for known in self.known(host) if not known.revoked))

    def check(self, presented: Sequence[FirstContact]) -> None:
        """Accept every key or raise: HostKeyRejected for one host, HostsFailed for several. New keys are pinned."""
        failures: list[HostError] = []
        new: list[FirstContact] = []
        for contact in presented:
            known = self.known(contact.host)
            if any(line.revoked and line.key == contact.key for line in known):
                failures.append(_revoked(contact, known))
            elif any(line.key == contact.key for line in known):
                continue
            elif any(not line.revoked for line in known):
                failures.append(_changed(contact, known))
            else:
                new.append(contact)
        if not failures and new:
            failures.extend(self._first_contact(new))
        if len(failures) == 1:
            raise failures[0]
        if failures:
            raise HostsFailed(failures)

    def _first_contact(self, new: Sequence[FirstContact]) -> list[HostError]:
        if self._confirm is not None and self._confirm(new):
            self._pin_all(new)
            return []
        why = "nobody confirmed it" if self._confirm is not None else "nobody can be asked here"
        return [
            HostKeyRejected(
                contact.host.address,
                f"its {contact.key.kind} key {contact.key.fingerprint} is not known, and {why}",
                "compare it with 'cat /etc/ssh/ssh_host_*_key.pub | ssh-keygen -lf -' on the host's console, "
                "then run with --yes, which pins it",
            )
            for contact in new
        ]

    def _pin_all(self, new: Sequence[FirstContact]) -> None:
        lines = "".join(f"{name_of(contact.host)} {contact.key.kind} {contact.key.blob}\n" for contact in new)
        try:
            self._pin.parent.mkdir(parents=True, exist_ok=True)
            with self._pin.open("a+b") as file:
                if file.tell() and not _ends_with_newline(file.fileno()):
                    lines = f"\n{lines}"
                file.write(lines.encode())
        except OSError as error:
            raise UsageError(
                f"host keys cannot be pinned in {self._pin}: {error.strerror}", "name a writable file with --known-hosts FILE"
            ) from None
        self._known.extend(KnownKey(name_of(contact.host), contact.key, self._pin, 0) for contact in new)


def _ends_with_newline(fd: int) -> bool:
    return os.pread(fd, 1, os.fstat(fd).st_size - 1) == b"\n"


def _load(file: Path) -> tuple[KnownKey, ...]:
    try:
        return parse_known_hosts(file.read_text(encoding="utf-8", errors="replace"), file)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", "name another file with --known-hosts FILE") from None


def _changed(contact: FirstContact, known: Sequence[KnownKey]) -> HostKeyRejected:
    lines = [line for line in known if not line.revoked]
    places = ", ".join(f"{line.file}:{line.line} has {line.key.kind} {line.key.fingerprint}" for line in lines)
    files = " and ".join(f"ssh-keygen -f {file} -R '{name_of(contact.host)}'" for file in dict.fromkeys(line.file for line in lines))
    return HostKeyRejected(
        contact.host.address,
        f"the host key has CHANGED: {places}; the host now shows {contact.key.kind} {contact.key.fingerprint}",
        f"another machine may be answering. If the host was installed anew, compare on its console, then: {files}",
    )


def _revoked(contact: FirstContact, known: Sequence[KnownKey]) -> HostKeyRejected:
    line = next(line for line in known if line.revoked and line.key == contact.key)
    return HostKeyRejected(
        contact.host.address,
        f"its key {contact.key.fingerprint} is revoked by {line.file}:{line.line}",
        "give the host a new key, or remove that line if it is wrong",
    )
