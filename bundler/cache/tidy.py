"""What every build does at its end, so that a cache on a machine that nobody tends has an end too."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bundler.cache import KEEP
from bundler.cache.builds import alone, builds, forget_build
from bundler.cache.inventory import inventory
from bundler.cache.made import remove_older
from bundler.cache.prune import DAY, Rule, kept, may_go, names_to_go, remove
from bundler.cluster_images.store import ClusterImages
from bundler.engine import Engine
from bundler.errors import BuildError

# Far from what anybody goes on with; airseal cache prune says it in narrower words.
RULE: Final = Rule(keep=50, seconds=60 * DAY)


def tidy(cache: Path, now: float) -> int:
    """Remove what nobody holds and nobody has used for two months, and return its bytes. Nothing while another build runs."""
    freed = 0
    try:
        with alone(cache):
            everyone = builds(cache)
            holding = kept(everyone, RULE)
            images = ClusterImages(cache)
            leaving = names_to_go(images.all(), holding, RULE, now)
            for image in leaving:
                images.forget(image)
            freed = sum(item.size for item in may_go(inventory(cache, holding), RULE, now) if remove(item, cache))
            for build in everyone[len(holding) :]:
                forget_build(cache, build.title)
    except (BuildError, OSError):
        return freed
    return freed


def tidy_docker(engine: Engine, cache: Path, now: float) -> int:
    """Remove images of builds that are not among the last ones from docker, and return how many went. Nothing while another build runs."""
    try:
        with alone(cache):
            return remove_older(engine, cache, {build.title for build in builds(cache)[:KEEP]}, now)
    except (BuildError, OSError):  # what cannot be tidied today is tidied at the end of another build
        return 0
