"""Both skins of our registry, as real clients meet them: ``airseal record`` over an upstream, ``airseal serve`` over what it
recorded, as the processes that a person starts. This is the one place that knows how.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from registry_snapshot.oci.descriptor import Platform
from registry_snapshot.record.journal import Pull
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.record.recording import RecordingDirectory
from tests.airseal_process import Airseal, ending_well


@dataclass
class Proxy:
    """A recorder that serves. ``finish`` once nobody pulls any more."""

    directory: Path
    process: Airseal
    _seen: int = field(default=0)

    def new_pulls(self) -> tuple[Pull, ...]:
        """Return the pulls that were written down since the last time."""
        pulls = RecordingDirectory.open(self.directory).history.pulls
        seen, self._seen = self._seen, len(pulls)
        return pulls[seen:]

    def finish(self) -> RecordingDirectory:
        """Let it finish as SIGTERM does, and return what it leaves: a recording that is an OCI layout too."""
        ended = self.process.end()
        assert ended.code == 0, ended
        return RecordingDirectory.open(self.directory)


@contextmanager
def proxy(address: tuple[str, int], directory: Path, mirrors: Mirrors, platform: Platform) -> Iterator[Proxy]:
    """Record into ``directory`` at ``address``."""
    words = [word for name, url in mirrors.registries for word in ("--mirror", f"{name}={url}")]
    logins = directory.with_name("no-logins")
    logins.mkdir()
    (logins / "config.json").write_text("{}")
    words += ["--docker-config", str(logins), "--platform", str(platform), "--open"]
    with Airseal("record", "--listen", _text(address), "--into", directory, *words, wait_for="recording") as process:
        yield Proxy(directory, process)


@contextmanager
def site(address: tuple[str, int], recording: Path) -> Iterator[None]:
    """Serve a recording at ``address``."""
    with ending_well(Airseal("serve", recording, "--listen", _text(address), wait_for="serving"), signal.SIGTERM):
        yield


def _text(address: tuple[str, int]) -> str:
    return f"{address[0]}:{address[1]}"
