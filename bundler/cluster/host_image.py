"""The image of the temporary cluster's host: built once by docker from the Dockerfile beside this file."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Callable
from pathlib import Path

from bundler.engine import Engine
from bundler.errors import BuildError, ClusterFailed
from bundler.kubefile.context import context_tar
from installer_stub.bundle.names import INTERNAL_REGISTRY
from installer_stub.phases.reporter import Reporter

_TAIL = 15  # lines of docker's output that an error shows
_FROM = re.compile(r"^FROM (\S+)", re.MULTILINE)
DOCKERFILE = Path(__file__).parent / "host_image" / "Dockerfile"


def host_tag() -> str:
    """Return what our image is called in docker: another Dockerfile is another name."""
    return f"{INTERNAL_REGISTRY}/build-host:{hashlib.sha256(DOCKERFILE.read_bytes()).hexdigest()[:12]}"


def host_image(engine: Engine, reporter: Reporter, override: str = "", supply: Callable[[str], object] | None = None) -> str:
    """Return the host image's name in docker: ``override`` if given, else ours, built if docker does not have it.

    ``supply`` may let docker have the image that it stands on beforehand. Raises ClusterFailed, and what ``supply`` raises.
    """
    if override:
        if engine.image(override) is None:
            raise ClusterFailed(f"docker has no image {override} for the temporary host", f"docker pull {override}, or leave --build-host-image out")
        return override
    text, tag = DOCKERFILE.read_text(), host_tag()
    if engine.image(tag) is None:
        reporter.step("building the image of the temporary host, once: half a minute")
        if supply is not None:
            for name in _FROM.findall(text):
                supply(name)
        said: deque[str] = deque(maxlen=_TAIL)
        try:
            engine.build(context_tar(DOCKERFILE.parent, (), text), tag=tag, output=said.append)
        except BuildError as error:
            lines = "\n".join(f"  {line}" for line in said)
            hint = "it needs Debian's mirrors once; behind a proxy set docker's, or bring an image with systemd: --build-host-image"
            raise ClusterFailed(f"the image of the temporary host cannot be built: {error.problem}\n{lines}", hint) from None
    return tag
