"""Host keys: known, new, or changed.

Keys are looked up in the operator's own ``~/.ssh/known_hosts`` and ``/etc/ssh/ssh_known_hosts``, which are only read, and
in a file of ours, ``~/.config/airseal/known_hosts``, where new keys are pinned whatever the current directory is; or, with
``--known-hosts FILE``, in that file alone. A file in which others can pin is not read.
First contact: every new host's fingerprint is shown at once and one question asked for all of them; where nobody sits,
fingerprints are given beforehand (``--host-key``). A host that is known by any key and shows another one is always refused.

Format: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
import os
import stat
from collections.abc import Callable, Mapping, Sequence
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
    """Which keys are taken. ``confirm`` None means that nobody can be asked.

    ``expected`` are the fingerprints that were given beforehand, by address: such a host has one of them or is refused.
    """

    def __init__(
        self, read: Sequence[Path], pin: Path, confirm: Confirm | None, expected: Mapping[str, frozenset[str]] | None = None
    ) -> None:
        self._pin = pin
        self._confirm = confirm
        self._expected = expected or {}
        _check_private(pin)
        self._known = [known for file in dict.fromkeys((*read, pin)) for known in _load(file)]

    @classmethod
    def of(cls, known_hosts: str | None, confirm: Confirm | None, expected: Mapping[str, frozenset[str]] | None = None) -> HostKeyPolicy:
        """Return the policy for ``--known-hosts``. Raises UsageError for a file in which others can pin."""
        try:
            if known_hosts is not None:
                return cls((), Path(known_hosts).expanduser(), confirm, expected)
            return cls((Path("~/.ssh/known_hosts").expanduser(), SYSTEM_FILE), pin_file(), confirm, expected)
        except RuntimeError:  # this user has no home
            raise UsageError("there is no home directory to keep host keys in", "name a file with --known-hosts FILE") from None

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
            expected = self._expected.get(contact.host.address)
            if any(line.revoked and line.key == contact.key for line in known):
                failures.append(_revoked(contact, known))
            elif expected is not None and contact.key.fingerprint not in expected:
                failures.append(_unexpected(contact, expected))
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
        given = [contact for contact in new if contact.host.address in self._expected]
        new = [contact for contact in new if contact not in given]
        if not new or (self._confirm is not None and self._confirm(new)):
            self._pin_all([*given, *new])
            return []
        why = "nobody confirmed it" if self._confirm is not None else "nobody can be asked here"
        return [
            HostKeyRejected(
                contact.host.address,
                f"its {contact.key.kind} key {contact.key.fingerprint} is not known, and {why}",
                "compare it with 'cat /etc/ssh/ssh_host_*_key.pub | ssh-keygen -lf -' on the host's console, "
                f"then run at a terminal, or with --host-key {contact.host.address}={contact.key.fingerprint}",
            )
            for contact in new
        ]

    def _pin_all(self, new: Sequence[FirstContact]) -> None:
        lines = "".join(f"{name_of(contact.host)} {contact.key.kind} {contact.key.blob}\n" for contact in new)
        try:
            self._pin.parent.parent.mkdir(parents=True, exist_ok=True)
            self._pin.parent.mkdir(0o700, exist_ok=True)
            descriptor = os.open(self._pin, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
            with os.fdopen(descriptor, "a+b") as file:
                if file.tell() and not _ends_with_newline(file.fileno()):
                    lines = f"\n{lines}"
                file.write(lines.encode())
        except OSError as error:
            raise UsageError(
                f"host keys cannot be pinned in {self._pin}: {error.strerror}", "name a writable file with --known-hosts FILE"
            ) from None
        self._known.extend(KnownKey(name_of(contact.host), contact.key, self._pin, 0) for contact in new)


def pin_file() -> Path:
    """Return where new keys are pinned: one place for every verb, from whatever directory it is called. Raises RuntimeError."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config").absolute() / "airseal" / "known_hosts"


def _check_private(file: Path) -> None:
    """Refuse a file that another user could have written: what stands in it is believed without a question."""
    try:
        found = file.stat()
    except OSError:  # reading it says why
        return
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"{file} is no file", "name another file with --known-hosts FILE")
    if found.st_mode & 0o022 or found.st_uid not in {0, os.geteuid()}:
        raise UsageError(
            f"others than you can write {file}: whoever did could let another machine pass for a host",
            f"look at what stands in it, then: chown {os.geteuid()} {file}; chmod 600 {file}",
        )


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
        f"another machine may be answering. If the host was installed anew, compare on its console, then: {files}. "
        "If this is another site with the same addresses, give it a file of its own: --known-hosts FILE",
    )


def _unexpected(contact: FirstContact, expected: frozenset[str]) -> HostKeyRejected:
    return HostKeyRejected(
        contact.host.address,
        f"it shows the {contact.key.kind} key {contact.key.fingerprint}, and was to have {' or '.join(sorted(expected))}",
        "another machine may be answering; a host has one key of each kind: give this kind's too, if it is the host's",
    )


def _revoked(contact: FirstContact, known: Sequence[KnownKey]) -> HostKeyRejected:
    line = next(line for line in known if line.revoked and line.key == contact.key)
    return HostKeyRejected(
        contact.host.address,
        f"its key {contact.key.fingerprint} is revoked by {line.file}:{line.line}",
        "give the host a new key, or remove that line if it is wrong",
    )
