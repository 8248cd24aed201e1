"""The table of clients and scenarios, for people."""

from __future__ import annotations

from collections.abc import Mapping

from tests.clients.run import Offer, Outcome, Run
from tests.clients.scenarios import BY_NAME, SCENARIOS


def table(runs: Mapping[str, Run], offer: Offer) -> str:
    """Return Markdown: how each scenario went through the proxy / at the site; ``-`` where a client cannot express it."""
    names = [scenario.name for scenario in SCENARIOS]
    lines = [f"| client | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for client, run in runs.items():
        cells = [
            f"{_cell(run, name, run.proxied[name], offer)} / {_cell(run, name, run.offline[name], offer)}" if name in run.proxied else "-"
            for name in names
        ]
        lines.append(f"| {client} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(run: Run, scenario: str, outcome: Outcome, offer: Offer) -> str:
    if BY_NAME[scenario].absent:
        return "404" if outcome.words and 404 in {one.status for one in outcome.exchanges} else "?"
    if outcome.words:
        return "refused" if scenario in run.client.manners.refuses else "failed"
    wanted = tuple(offer.digest(ask.published, run.client.manners.reports) for ask in BY_NAME[scenario].asks)
    return "ok" if outcome.digests == wanted else "other digest"
