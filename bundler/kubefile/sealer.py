"""Kubefiles written for sealer: what there means something here becomes COPY, ADD and CMD; the rest says what to write instead.

Grammar: github.com/sealerio/sealer, build/kubefile/parser (v0.11). APP NAME local://PATH… copies files, LAUNCH starts apps by what
they are (chart, manifests, script), APPCMDS says how to start one instead, CMDS is a list of commands. Line numbers stay.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bundler.kubefile.parse import FOREIGN, Instruction, Kubefile

_INSTEAD: Final = {
    "CNI": "the base brings its pod network (kubernetes:VERSION has flannel); for another one write a base of your own into bases/ beside the Kubefile, or CMD [] and a CMD that applies it",
    "CSI": "COPY the driver's manifests and let a CMD apply them: CMD kubectl apply -f manifests/csi",
    "KUBEVERSION": "FROM says the version: FROM kubernetes:v1.36.3",
    "APPENV": "write ENV NAME=VALUE: every CMD sees it; for what a site decides declare it in values.schema.json",
}
_BASE: Final = re.compile(r"(^|/)(sealerio|sealer-io|sealer-apps|sealer)/[^/]*$")
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class _App:
    name: str
    starts: tuple[str, ...]  # shell lines


def translated(kubefile: Kubefile, directory: Path) -> Kubefile:
    """Return the Kubefile without sealer's words; one that has none is returned as it is. Raises KubefileError with the line."""
    for begin in kubefile.named("FROM"):
        if _BASE.search(begin.without_flags().split()[0]):
            raise kubefile.error(begin.line, f"{begin.text.split()[0]} is a base of sealer, whose scripts airseal does not run", "write FROM kubernetes:v1.36.3 (airseal base list)")
    if not any(each.name in FOREIGN for each in kubefile.instructions):
        return kubefile
    lines, instructions = list(kubefile.lines), list[Instruction]()
    apps: dict[str, _App] = {}
    for each in kubefile.instructions:
        if each.name in _INSTEAD:
            raise kubefile.error(each.line, f"{each.name} is a word of sealer that has no meaning here", _INSTEAD[each.name])
        if each.name == "APP":
            copied, app = _app(kubefile, each, directory)
            apps[app.name] = app
            lines[each.line - 1 : each.end] = [f"{copied.name} {copied.text}", *["#"] * (each.end - each.line)]
            instructions.append(copied)
        elif each.name == "APPCMDS":
            name, _, rest = each.text.partition(" ")
            lines[each.line - 1 : each.end] = [f"# {line}" for line in kubefile.lines[each.line - 1 : each.end]]
            apps[name] = replace(_known(kubefile, each, apps, name), starts=_list(kubefile, replace(each, text=rest.strip())))
        elif each.name in {"LAUNCH", "CMDS"}:
            instructions += [Instruction("CMD", text, each.line, each.end) for text in _commands(kubefile, each, apps)]
        else:
            instructions.append(each)
    return replace(kubefile, lines=tuple(lines), instructions=tuple(instructions))


def _app(kubefile: Kubefile, each: Instruction, directory: Path) -> tuple[Instruction, _App]:
    name, *sources = each.text.split()
    if not _NAME.fullmatch(name) or not sources:
        raise kubefile.error(each.line, f"APP {name[:60]}: a name in lower case and a source are wanted", "write APP web local://charts/web")
    found: list[str] = []
    for source in sources:
        scheme, colon, path = source.partition("://")
        if colon and scheme in {"http", "https"}:
            found.append(source)
        elif colon and scheme == "local" and path:
            found.append(path)
        else:
            hint = "write local://PATH for a file of the context; vendor a chart of a repository first: helm pull --untar"
            raise kubefile.error(each.line, f"APP {name}: {source[:100]} has neither local:// nor https:// before it", hint)
    word = "ADD" if any("://" in source for source in found) else "COPY"
    target = f"/cluster/apps/{name}/"
    return Instruction(word, f"{' '.join(found)} {target}", each.line, each.end), _App(name, _starts(kubefile, each, directory, name, found))


def _starts(kubefile: Kubefile, each: Instruction, directory: Path, name: str, sources: list[str]) -> tuple[str, ...]:
    """Return how LAUNCH starts an app: by what its files are, as sealer judges."""
    place = f"apps/{name}"
    if any((directory / source / "Chart.yaml").is_file() for source in sources):
        if len(sources) > 1:
            raise kubefile.error(each.line, f"APP {name}: a chart is an app of its own", "give the other files an APP with another name")
        return (f"helm upgrade --install {name} {place}",)
    scripts = [source for source in sources if source.endswith(".sh")]
    if scripts and len(scripts) < len(sources):
        raise kubefile.error(each.line, f"APP {name}: scripts and manifests are started in different ways", "give each kind an APP of its own, or say how by APPCMDS")
    if scripts:
        names = (source.rpartition("/")[2] for source in scripts)
        return tuple(f"sh {shlex.quote(f'{place}/{each_name}')}" for each_name in names)
    return (f"kubectl apply -f {place}/",)


def _commands(kubefile: Kubefile, each: Instruction, apps: Mapping[str, _App]) -> tuple[str, ...]:
    if each.name == "CMDS":
        return _list(kubefile, each)
    names = _list(kubefile, each) if each.text.startswith("[") else tuple(each.text.replace(",", " ").split())
    return tuple(text for name in names for text in _known(kubefile, each, apps, name).starts)


def _known(kubefile: Kubefile, each: Instruction, apps: Mapping[str, _App], name: str) -> _App:
    app = apps.get(name)
    if app is None:
        known = f"there are {', '.join(apps)}" if apps else "there is no APP before it"
        raise kubefile.error(each.line, f"{each.name} names {name[:60]!r}, which no APP of this Kubefile declares; {known}", "a base's apps are its CMDs here, and run by themselves")
    return app


def _list(kubefile: Kubefile, each: Instruction) -> tuple[str, ...]:
    try:
        found = json.loads(each.text)
    except ValueError:
        found = None
    if not isinstance(found, list) or not found or not all(isinstance(item, str) and item.strip() for item in found):
        raise kubefile.error(each.line, f"{each.name} wants a list of texts", f'write {each.name} ["kubectl apply -f manifests", "helm list"]')
    return tuple(found)
