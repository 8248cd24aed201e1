"""The text of a first Kubefile."""

from __future__ import annotations

import shlex

from bundler.scaffold.look import Content

_HEAD = """\
# What becomes of this directory: airseal build -t {name}:1.0.0 -o {name}.run {context}
#
# A Dockerfile whose image carries /cluster. Every CMD runs on the first master once the cluster is up, in order, in the installed
# copy of /cluster; kubectl and helm are at hand. Each must do no harm when it runs again.
FROM {base}

"""
_TAIL = """
# Images that nothing pulls while this is built (CronJobs that never ran, helper pods): one a line in images.txt.
# COPY images.txt /cluster/images.txt
"""


def kubefile(content: Content, *, name: str, context: str, base: str) -> str:
    """Return it: every part is copied to where it lies now, and started by the tool that it is for."""
    copies: list[str] = []
    commands: list[str] = []
    for path in content.manifests:
        copies.append(_copy("*.yaml" if path == "." else path, "manifests" if path == "." else path))
        commands.append(f"CMD kubectl apply -f {_shell('manifests' if path == '.' else path)}")
    for path in content.kustomizations:
        # Overlays reach for their bases beside them, so all of them keep their places.
        tops = ["."] if path == "." else sorted({each.partition("/")[0] for each in (path, *content.shared)})
        copies += [_copy(top, "app" if top == "." else top) for top in tops]
        commands.append(f"CMD kubectl apply -k {_shell('app' if path == '.' else path)}")
    for chart in content.charts:
        target = f"charts/{chart.name}" if chart.path == "." else chart.path
        copies.append(_copy(chart.path, target))
        commands += [f"# {chart.path} needs {', '.join(chart.missing)}: run helm dependency build {_shell(chart.path)} first"] if chart.missing else []
        commands.append(f"CMD helm upgrade --install {chart.name} {_shell(target)}")
    body = [*dict.fromkeys(copies), "", *commands]
    return _HEAD.format(name=name, context=context, base=base) + "\n".join(body) + "\n" + _TAIL


def _copy(source: str, target: str) -> str:
    if " " in f"{source}{target}":
        return f'COPY ["{source}", "/cluster/{target}/"]'
    return f"COPY {source} /cluster/{target}/"


def _shell(path: str) -> str:
    return shlex.quote(path)
