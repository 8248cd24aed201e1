"""The report as one HTML page: no script, nothing from elsewhere. Names come from clusters, so none of them is trusted."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

from bundler.coverage.report import Report, kind_of, left_out, totals
from installer_stub.ui.printable import printable
from installer_stub.ui.transfer import size as readable

# What the page may load is nothing, and what it may run is nothing: a name that got past the escaping would be dead.
_HEAD: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: images</title>
<style>
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 2em; color: #222; background: #fff }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; vertical-align: top; padding: .3em .8em .3em 0; border-bottom: 1px solid #ddd }}
td.size {{ text-align: right; white-space: nowrap }}
code {{ font: 13px/1.4 ui-monospace, monospace; overflow-wrap: anywhere }}
.scanned {{ background: #fff6dd }} .listed {{ background: #eef4ff }}
ul {{ margin: 0; padding-left: 1.2em }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{totals}</p>
<table>
<thead><tr><th>image</th><th>size</th><th>how</th><th>why</th><th>first seen</th><th>digest</th></tr></thead>
<tbody>
"""
_FEW: Final = 3  # reasons that are shown without being asked for


def page(report: Report) -> str:
    """Return the page. The same report gives the same text."""
    parts = [_HEAD.format(title=_safe(report.title), totals=_safe(totals(report)))]
    for image in report.images:
        how = kind_of(image)
        size = readable(image.size) if image.size else ""
        parts.append(
            f'<tr class="{how}"><td><code>{_safe(str(image.reference))}</code></td><td class="size">{size}</td><td>{how}</td>'
            f"<td>{_list(map(str, image.reasons))}</td><td>{_safe(report.when(image.reference))}</td>"
            f"<td><code>{_safe(str(image.descriptor.digest))}</code></td></tr>\n"
        )
    parts.append("</tbody>\n</table>\n")
    if out := list(left_out(report)):
        parts.append("<h2>Not in the bundle</h2>\n<ul>\n" + "".join(f"<li>{_safe(line)}</li>\n" for line in out) + "</ul>\n")
    parts.append("</body>\n</html>\n")
    return "".join(parts)


def _list(texts: Iterable[str]) -> str:
    items = [f"<li>{_safe(text)}</li>" for text in texts]
    few, more = "".join(items[:_FEW]), "".join(items[_FEW:])
    rest = f"<details><summary>{len(items) - _FEW} more</summary><ul>{more}</ul></details>" if more else ""
    return f"<ul>{few}</ul>{rest}"


def _safe(text: str) -> str:
    """Return a text that shows what it is: no markup, no characters that hide others."""
    return escape(printable(text, lines=False), quote=True)
