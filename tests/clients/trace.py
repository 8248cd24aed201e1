"""What a client sent and what it was answered, kept as small files that do not change by themselves."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from registry_snapshot.serve.messages import Headers, Request

DIRECTORY = Path(__file__).parents[1] / "fixtures" / "traces"
HOST = "registry.site:5000"
"""Stands in traces where a client named our address."""

_SENT = ("Accept", "Accept-Encoding", "Host", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "Range", "User-Agent")
_ANSWERED = ("Accept-Ranges", "Content-Length", "Content-Range", "Content-Type", "Docker-Content-Digest", "ETag", "OCI-Namespace")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+(:\d+)?")


@dataclass(frozen=True)
class Exchange:
    """One request and the head of its answer. ``has_login``: an Authorization header came; its value is kept nowhere."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    status: int
    answered: tuple[tuple[str, str], ...]
    has_login: bool = False

    @classmethod
    def of(cls, method: str, target: str, sent: Headers, status: int, answered: Headers) -> Exchange:
        # The length of an error's text is nobody's business; what clients read is the status.
        kept = [name for name in _ANSWERED if status < 400 or name != "Content-Length"]
        return cls(
            method,
            target,
            # Sorted: docker sends its Accept lines in another order each time.
            tuple((name, _plain(name, line)) for name in _SENT for line in sorted(sent.all(name))),
            status,
            tuple((name, line) for name in kept for line in answered.all(name)),
            sent.get("Authorization") is not None,
        )

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def request(self) -> Request:
        """Return the request, to be asked again."""
        return Request.of(self.method, self.target, Headers(self.headers), "10.0.0.2")

    def to_json(self) -> dict[str, object]:
        return {
            "request": f"{self.method} {self.target}",
            "headers": [f"{name}: {value}" for name, value in self.headers],
            "status": self.status,
            "answered": [f"{name}: {value}" for name, value in self.answered],
        }

    @classmethod
    def from_json(cls, value: dict[str, object]) -> Exchange:
        method, _, target = str(value["request"]).partition(" ")
        return cls(method, target, _lines(value["headers"]), int(str(value["status"])), _lines(value["answered"]))


@dataclass(frozen=True)
class Trace:
    """What one client sent in one scenario. ``recorded``: the references that a recording of it holds, sorted."""

    client: str
    scenario: str
    recorded: tuple[str, ...]
    exchanges: tuple[Exchange, ...]

    @property
    def name(self) -> str:
        return f"{self.client}-{self.scenario}"

    def write(self, directory: Path = DIRECTORY) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        value = {
            "client": self.client,
            "scenario": self.scenario,
            "recorded": list(self.recorded),
            "exchanges": [exchange.to_json() for exchange in in_order(self.exchanges)],
        }
        (directory / f"{self.name}.json").write_text(json.dumps(value, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Trace:
        value = json.loads(path.read_text())
        exchanges = tuple(map(Exchange.from_json, value["exchanges"]))
        return cls(value["client"], value["scenario"], tuple(value["recorded"]), exchanges)


def read_all(directory: Path = DIRECTORY) -> tuple[Trace, ...]:
    """Return every trace that is kept, by name."""
    return tuple(Trace.read(path) for path in sorted(directory.glob("*.json")))


def in_order(exchanges: Iterable[Exchange]) -> tuple[Exchange, ...]:
    """Return exchanges as they came, with those sorted that clients send at the same time: blobs, children of an index."""
    ordered: list[Exchange] = []
    for _, group in itertools.groupby(exchanges, lambda one: (one.method, "/blobs/" in one.path, "/manifests/sha256:" in one.path)):
        first, *rest = group
        at_once = "/blobs/" in first.path
        # Of manifests the first is the index: to ask for a child before it would mean another thing.
        run = [first, *rest] if at_once else rest
        ordered += [*([] if at_once else [first]), *sorted(run, key=lambda one: one.target)]
    return tuple(ordered)


def _plain(name: str, line: str) -> str:
    if name == "User-Agent":
        return line.split(" ", maxsplit=1)[0]  # docker adds the kernel it runs on
    return HOST if name == "Host" and _ADDRESS.fullmatch(line) else line


def _lines(value: object) -> tuple[tuple[str, str], ...]:
    assert isinstance(value, list)
    return tuple((name, text) for name, _, text in (str(line).partition(": ") for line in value))
