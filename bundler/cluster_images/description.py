"""What a cluster image is and declares, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bundler.cluster_images.contents import ImageContents
from bundler.cluster_images.reading import ClusterView
from bundler.cluster_images.store import ClusterImage
from bundler.coverage.inherit import IMAGES_LABEL, inherited
from bundler.coverage.lists import Lists, lists_of
from bundler.engine import ImageInfo
from bundler.kubefile.commands import commands_from_json
from bundler.kubefile.dockerfile import COMMANDS_LABEL, KUBERNETES_LABEL
from installer_stub.bundle.file_content import read_content
from installer_stub.bundle.model import ClusterCommand
from installer_stub.commands.inspect import values_facts
from installer_stub.quiet.declared import FILE as CONDITIONS
from installer_stub.quiet.declared import NOTHING, Declared, parse
from installer_stub.ui.transfer import size
from installer_stub.values.schema import Schema, lines_of
from installer_stub.values.sealed import schema_of

_OURS: Final = frozenset({COMMANDS_LABEL, KUBERNETES_LABEL, IMAGES_LABEL})  # told in words of their own


@dataclass(frozen=True, slots=True)
class Description:
    """A cluster image. ``lists`` are its own and its bases'."""

    image: ClusterImage
    contents: ImageContents
    commands: tuple[ClusterCommand, ...]
    lists: Lists
    declared: Declared
    schema: Schema
    files: int
    files_size: int

    @property
    def kubernetes(self) -> str:
        """The version that it brings, empty if it brings none."""
        return self.contents.config.labels.get(KUBERNETES_LABEL, "")

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels that are not told otherwise."""
        return {name: text for name, text in sorted(self.contents.config.labels.items()) if name not in _OURS}


def describe(image: ClusterImage, contents: ImageContents, view: ClusterView) -> Description:
    """Return what there is to say. Raises BuildError, InstallerError for what it declares and no site could use."""
    labels = contents.config.labels
    commands = commands_from_json(labels[COMMANDS_LABEL], COMMANDS_LABEL) if labels.get(COMMANDS_LABEL) else ()
    carried = inherited(ImageInfo(str(contents.manifest.config.digest), labels, {}, str(contents.config.platform), 0))
    lists = carried if IMAGES_LABEL in labels else lists_of(view.files, view.blobs)
    conditions = next((file for file in view.files if file.path == CONDITIONS), None)
    declared = parse(read_content(conditions, view.blobs)) if conditions is not None else NOTHING
    return Description(
        image, contents, commands, lists, declared, schema_of(view.files, view.blobs), len(view.files), view.size
    )


def facts(found: Description) -> dict[str, Any]:
    """Return it as JSON values."""
    contents = found.contents
    return {
        "name": found.image.name,
        "reference": str(found.image.reference),
        "digest": str(found.image.descriptor.digest),
        "manifest": str(contents.descriptor.digest),
        "id": str(contents.manifest.config.digest),
        "platform": str(contents.config.platform),
        "created": contents.config.created,
        "kubernetes": found.kubernetes,
        "commands": [command.text() for command in found.commands],
        "values": values_facts(found.schema),
        "conditions": [condition.name for condition in found.declared.conditions],
        "listed": [{"image": str(reference), "where": where} for where, reference in found.lists.listed],
        "blocked": [{"image": str(each.reference), "where": each.where, "reason": each.reason} for each in found.lists.blocked],
        "environment": dict(contents.config.environment),
        "labels": dict(contents.config.labels),
        "origins": [{"name": origin.name, "layers": origin.layers} for origin in contents.origins],
        "layers": [{"digest": str(layer.digest), "mediaType": layer.media_type, "size": layer.size} for layer in contents.manifest.layers],
        "files": found.files,
        "filesSize": found.files_size,
    }


def lines(found: Description) -> Iterator[str]:
    """Yield it as lines for a person."""
    contents, layers = found.contents, found.contents.manifest.layers
    yield found.image.name
    yield f"  digest      {found.image.descriptor.digest}"
    if contents.descriptor.digest != found.image.descriptor.digest:
        yield f"  manifest    {contents.descriptor.digest}, of {contents.config.platform}"
    yield f"  docker's ID {contents.manifest.config.digest}"
    yield f"  platform    {contents.config.platform}"
    yield f"  Kubernetes  {found.kubernetes or 'none: it is no base, and stands on none'}"
    yield f"  layers      {len(layers)}, {size(sum(layer.size for layer in layers))} as they travel"
    yield f"  files       {found.files}, {size(found.files_size)} on a host"
    if contents.origins:
        yield f"  built on    {' → '.join(origin.name for origin in contents.origins)}"
    yield from _section("commands on the first master", [f"{number}. {command.text()}" for number, command in enumerate(found.commands, 1)])
    yield from _section("values that a site may set", [line.strip() for line in lines_of(found.schema)])
    yield from _section("conditions", [condition.name for condition in found.declared.conditions])
    listed = [f"{reference} ({where})" for where, reference in found.lists.listed]
    yield from _section("lists of images", [*listed, *(f"blocked: {each.reference} ({each.where}): {each.reason}" for each in found.lists.blocked)])
    yield from _section("labels", [f"{name}={text}" for name, text in found.labels.items()])


def _section(title: str, items: list[str]) -> Iterator[str]:
    if items:
        yield f"  {title}"
        yield from (f"    {item}" for item in items)
