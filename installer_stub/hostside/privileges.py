"""From root to a user that owns nothing, for good."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from installer_stub.errors import UsageError


def drop_privileges(number: int) -> None:
    """Become the user and the group ``number``, in no other group. What is open stays open. Nobody need have that number.

    Call it before there are threads. Raises UsageError for root's own number, and where this process may not do it.
    """
    if number <= 0:
        raise UsageError(f"--become {number} is not a user without privileges", "name the number of another user")
    unpacked = getattr(sys, "_MEIPASS", None)
    try:
        # A one-file program reads its libraries from there when it first needs them: mode 0700. On hosts it is one directory.
        if unpacked is not None and not Path(unpacked).stat().st_mode & stat.S_IXOTH:
            Path(unpacked).chmod(0o755)
        os.setgroups([])
        os.setresgid(number, number, number)
        os.setresuid(number, number, number)
    except OSError as error:
        raise UsageError(f"--become {number}: this process may not become that user: {error.strerror}", "run it as root, or leave the option out") from None
    if os.getresuid() != (number,) * 3 or os.getresgid() != (number,) * 3 or os.getgroups():
        raise UsageError(f"--become {number}: this process is still {os.getresuid()}", "report this: it is a bug")
