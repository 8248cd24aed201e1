"""``cache``: what builds have left on this machine, which builds hold it, and taking away what nobody needs."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.cache import KEEP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundler.cache.builds import CachedBuild
    from bundler.cache.in_docker import DockerImage
    from bundler.cache.inventory import Item
    from bundler.cache.prune import Rule
    from bundler.cluster_images.store import ClusterImage
    from bundler.engine import Engine
    from installer_stub.ui.console import Console

_DAYS = 7.0
_EPILOG = f"""\
examples:
  airseal cache                              # what is there, how large, used when, held by which builds
  airseal cache prune --dry-run
  airseal cache prune --keep 3 --days 0

The last builds (--keep, {KEEP} if nothing is said) hold what their artifacts are made of, so that the next one fetches little.
What nobody holds goes when it was not used for --days ({_DAYS:.0f}). Images of ours in docker too, and what killed builds left there.
Cluster images (airseal images) hold what they consist of; the name that a build gave goes with the build, every other with airseal rm.
A build that runs keeps everything: pruning waits for no one and is refused meanwhile."""


def define(parser: ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.add_argument("action", nargs="?", choices=("show", "prune"), default="show", help="show what is there (default), or take away what nobody needs")
    parser.add_argument("--keep", type=int, default=KEEP, metavar="N", help=f"so many builds hold what they are made of (default {KEEP})")
    parser.add_argument("--days", type=float, default=_DAYS, metavar="D", help=f"what nobody holds stays for so many days after it was used last (default {_DAYS:.0f})")
    parser.add_argument("--dry-run", action="store_true", help="say what would go, and leave it")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="the cache (default $AIRSEAL_CACHE or ~/.cache/airseal)")
    parser.add_argument("--json", action="store_true", help="print events as JSON, one a line")


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is there. ``holding`` are those of ``everyone`` that hold; ``now`` in seconds since 1970."""

    cache: Path
    rule: Rule
    now: float
    everyone: tuple[CachedBuild, ...]
    holding: tuple[CachedBuild, ...]
    items: list[Item]
    images: list[DockerImage]
    named: tuple[ClusterImage, ...]
    leaving: list[ClusterImage]

    @property
    def going(self) -> list[Item]:
        """What may go."""
        from bundler.cache.prune import may_go

        return may_go(self.items, self.rule, self.now)


def run(arguments: Namespace) -> int:
    """Show, or prune. Raises UsageError, BuildError if a build runs in the cache."""
    from contextlib import nullcontext

    from bundler.cache.builds import alone
    from bundler.titles import cache_root
    from installer_stub.ui.console import console

    cache, rule = cache_root(arguments.cache), _rule(arguments)
    reporter = console(json_events=arguments.json, stream=sys.stdout)
    prunes = arguments.action == "prune" and not arguments.dry_run
    with alone(cache) if prunes else nullcontext():
        engine = _engine(reporter)
        seen = _look(cache, rule, engine)
        if arguments.action == "show":
            _show(seen, reporter)
        else:
            _prune(seen, reporter, engine, prunes=prunes)
    if engine is not None:
        engine.close()
    reporter.close()
    return 0


def _look(cache: Path, rule: Rule, engine: Engine | None) -> _Seen:
    import time

    from bundler.cache.builds import builds
    from bundler.cache.in_docker import images
    from bundler.cache.inventory import inventory
    from bundler.cache.prune import kept, names_to_go
    from bundler.cluster_images.store import ClusterImages

    now = time.time()
    everyone = builds(cache)
    holding = kept(everyone, rule)
    ours = [] if engine is None else images(engine, {build.title for build in holding})
    named = ClusterImages(cache).all()
    leaving = names_to_go(named, holding, rule, now)
    return _Seen(cache, rule, now, everyone, holding, inventory(cache, holding, leaving), ours, named, leaving)


def _rule(arguments: Namespace) -> Rule:
    from bundler.cache.prune import DAY, Rule
    from bundler.errors import UsageError

    if arguments.keep < 0 or not 0 <= arguments.days < 36_500:
        raise UsageError("--keep and --days are counts from 0 up", "write for example --keep 3 --days 7")
    return Rule(arguments.keep, arguments.days * DAY)


def _engine(reporter: Console) -> Engine | None:
    from bundler.engine import Engine
    from bundler.errors import DockerError, DockerMissing

    try:
        return Engine.connect()
    except (DockerError, DockerMissing) as error:
        reporter.step(f"docker cannot be asked: {error.problem}")
        return None


def _show(seen: _Seen, reporter: Console) -> None:
    from bundler.cache.inventory import holder_of
    from installer_stub.ui.transfer import size

    items, now = seen.items, seen.now
    for kind in dict.fromkeys(item.kind for item in items):
        some = [item for item in items if item.kind == kind]
        total, free = _sum(some), _sum([item for item in seen.going if item.kind == kind])
        used = max(item.used for item in some)
        text = f"{kind}: {size(total)} in {len(some)}; last used {_when(used, now)}; may go: {size(free)}"
        reporter.event("cached", text, what=kind, size=total, count=len(some), used=used, free=free)
    for build in seen.everyone:
        held = [item for item in items if build.title in item.holders]
        single = [item for item in held if item.holders == (build.title,)]
        state = f"holds {size(_sum(held))}, {size(_sum(single))} of it alone" if build in seen.holding else "holds nothing any more"
        text = f"{build.title}, built {_when(build.time, now)} into {build.output}: {state}"
        reporter.event("build", text, title=build.title, time=build.time, output=build.output, size=_sum(held), alone=_sum(single))
    for cluster in seen.named:
        held = [item for item in items if holder_of(cluster) in item.holders]
        single = [item for item in held if item.holders == (holder_of(cluster),)]
        why = "its build is none of the last ones: its name may go" if cluster in seen.leaving else f"holds {size(_sum(held))}, {size(_sum(single))} of it alone"
        text = f"cluster image {cluster.name}, named {_when(cluster.time, now)}: {why}"
        reporter.event("image", text, name=cluster.name, digest=str(cluster.descriptor.digest), time=cluster.time, size=_sum(held), alone=_sum(single))
    for image in seen.images:
        why = f"held by {', '.join(image.holders)}" if image.holders else "held by nobody"
        text = f"in docker: {image.name}, {size(image.size)}, made {_when(image.created, now)}; {why}"
        reporter.event("docker", text, image=image.name, size=image.size, holders=list(image.holders))
    total, free = _sum(items), _sum(seen.going)
    reporter.event("cache", f"{seen.cache}: {size(total)}, {size(free)} of it may go: airseal cache prune", size=total, free=free)


def _prune(seen: _Seen, reporter: Console, engine: Engine | None, *, prunes: bool) -> None:
    from bundler.cache.builds import forget_build
    from bundler.cache.prune import remove
    from bundler.cluster_images.store import ClusterImages
    from installer_stub.ui.transfer import size

    word, freed = "removed" if prunes else "would remove", 0
    for image in seen.leaving:
        reporter.event("pruned", f"{word} the name {image.name}, whose build is none of the last ones", what="cluster image", name=image.name)
        if prunes:
            ClusterImages(seen.cache).forget(image)
    for item in seen.going:
        if prunes and not remove(item, seen.cache):
            reporter.step(f"{item.path} cannot be removed")
            continue
        freed += item.size
        text = f"{word} {item.path.relative_to(seen.cache)}: {size(item.size)}, last used {_when(item.used, seen.now)}"
        reporter.event("pruned", text, what=item.kind, path=str(item.path), size=item.size)
    for build in seen.everyone[len(seen.holding) :]:
        reporter.event("forgotten", f"{word} what is known of {build.title}", title=build.title)
        if prunes:
            forget_build(seen.cache, build.title)
    if engine is not None:
        _prune_docker(seen, reporter, engine, prunes=prunes)
    reporter.event("prune", f"{word} {size(freed)} from {seen.cache}", size=freed)


def _prune_docker(seen: _Seen, reporter: Console, engine: Engine, *, prunes: bool) -> None:
    from bundler.cache.in_docker import remove_image
    from bundler.cluster.container import remove_orphans
    from bundler.cluster.ownership import Owner

    for image in seen.images:
        if image.holders or seen.now - image.created < seen.rule.seconds:
            continue
        if not prunes or remove_image(engine, image.name):
            text = f"{'removed' if prunes else 'would remove'} {image.name} from docker"
            reporter.event("pruned", text, what="image in docker", image=image.name, size=image.size)
        else:
            reporter.step(f"docker keeps {image.name}: something still uses it")
    if prunes and (left := remove_orphans(engine, Owner.current())):
        reporter.step(f"removed {left} things that killed builds had left in docker")


def _sum(items: Sequence[Item]) -> int:
    return sum(item.size for item in items)


def _when(then: float, now: float) -> str:
    from installer_stub.ui.transfer import duration

    return f"{duration(max(now - then, 0))} ago" if now - then < 3 * 24 * 3600 else f"{(now - then) / 86400:.0f} days ago"
