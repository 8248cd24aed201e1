"""The registries of the by-hand cluster: the real distribution over the test internet's data, one port an upstream.

Plain HTTP and no login, so nothing slows the peer down that our side does not have to do.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.pulling import wait_for
from tests.testbed.cache import Cache, TestBedError, write_whole
from tests.testbed.parts import Parts
from tests.testbed.sites import UPSTREAMS, Settings

_FIRST_PORT = 5101
_CONFIG = """\
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: DATA}
  cache: {blobdescriptor: inmemory}
  maintenance: {uploadpurging: {enabled: false}, readonly: {enabled: true}}
http: {addr: "ADDRESS"}
"""


@contextmanager
def registries(cache: Cache, address: str, names: Iterable[str], work: Path) -> Iterator[dict[str, str]]:
    """Run a registry for each upstream in ``names`` on ``address``; yield upstream name to URL."""
    upstreams = {upstream.name: upstream for upstream in UPSTREAMS}
    program = Parts(cache).out("registry") / "registry"
    processes, urls = [], {}
    try:
        for port, name in enumerate(sorted(set(names)), _FIRST_PORT):
            if name not in upstreams:
                raise TestBedError(
                    f"images of {name} are not in the test internet; build the artifact against it"
                )
            data = Settings(cache).directory(upstreams[name]) / "data"
            config = work / f"registry-{port}.yml"
            write_whole(config, _CONFIG.replace("DATA", str(data)).replace("ADDRESS", f"{address}:{port}"))
            with (work / f"registry-{port}.log").open("wb") as log:
                command = [str(program), "serve", str(config)]
                processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
            urls[name] = f"http://{address}:{port}"
            wait_for((address, port))
        yield urls
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=30)
