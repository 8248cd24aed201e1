"""``init``: a first Kubefile for a directory of manifests, a kustomization or a chart."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

_EPILOG = """\
examples:
  airseal init manifests/        a Kubefile beside manifests/
  airseal init charts/web
  airseal init .                 for everything that lies here

Writes Kubefile into the directory that becomes the build's context: this one, if what is named lies in it. Nothing is overwritten."""


def define(parser: ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.add_argument("path", type=Path, metavar="DIR|CHART", help="a directory of manifests, a kustomization, a chart, or one that holds several of them")
    parser.add_argument("--base", default="", metavar="NAME:VERSION", help="what FROM names (default: the newest Kubernetes there is a recipe for that is tried)")


def run(arguments: Namespace) -> int:
    """Look, write, and say what to do next. Raises UsageError."""
    from bundler.errors import UsageError
    from bundler.scaffold.look import look
    from bundler.scaffold.write import kubefile
    from installer_stub.ui.printable import say

    path = arguments.path.resolve()
    if not path.is_dir():
        raise UsageError(f"{arguments.path} is no directory", "name a directory of manifests, a kustomization or an unpacked chart (helm pull --untar)")
    here = Path.cwd()
    context = here if path.is_relative_to(here) else path.parent
    found = look(context, path)
    if not (found.charts or found.kustomizations or found.manifests):
        raise UsageError(f"{arguments.path} holds neither a chart, nor a kustomization, nor manifests", "name the directory with Chart.yaml, kustomization.yaml, or files with apiVersion and kind")
    name = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in (path if path != here else here).name.lower()).strip("-") or "app"
    shown = "." if context == here else str(context)
    text = kubefile(found, name=name, context=shown, base=arguments.base or "kubernetes:v1.36.3")
    target = context / "Kubefile"
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{target} is there already; it was not changed", "move it away, or write into it what you need") from None
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}", "see whose directory it is") from None
    for chart in found.charts:
        if chart.missing:
            say(f"{chart.path}: {', '.join(chart.missing)} is not in its charts/: run helm dependency build {chart.path} first")
    say(f"wrote {target}: look through it, then airseal build -t {name}:1.0.0 -o {name}.run {shown}")
    return 0
