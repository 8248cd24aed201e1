"""A base from its recipe: download, verify, unpack, ``docker build``. What exists already is not made again."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

from bundler.bases.download import Downloader
from bundler.bases.edits import EDITS
from bundler.bases.extract import extract
from bundler.bases.pins import add_pins, load_pins, published
from bundler.bases.recipe import Download, Recipe
from bundler.engine import Engine
from bundler.errors import ChecksumMismatch, RecipeError
from bundler.image import build_image, read_source
from bundler.kubefile.dockerfile import KUBERNETES_LABEL, PINS_LABEL
from bundler.kubefile.from_images import Fetching, from_images
from bundler.options import ImageOptions
from installer_stub.bundle.model import BALANCER_LABEL
from installer_stub.bundle.names import INTERNAL_REGISTRY
from installer_stub.phases.reporter import Reporter

FILES = "files"  # of a recipe's own, beside it
_FROZEN = "Frozen from the publishers' own checksum files at the first download. A later difference stops the build."


@dataclass(frozen=True, slots=True)
class Pins:
    """What the bytes of a recipe must be.

    ``given`` are URLs whose hash whoever builds has named, ``frozen`` those that only the cache knows.
    """

    hashes: Mapping[str, str]
    given: tuple[str, ...]
    frozen: tuple[str, ...]

    @property
    def vouched(self) -> str:
        """Who vouches for them, in a word for the bundle's labels."""
        if self.frozen:
            return "publisher, frozen at the first download"
        return "pins given to the build" if self.given else "airseal"


class BaseBuilder:
    """Makes bases in docker. ``cache`` keeps downloads and frozen pins; ``given`` are pins that come before all others.

    ``accept`` lets publishers' own checksum files vouch for what nobody has pinned. ``fetching`` is how images come that a recipe's Kubefile names.
    """

    def __init__(
        self,
        engine: Engine,
        downloader: Downloader,
        cache: Path,
        reporter: Reporter,
        given: Mapping[str, str] | None = None,
        *,
        accept: bool = False,
        fetching: Fetching | None = None,
    ) -> None:
        self._fetching = fetching or Fetching(engine, ImageOptions(), reporter)
        self._engine = engine
        self._downloader = downloader
        self._cache = cache
        self._reporter = reporter
        self._given = given or {}
        self._accept = accept

    def tag(self, recipe: Recipe) -> str:
        """Return the recipe's image's name in docker, built if it is not there. Raises DownloadFailed, ChecksumMismatch."""
        pins = resolve_pins(recipe, self._downloader, self._cache, self._reporter, self._given, accept=self._accept)
        tag = image_tag(recipe, pins)
        if self._engine.image(tag) is not None:
            self._reporter.step(f"base {recipe.title}: in docker already, {tag}")
            return tag
        files = {download.url: self.fetch(recipe, download, pins) for download in recipe.downloads}
        staging = self._cache / "bases" / "staging"
        staging.mkdir(parents=True, exist_ok=True)
        # ignore_cleanup_errors: a second interrupt during the removal must not hide the first.
        with tempfile.TemporaryDirectory(dir=staging, ignore_cleanup_errors=True) as name:
            context = Path(name)
            if own_files(recipe):
                shutil.copytree(recipe.directory / FILES, context, dirs_exist_ok=True)
            shutil.copyfile(recipe.directory / "Kubefile", context / "Kubefile")
            for download in recipe.downloads:
                extract(download, files[download.url], context)
                _edit(download, context)
            labels = {KUBERNETES_LABEL: recipe.parts["kubernetes"], PINS_LABEL: pins.vouched}
            if recipe.balancer:
                labels[BALANCER_LABEL] = recipe.balancer
            source = read_source(context)
            with from_images(self._fetching, source.stages, (), recipe.platform) as bases:
                build_image(self._engine, source, tag=tag, bases=bases, platform=str(recipe.platform), reporter=self._reporter, labels=labels)
        return tag

    def fetch(self, recipe: Recipe, download: Download, pins: Pins) -> Path:
        """Return a download's verified file."""
        try:
            return self._downloader.file((download.url, *download.also), pins.hashes[download.url])
        except ChecksumMismatch as error:
            if download.url in pins.given:
                raise
            if download.url not in pins.frozen:
                hint = f"look for a proxy or mirror that serves other bytes (pinned in {recipe.pins_file}); where they are a company's own builds, name their sums with --pins FILE"
                raise ChecksumMismatch(error.problem, hint) from None
            file = frozen_file(recipe, self._cache)
            hint = f"it differs from what its publisher's checksum was when it was first seen; if that change is known to be right, remove its line from {file}"
            raise ChecksumMismatch(error.problem, hint) from None


def resolve_pins(
    recipe: Recipe,
    downloader: Downloader,
    cache: Path,
    reporter: Reporter,
    given: Mapping[str, str] = MappingProxyType({}),
    *,
    accept: bool = False,
) -> Pins:
    """Return every download's hash: the one given, the repository's, the one frozen earlier, or the publisher's, frozen now.

    The last only with ``accept``: a checksum file comes from the same server over the same way as what it vouches for, and
    both become root on every host. Raises RecipeError for a download that nobody vouches for, DownloadFailed.
    """
    pinned = load_pins(recipe.pins_file)
    frozen = load_pins(frozen_file(recipe, cache))
    unknown = [item for item in recipe.downloads if not (given.get(item.url) or pinned.get(item.url) or frozen.get(item.url))]
    if unknown and not accept:
        raise _nobody_pins(recipe, [item.url for item in unknown])
    fresh: dict[str, str] = {}
    hashes: dict[str, str] = {}
    for download in recipe.downloads:
        url = download.url
        known = given.get(url) or pinned.get(url) or frozen.get(url)
        if known is None:
            known = fresh[url] = ask_publisher(download, downloader)
            reporter.step(f"no pin for {url}: taking its publisher's checksum, {known[:16]}…, and freezing it")
        hashes[url] = known
    if fresh:
        add_pins(frozen_file(recipe, cache), fresh, _FROZEN)
    named = tuple(url for url in hashes if url in given)
    return Pins(hashes, named, tuple(url for url in hashes if url not in pinned and url not in given))


def _nobody_pins(recipe: Recipe, urls: Sequence[str]) -> RecipeError:
    lines = "\n".join(f"  - {url}" for url in urls)
    return RecipeError(
        f"base {recipe.title}: nobody has pinned the bytes of\n{lines}",
        "--accept-publisher-checksums believes the checksum files beside them, once for this cache; or name SHA-256 sums that you trust "
        f"with --pins FILE (airseal base pin {recipe.title} writes such a file, to be compared with another source)",
    )


def ask_publisher(download: Download, downloader: Downloader) -> str:
    """Return the hash that a download's publisher gives. Raises RecipeError if it gives none, DownloadFailed."""
    if not download.checksum_url:
        hint = "add its SHA-256 to the recipe's .sha256 file, from a source that you trust"
        raise RecipeError(f"{download.url}: has no pin, and its publisher has no checksum file", hint)
    text = downloader.text(download.checksum_url)
    return published(text, download.file_name, download.checksum_format, download.checksum_url)


def own_files(recipe: Recipe) -> dict[str, str]:
    """Return the SHA-256 of every file that lies beside the recipe in files/, by its path there."""
    top = recipe.directory / FILES
    found = sorted(path for path in top.rglob("*") if path.is_file())
    return {path.relative_to(top).as_posix(): _hash(path) for path in found}


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def image_tag(recipe: Recipe, pins: Pins) -> str:
    """Return the name of a recipe's image in docker: it changes with the recipe, its Kubefile and any byte of it."""
    described = {
        "downloads": [{**asdict(download), "sha256": pins.hashes[download.url]} for download in recipe.downloads],
        "kubefile": (recipe.directory / "Kubefile").read_text(),
        "edits": (Path(__file__).parent / "edits.py").read_text(),
        "platform": str(recipe.platform),
        "vouched": pins.vouched,
        "balancer": recipe.balancer,
        **({"files": files} if (files := own_files(recipe)) else {}),
    }
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:12]
    return f"{INTERNAL_REGISTRY}/base/{recipe.name}:{recipe.version}-{digest}"


def frozen_file(recipe: Recipe, cache: Path) -> Path:
    """Return where a recipe's frozen pins are kept."""
    return cache / "bases" / f"{recipe.name}-{recipe.version}.sha256"


def _edit(download: Download, context: Path) -> None:
    if download.edit:
        for member in download.members:
            path = context / member.target
            path.write_text(EDITS[download.edit](path.read_text()))
