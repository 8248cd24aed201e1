"""What the agent is busy with: each request has a number, a thread, and a bounded queue of what is sent to it."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from installer_stub.agent.frames import Frame
from installer_stub.errors import FrameError

WINDOW: Final = 8 << 20  # bytes that may be on their way to one request: enough for 1 Gbit/s at 60 ms
MOST_AT_ONCE: Final = 256
_END_SECONDS: Final = 10.0

Send = Callable[[Frame], None]


class Stopped(Exception):
    """The operator gave this request up."""


class Request:
    """One question under way, as its worker sees it."""

    def __init__(self, frame: Frame, send: Send) -> None:
        self.frame = frame
        self._send = send
        self._arrived: deque[Frame] = deque()
        self._change = threading.Condition()
        self._waiting = 0  # bytes that have arrived and nobody has taken
        self._stopped = False
        self._on_stop: list[Callable[[], None]] = []

    def answer(self, kind: str, payload: bytes = b"", **fields: object) -> None:
        """Send a frame of this request."""
        self._send(Frame(self.frame.id, kind, fields, payload))

    def next(self) -> Frame:
        """Wait for the next frame of this request: data, go or end. Raises Stopped."""
        with self._change:
            while not self._arrived and not self._stopped:
                self._change.wait()
            if self._stopped:
                raise Stopped
            frame = self._arrived.popleft()
            self._waiting -= len(frame.payload)
        if frame.payload:
            self.answer("ack", size=len(frame.payload))
        return frame

    def arrive(self, frame: Frame) -> None:
        """Take a frame for the worker. Raises FrameError for more bytes than the window has room for."""
        with self._change:
            self._waiting += len(frame.payload)
            if self._waiting > WINDOW:
                raise FrameError(f"request {frame.id}: more than {WINDOW} bytes sent ahead")
            self._arrived.append(frame)
            self._change.notify_all()

    def on_stop(self, act: Callable[[], None]) -> None:
        """Do ``act`` when the request is given up; at once if it was already."""
        with self._change:
            self._on_stop.append(act)
            if not self._stopped:
                return
        act()

    def stop(self) -> None:
        """Give the request up: its worker wakes, what it started is ended."""
        with self._change:
            self._stopped = True
            acts = tuple(self._on_stop)
            self._change.notify_all()
        for act in acts:
            act()


Worker = Callable[[Request], None]


class Requests:
    """All that are under way."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._running: dict[int, tuple[Request, threading.Thread]] = {}
        self._last = 0

    def begin(self, frame: Frame, worker: Worker) -> None:
        """Let ``worker`` answer ``frame``. Raises FrameError for a number that was used before."""
        request = Request(frame, self._send)
        with self._lock:
            if frame.id <= self._last:
                raise FrameError(f"request {frame.id} comes after {self._last}")
            if len(self._running) >= MOST_AT_ONCE:
                raise FrameError(f"more than {MOST_AT_ONCE} requests at once")
            self._last = frame.id
            thread = threading.Thread(target=self._work, args=(request, worker), name=f"request-{frame.id}", daemon=True)
            self._running[frame.id] = (request, thread)
        thread.start()

    def pass_on(self, frame: Frame) -> None:
        """Give a frame to its request; one that has ended needs it no more."""
        with self._lock:
            found = self._running.get(frame.id)
            last = self._last
        if found is None:
            if not 0 < frame.id <= last:
                raise FrameError(f"{frame.kind} for request {frame.id}, which never began")
            return
        if frame.kind == "stop":
            found[0].stop()
        else:
            found[0].arrive(frame)

    def end(self) -> None:
        """Give all up and wait for their workers, but not for ever: a worker may hang in a dead disk."""
        with self._lock:
            running = tuple(self._running.values())
        for request, _ in running:
            threading.Thread(target=request.stop, daemon=True).start()  # each may wait for its processes
        for _, thread in running:
            thread.join(_END_SECONDS)

    def _work(self, request: Request, worker: Worker) -> None:
        try:
            self._judge(request, worker)
        except OSError:
            pass  # nobody is there to hear it
        finally:
            with self._lock:
                self._running.pop(request.frame.id, None)
            request.stop()  # wakes a helper of its worker that waits for more

    @staticmethod
    def _judge(request: Request, worker: Worker) -> None:
        try:
            worker(request)
        except Stopped:
            request.answer("stopped")
        except FrameError as error:
            request.answer("failed", problem=error.problem)
        except OSError as error:
            request.answer("failed", problem=f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
        except Exception as error:
            # The operator must not wait for ever for a worker of ours that fell over.
            with contextlib.suppress(OSError):
                request.answer("failed", problem=f"the agent failed: {type(error).__name__}: {error}")
            raise
