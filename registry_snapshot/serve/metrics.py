"""What a server counts, and how Prometheus reads it (text format 0.0.4). Of a request: method, kind and status, no names.

Why not ``prometheus_client``: what is frozen here needs only the standard library, and a hundred lines do (docs/adr/0008).
"""

from __future__ import annotations

import contextlib
import os
import resource
import threading
import time
from collections.abc import Iterator
from enum import IntEnum, auto
from itertools import product
from pathlib import Path

from registry_snapshot.serve.messages import App, Request, Response

METHODS = ("GET", "HEAD", "other")
KINDS = ("manifests", "blobs", "tags", "referrers", "base", "healthz", "metrics", "other")
STATUSES = (200, 206, 304, 307, 400, 401, 403, 404, 405, 408, 414, 416, 429, 431, 500, 502, 503)  # and, after them, any other
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Count(IntEnum):
    """One figure of a server, and its place among them."""

    OPEN = 0
    IDLE = auto()
    IN_FLIGHT = auto()
    THREADS = auto()
    ACCEPTED = auto()
    SENT = auto()
    CUT = auto()
    BUG = auto()
    BAD_REQUEST = auto()
    HANDSHAKE = auto()
    STALLED = auto()
    LOST = auto()
    REFUSED = auto()
    EVICTED = auto()


_GAUGES = {
    "airseal_registry_connections_open": (Count.OPEN, "Connections that are open."),
    "airseal_registry_connections_idle": (Count.IDLE, "Of them, those that wait for a request."),
    "airseal_registry_requests_in_flight": (Count.IN_FLIGHT, "Requests that are being answered."),
    "airseal_registry_threads": (Count.THREADS, "Threads that answer."),
}
_TOTALS = {
    "airseal_registry_connections_accepted_total": (Count.ACCEPTED, "Connections that were accepted."),
    "airseal_registry_sent_bytes_total": (Count.SENT, "Bytes of answers, heads included, that clients' sockets took."),
    "airseal_registry_bodies_cut_total": (Count.CUT, "Bodies that could not be sent whole, so that the connection was closed."),
}
_ERRORS = {
    "bug": Count.BUG,
    "bad_request": Count.BAD_REQUEST,
    "handshake": Count.HANDSHAKE,
    "stalled": Count.STALLED,
    "lost": Count.LOST,
    "refused": Count.REFUSED,
    "evicted": Count.EVICTED,
}
_ERRORS_HELP = (
    "What went wrong: bug (answered 500), bad_request, handshake (TLS failed), stalled (the client was too slow), "
    "lost (the connection broke), refused (no file, thread or place left), evicted (idle or not logged in, and its place was needed)."
)
_FIRST_REQUEST = len(Count)
_ROW = len(STATUSES) + 1
_CELLS = _FIRST_REQUEST + len(METHODS) * len(KINDS) * _ROW
_METHOD_AT = {name: number for number, name in enumerate(METHODS)}
_KIND_AT = {name: number for number, name in enumerate(KINDS)}
_STATUS_AT = {status: number for number, status in enumerate(STATUSES)}


def kind_of(path: str) -> str:
    """Return which kind of thing ``path`` asks for: one of KINDS."""
    if path in {"/v2/", "/v2", "/healthz", "/metrics"}:
        return "base" if path.startswith("/v2") else path[1:]
    pieces = path.rsplit("/", 2)
    if len(pieces) < 3 or not path.startswith("/v2/"):
        return "other"
    return pieces[1] if pieces[1] in {"manifests", "blobs", "referrers", "tags"} else "other"


class Metrics:
    """The figures of one server. Any thread may count."""

    def __init__(self) -> None:
        self._cells = [0] * _CELLS
        self._lock = threading.Lock()
        self._started = time.time()

    def add(self, count: Count, amount: int = 1) -> None:
        """Count."""
        with self._lock:
            self._cells[count] += amount

    def sent(self, amount: int) -> None:
        """Count bytes that a client's socket took."""
        with self._lock:
            self._cells[Count.SENT] += amount

    def set(self, count: Count, value: int) -> None:
        """Say how a gauge stands."""
        self._cells[count] = value

    def answered(self, method: str, path: str, status: int) -> None:
        """Count an answer. Method and path may be empty, of a request that could not be understood."""
        row = _METHOD_AT.get(method, len(METHODS) - 1) * len(KINDS) + _KIND_AT[kind_of(path)]
        place = _FIRST_REQUEST + row * _ROW + _STATUS_AT.get(status, _ROW - 1)
        with self._lock:
            self._cells[place] += 1

    def __getitem__(self, count: Count) -> int:
        return self._cells[count]

    def render(self) -> bytes:
        """Return all figures as Prometheus reads them."""
        return "".join(f"{line}\n" for line in self._lines()).encode()

    def _lines(self) -> Iterator[str]:
        with self._lock:
            cells = tuple(self._cells)
        name = "airseal_registry_requests_total"
        yield f"# HELP {name} Requests that were answered."
        yield f"# TYPE {name} counter"
        rows = product(METHODS, KINDS, (*map(str, STATUSES), "other"))
        for (method, kind, status), value in zip(rows, cells[_FIRST_REQUEST:], strict=True):
            if value:
                yield f'{name}{{method="{method}",kind="{kind}",status="{status}"}} {value}'
        for kind, table in (("counter", _TOTALS), ("gauge", _GAUGES)):
            for name, (count, text) in table.items():
                yield from _figure(name, kind, text, cells[count])
        yield f"# HELP airseal_registry_errors_total {_ERRORS_HELP}"
        yield "# TYPE airseal_registry_errors_total counter"
        for reason, count in _ERRORS.items():
            yield f'airseal_registry_errors_total{{reason="{reason}"}} {cells[count]}'
        yield from _process(self._started)


class WithMetrics:
    """Shows ``app``, and the server's figures under ``/metrics``. A login goes around it, not inside."""

    def __init__(self, app: App, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    def handle(self, request: Request) -> Response:
        """Return the figures, or the app's answer."""
        if request.path != "/metrics" or request.method not in {"GET", "HEAD"}:
            return self._app.handle(request)
        figures = self._metrics.render()
        headers = (("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(figures))))
        return Response(200, headers, figures if request.method == "GET" else None)


def _figure(name: str, kind: str, text: str, value: float) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    yield f"{name} {value}"


def _process(started: float) -> Iterator[str]:
    """Yield what every Prometheus client says of its process, under the names that all of them use."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield from _figure("process_cpu_seconds_total", "counter", "User and system CPU time.", round(used.ru_utime + used.ru_stime, 2))
    yield from _figure("process_start_time_seconds", "gauge", "When the server was made, since 1970.", round(started, 2))
    yield from _figure("process_max_fds", "gauge", "How many files may be open.", files)
    with contextlib.suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        resident = pages * os.sysconf("SC_PAGE_SIZE")
        yield from _figure("process_resident_memory_bytes", "gauge", "Resident memory.", resident)
        yield from _figure("process_open_fds", "gauge", "Files that are open.", sum(1 for _ in Path("/proc/self/fd").iterdir()))
