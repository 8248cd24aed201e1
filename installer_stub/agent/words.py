"""Words of the stub that the agent answers itself, where ``run`` would unpack and start the stub once more for each.

What does them is given to the agent: the same functions that answer ``airseal host WORD`` do it. Each word has its own lock on
the host's disk, so that two requests, of one run or of two, wait for each other as two processes do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from installer_stub.agent.frames import CHUNK, Frame
from installer_stub.agent.requests import Request
from installer_stub.errors import (
    CommandFailed,
    CouldNotTell,
    FrameError,
    InstallerError,
    LedgerDamaged,
    LedgerError,
    NotPutBack,
)
from installer_stub.host.model import Host
from registry_snapshot.errors import RegistryError

MOST_STDIN: Final = 128 << 20  # bytes: files of the most that a ledger keeps, in base64
_LONGEST: Final = 16384  # characters of a problem: it travels in a header
_NAMED: Final = {kind.__name__: kind for kind in (LedgerError, LedgerDamaged, CouldNotTell, NotPutBack)}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a word says: exit status, and its two outputs."""

    status: int = 0
    out: str = ""
    err: str = ""


Words = Callable[[Sequence[str], bytes], Answer]  # the word with its options, and stdin. Raises InstallerError, RegistryError


def no_words(argv: Sequence[str], _stdin: bytes) -> Answer:
    """Know no word."""
    raise FrameError(f"there is no word {list(argv)!r} here")


class Answering:
    """Answers ``word``: ``done`` with the status, or with the name, problem and remedy of the error that it raised."""

    def __init__(self, words: Words) -> None:
        self._words = words

    def __call__(self, request: Request) -> None:
        """Do the word. Raises Stopped, FrameError."""
        argv = _argv(request.frame)
        stdin = _stdin(request)
        try:
            answer = self._words(argv, stdin)
        except (InstallerError, RegistryError) as error:
            problem, remedy = error.problem[:_LONGEST], error.remedy[:_LONGEST]
            request.answer("done", status=getattr(error, "exit_code", 1), error=type(error).__name__, problem=problem, remedy=remedy)
            return
        for kind, text in (("out", answer.out), ("err", answer.err)):
            data = text.encode()
            for start in range(0, len(data), CHUNK):
                request.answer(kind, data[start : start + CHUNK])
        request.answer("done", status=answer.status)


def _argv(frame: Frame) -> tuple[str, ...]:
    argv = frame.fields.get("argv")
    if not isinstance(argv, list) or not argv or not all(isinstance(word, str) for word in argv):
        raise FrameError("word: argv is no list of texts")
    return tuple(argv)


def _stdin(request: Request) -> bytes:
    data = bytearray()
    while (frame := request.next()).kind == "data":
        data += frame.payload
        if len(data) > MOST_STDIN:
            raise FrameError(f"word: more than {MOST_STDIN} bytes")
    return bytes(data)


def error_of(host: Host, end: Frame) -> InstallerError | None:
    """Return the error that a word ended with, with the host's address; None where it ended with none.

    Those of the ledger keep their names; any other is a CommandFailed.
    """
    name = end.fields.get("error")
    if not isinstance(name, str):
        return None
    problem, remedy = end.text("problem"), end.text("remedy")
    kind = _NAMED.get(name)
    if kind is None:
        return CommandFailed(host.address, problem, remedy, status=end.number("status"))
    return kind(f"{host.address}: {problem}", remedy)
