"""One channel to a program as root that speaks in both directions, whatever login shell stands in front of it.

The login shell is given one word without a quote, ``exec /bin/sh``: csh, fish and all others understand it. What it said
before (rc files, banners) is skipped up to a random line that the new shell prints; only then, when nothing else reads
stdin, does sudo get its password, and after it the program all that follows.
"""

from __future__ import annotations

import secrets
import threading
from typing import Final

from installer_stub.agent.frames import skip_to
from installer_stub.host.become import Become
from installer_stub.host.exchange import Channel

SHELL: Final = "exec /bin/sh"
BEGIN_SECONDS: Final = 60.0  # PAM with a directory server behind it


def begin(channel: Channel, become: Become, text: str, *, timeout: float | None = None, seconds: float = BEGIN_SECONDS) -> bytes:
    """Make the shell at the other end of ``channel`` become ``text`` as root; return what was read behind the marker.

    ``timeout`` ends it on the host, too.

    Raises FrameError when it never comes to that: within ``seconds`` the channel is closed. OSError, EOFError: it is lost.
    """
    first, second = secrets.token_hex(8), secrets.token_hex(8)
    # In two halves: a terminal or a shell that echoes its input must not be taken for the answer.
    line = f"printf '\\n%s%s\\n' {first} {second}; {become.line(text, timeout)}\n"
    watch = threading.Timer(seconds, channel.close)
    watch.daemon = True
    watch.start()
    try:
        channel.sendall(line.encode())
        _, behind = skip_to(f"\n{first}{second}\n".encode(), channel.recv)
        if password := become.stdin():
            channel.sendall(password)
    finally:
        watch.cancel()
    return behind


