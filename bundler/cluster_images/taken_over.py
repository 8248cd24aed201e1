"""What a bundle takes over of its cluster image's config: by a build, and again where a recording comes from a registry and has to be of that image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bundler.kubefile.dockerfile import PINS_LABEL
from installer_stub.bundle.model import BALANCER_LABEL

# What docker sets in every image; the installer has a PATH of its own.
_DOCKER_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PRIVATE: Final = "internal.airseal."
_OURS: Final = frozenset({PINS_LABEL, BALANCER_LABEL})


def environment_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that commands get of an image's own."""
    return {name: text for name, text in environment.items() if (name, text) != ("PATH", _DOCKER_PATH)}


def labels_of(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that a bundle has of its image's."""
    return {name: text for name, text in labels.items() if not name.startswith(_PRIVATE) or name in _OURS}
