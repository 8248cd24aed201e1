"""What may go, and its going. Held is what the last builds are made of; what came lately may be what the next one goes on with."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bundler.cache.builds import CachedBuild
from bundler.cache.inventory import REST, Item
from bundler.cluster_images.store import ClusterImage

DAY: Final = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Rule:
    """``keep`` builds hold what they are made of; what nobody holds goes when it was not used for ``seconds``."""

    keep: int
    seconds: float


def kept(builds: Sequence[CachedBuild], rule: Rule) -> tuple[CachedBuild, ...]:
    """Return the builds that hold; ``builds`` are in order, the last one first."""
    return tuple(builds[: rule.keep])


def may_go(items: Sequence[Item], rule: Rule, now: float) -> list[Item]:
    """Return what nobody holds and nobody has used lately."""
    return [item for item in items if not item.holders and now - item.used >= (DAY if item.kind == REST else rule.seconds)]


def names_to_go(images: Sequence[ClusterImage], holding: Sequence[CachedBuild], rule: Rule, now: float) -> list[ClusterImage]:
    """Return the cluster images whose names go: a build gave them, it is none of ``holding`` any more, and that was not lately.

    What somebody tagged, pulled or loaded stays until ``airseal rm``.
    """
    titles = {build.title for build in holding}
    return [image for image in images if image.built and image.name not in titles and now - image.time >= rule.seconds]


def remove(item: Item, cache: Path) -> bool:
    """Remove a thing of the cache; tell whether it is gone. Nothing outside of it is ever touched, links are not followed."""
    if not item.path.is_relative_to(cache) or item.path == cache:
        return False
    try:
        if item.path.is_dir() and not item.path.is_symlink():
            shutil.rmtree(item.path)
        else:
            item.path.unlink(missing_ok=True)
    except OSError:
        return False
    return True
