"""Makes the images of our internet and takes them to its registries; what a registry already has stays there."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.testbed.cache import Cache, TestBedError
from tests.testbed.oci_image import Image, layout_digest, write_layout
from tests.testbed.parts import Parts
from tests.testbed.progress import say, step


class ImageStore:
    """The layouts of our images below the cache."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def layout(self, reference: str) -> Path:
        """Return where the layout of an image is."""
        return self._cache.images / re.sub(r"[^A-Za-z0-9.-]", "_", reference)

    def digest(self, reference: str) -> str:
        """Return the digest of an image that was made: of its index, if it is one."""
        return layout_digest(self.layout(reference))

    def build_all(self, images: Sequence[Image]) -> None:
        """Make the layouts that are missing or were made by another recipe."""
        for number, image in enumerate(images, 1):
            if write_layout(image, self._cache.images / "layers", self.layout(image.reference)):
                say(f"image {number}/{len(images)} {image.reference}")


class Pusher:
    """Takes layouts to registries with crane, each under its upstream name at that registry's address."""

    def __init__(self, parts: Parts, store: ImageStore, *, ca: Path, docker_config: Path) -> None:
        self._crane, self._store = parts.out("crane") / "crane", store
        self._environment = {**os.environ, "SSL_CERT_FILE": str(ca), "DOCKER_CONFIG": str(docker_config)}

    def push_all(self, images: Sequence[Image], addresses: Mapping[str, str]) -> None:
        """Push what the registries do not have. ``addresses``: upstream registry to ``address[:port]``."""
        with step(f"pushing {len(images)} images"):
            for image in images:
                registry, _, path = image.reference.partition("/")
                target = f"{addresses[registry]}/{path}"
                if self._remote_digest(target) != self._store.digest(image.reference):
                    say(f"pushing {image.reference}")
                    self._push(image.reference, target)

    def _remote_digest(self, target: str) -> str:
        return self._run("digest", target).stdout.strip()

    def _push(self, reference: str, target: str) -> None:
        done = self._run("push", str(self._store.layout(reference)), target)
        if done.returncode:
            raise TestBedError(
                f"cannot push {reference} to {target}; look at `docker logs` of that registry\n{done.stderr}"
            )
        if self._remote_digest(target) != self._store.digest(reference):
            raise TestBedError(
                f"{target} does not have the digest that was pushed; delete its data and run again"
            )

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self._crane), *arguments]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
