"""paramiko's Transport, made to keep the order of what it says of one channel. Import it where a connection is made, not before.

paramiko makes the end of a channel's input, and what is written to it, while it holds the channel's lock, and sends it when it has let
go of that. The thread that reads answers a command's end with CLOSE in the same moment, so CLOSE may go first; OpenSSH then ends the
whole connection ("ieof packet referred to nonexistent channel": packet_disconnect in channels.c). Seen once in some ten thousand commands.
"""

from __future__ import annotations

from typing import Any, Final

import paramiko
from paramiko.message import Message

# RFC 4254, sections 5 and 9: messages that name a channel by the other side's number, in the four bytes behind the type.
_OF_A_CHANNEL: Final = range(93, 99)  # WINDOW_ADJUST, DATA, EXTENDED_DATA, EOF, CLOSE, REQUEST
_OPEN, _CONFIRMED, _CLOSE, _REQUEST = 90, 91, 97, 98
_SESSION: Final = b"\0\0\0\7session"


class OrderedTransport(paramiko.Transport):
    """A Transport that says nothing more of a channel once it has closed it: whatever was overtaken is of no use to anybody.

    The other side gives the numbers of its ends out again. A number is a new channel's from the first message that there can be of it:
    the request of a session, which we opened, or our confirmation of a channel that it opened (what a relay forwards).
    """

    def __init__(self, sock: Any) -> None:
        super().__init__(sock)
        self._closed: set[bytes] = set()  # numbers of the other side's ends

    def _send_message(self, data: Message) -> None:
        # Messages of channels come one at a time: _send_user_message holds clear_to_send_lock. Those before channels come first of all.
        with data.packet.getbuffer() as raw:
            kind, rest = raw[0], bytes(raw[1 : 1 + len(_SESSION)])
        if self._is_late(kind, rest):
            return
        super()._send_message(data)  # type: ignore[misc]

    def _is_late(self, kind: int, rest: bytes) -> bool:
        closed, channel = self._closed, rest[:4]
        if kind == _OPEN and rest != _SESSION:  # no request need come first: which number it gets, only the answer says
            closed.clear()
        elif kind in {_CONFIRMED, _REQUEST}:
            closed.discard(channel)
        elif kind == _CLOSE:
            closed.add(channel)
        elif kind in _OF_A_CHANNEL:
            return channel in closed
        return False
