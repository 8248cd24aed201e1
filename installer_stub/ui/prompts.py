"""Questions to the operator. A password is typed, never shown; where nobody sits, a question is an error with a remedy."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Sequence

from installer_stub.errors import Interrupted, UsageError
from installer_stub.host.command import Secret
from installer_stub.host.known_hosts import Confirm, FirstContact
from installer_stub.ui.printable import printable, say


def is_interactive() -> bool:
    """Tell whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask_secret(prompt: str) -> Secret:
    """Return what is typed at the terminal, unseen; without a terminal the next line of stdin. Raises UsageError."""
    if not sys.stdin.isatty():
        line = sys.stdin.readline()
        if not line:
            raise UsageError(f"{prompt}: nobody to ask, and nothing on stdin", "write the password to stdin, or use --identity")
        return Secret(line.rstrip("\n"))
    try:
        return Secret(getpass.getpass(f"{prompt}: "))
    except EOFError:
        raise Interrupted(f"{prompt}: no answer") from None


def ask(prompt: str) -> str:
    """Return a line that is typed at the terminal. Raises Interrupted where none comes."""
    say(f"{printable(prompt, lines=False)}: ", end="", stream=sys.stderr)
    line = sys.stdin.readline()
    if not line:
        raise Interrupted(f"{prompt}: no answer")
    return line.strip()


def ask_passphrase(path: str) -> Secret:
    """Return the passphrase of a private key."""
    return ask_secret(f"Passphrase of {path}")


def secret_values() -> Callable[[str], Secret] | None:
    """Return how a value that is missing is asked for: typed, unseen, where a person sits; nowhere else."""
    return _ask_value if is_interactive() else None


def _ask_value(prompt: str) -> Secret:
    return ask_secret(printable(prompt, lines=False))  # the words are the bundle's


def confirm(question: str) -> bool:
    """Ask yes or no until one of them comes; end of input means no."""
    while True:
        say(f"{question} [yes/no] ", end="", stream=sys.stderr)
        answer = sys.stdin.readline()
        if not answer or answer.strip().lower() in {"n", "no"}:
            return False
        if answer.strip().lower() in {"y", "yes"}:
            return True


def host_keys() -> Confirm | None:
    """Return how new host keys are confirmed: shown and asked about, or not at all. No option answers for a person who looked."""
    return _show_and_ask if is_interactive() else None


def _show(new: Sequence[FirstContact]) -> None:
    width = max(len(contact.host.address) for contact in new)
    for contact in new:
        say(f"  {contact.host.address:{width}}  {contact.key.kind} {contact.key.fingerprint}", stream=sys.stderr)


def _show_and_ask(new: Sequence[FirstContact]) -> bool:
    say("First contact with these hosts. Compare on each: cat /etc/ssh/ssh_host_*_key.pub | ssh-keygen -lf -", stream=sys.stderr)
    _show(new)
    return confirm("Are these the right hosts?")
