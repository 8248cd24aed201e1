"""An error nobody foresaw: a short block for the screen, everything else in a file."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
import traceback

from installer_stub.ui.printable import say
from installer_stub.version import VERSION


def report_crash(error: Exception, verb: str) -> int:
    """Write the traceback to a file only its owner can read, say where it is, and return exit code 70 (EX_SOFTWARE).

    A traceback has names and lines, no values; the command line is not written down.
    """
    notes = "".join(f"  {note}\n" for note in getattr(error, "__notes__", ()))
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    facts = (
        f"airseal {VERSION}, verb {verb}, Python {platform.python_version()}, {platform.platform()}, "
        f"{'frozen' if getattr(sys, 'frozen', False) else 'from source'}"
    )
    text = "".join(traceback.format_exception(error))
    try:
        fd, path = tempfile.mkstemp(prefix=f"airseal-crash-{stamp}-", suffix=".log")
        with os.fdopen(fd, "w", errors="backslashreplace") as stream:
            stream.write(f"{facts}\n\n{text}")
        where = f"the traceback is in {path}"
    except OSError:
        where = text  # no disk to write to: then the screen has to do
    say(
        f"error: airseal failed in a way that nobody foresaw: {type(error).__name__}: {error}\n"
        f"  {facts}\n"
        f"  {where}\n{notes}"
        "what to do: run the same command again; if it repeats, report it with these files",
        stream=sys.stderr,
    )
    return 70
