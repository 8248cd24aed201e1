"""How a command line becomes one that root runs, in a clean environment, whoever logged in.

The password goes to sudo's stdin and nowhere else. sudo is asked with ``-k`` every time, so that a remembered login never
decides whether it reads a password: otherwise the password line could end up in the command's own stdin.
"""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass

from installer_stub.errors import AuthenticationFailed
from installer_stub.host.command import CommandResult, Secret
from installer_stub.host.model import Host
from installer_stub.plan.model import HOME

# RHEL's sudo and a non-login sshd session lack /usr/local/bin and the sbin directories.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": HOME, "USER": "root", "LOGNAME": "root"}  # all that a command sees; caches of its tools go with us
CLEAN = " ".join(("env -i", *(f"{name}={value}" for name, value in ENVIRONMENT.items())))
TIMED_OUT = 124  # what coreutils' timeout(1) ends with
KILL_AFTER = 5  # seconds between TERM and KILL

WITHOUT_PASSWORD = "env LC_ALL=C sudo -k -n "  # noqa: S105 - LC_ALL=C: its complaints are read below
WITH_PASSWORD = "env LC_ALL=C sudo -k -S -p '' "  # noqa: S105


@dataclass(frozen=True, slots=True)
class Become:
    """Root by login (no prefix), by sudo without a password, or by sudo with one."""

    prefix: str = ""
    password: Secret | None = None

    def line(self, text: str, timeout: float | None = None) -> str:
        """Return what a shell is given to become ``text`` as root. ``timeout`` also ends it on the host."""
        limit = f"timeout -k {KILL_AFTER} {math.ceil(timeout)} " if timeout is not None else ""
        # "cd /": the login directory may be on an NFS share that root may not read.
        return f"exec {self.prefix}{CLEAN} {limit}/bin/sh -c {shlex.quote(f'cd /; {text}')}"

    def stdin(self) -> bytes:
        """Return what must be sent before the command's own stdin."""
        return b"" if self.password is None else self.password.reveal().encode() + b"\n"


# cat proves that sudo, not the command, has read the password line. The second line is for login shells: csh takes none.
PROBE = "id -u && cat\n: every script of ours has more than one line"


def was_understood(result: CommandResult) -> bool:
    """Tell whether the login shell took PROBE as it stands, and said nothing of its own."""
    return result.ok and result.stdout.strip("\n").isdecimal() and result.stdout.count("\n") == 1


def proves_root(result: CommandResult) -> bool:
    """Tell whether PROBE ran as root and found its stdin empty."""
    return result.ok and result.stdout == "0\n"


def refusal(host: Host, result: CommandResult, *, password: bool) -> AuthenticationFailed:
    """Return why sudo did not make us root. ``password`` says whether it was given one. Never quotes what was sent."""
    said = result.stderr.lower()
    user = host.user
    if result.ok and result.stdout.endswith("0\n"):
        problem = f"the login shell of {user} prints text of its own: {result.stdout[:60]!r}"
        remedy = f"make ~{user}/.bashrc silent for shells that are not interactive"
    elif result.status == 127 or "sudo: not found" in said or "no such file or directory" in said:
        problem, remedy = f"there is no sudo for {user}", "install sudo on the host, or log in as root: --user root"
    elif "tty" in said and "required" in said.replace("must have", "required") and not _wants_password(said):
        problem = f"sudo wants a terminal for {user} (requiretty)"
        remedy = f"add 'Defaults:{user} !requiretty' with visudo on the host"
    elif "not in the sudoers" in said or "not allowed" in said or "may not run" in said:
        problem, remedy = f"{user} may not use sudo", f"let {user} run every command with visudo on the host, or use --user root"
    elif password and ("sorry" in said or "incorrect" in said or _wants_password(said)):
        problem, remedy = f"sudo refused the password of {user}", "run again with --ask-become-pass and give the right one"
    elif not password and _wants_password(said):
        problem, remedy = f"sudo asks {user} for a password", "run again with --ask-become-pass"
    elif result.status == TIMED_OUT:
        problem = f"sudo does not answer for {user}"
        remedy = f"try 'sudo id' as {user} on the host: what stands behind its PAM (a directory server, a second factor) may hang"
    elif result.ok:
        problem, remedy = f"sudo did not make {user} root", "check the sudo policy of the host"
    else:
        problem = f"sudo failed for {user} with status {result.status}"
        remedy = f"try 'sudo id' as {user} on the host"
    return AuthenticationFailed(host.address, problem, remedy)


def _wants_password(said: str) -> bool:
    return "password is required" in said or "no password was provided" in said or "to read the password" in said
