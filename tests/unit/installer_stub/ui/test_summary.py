"""The texts at the end."""

from __future__ import annotations

from dataclasses import replace

from installer_stub.plan.decide import build_plan
from installer_stub.plan.model import Access, Endpoint
from installer_stub.preflight.checks import check_all
from installer_stub.ui.summary import closing, findings_text, plan_text, table
from tests.fakes.plans import M1, M2, N1, make_plan, masters, nodes
from tests.unit.installer_stub.plan.test_decide import Options
from tests.unit.installer_stub.preflight.sites import BUNDLE, site


def test_tables_have_no_trailing_blanks() -> None:
    assert table([("a", "bbb"), ("cc", "d")]) == "a   bbb\ncc  d"


def test_findings_worst_first_and_counted() -> None:
    text = findings_text(check_all(site(2, 0, systemd="")))
    assert text.startswith("  FATAL  10.0.0.1: systemd does not run there\n      what to do: ")
    assert text.endswith("preflight: 1 fatal, 1 warning, 4 note")
    assert findings_text([]) == "preflight: no findings"


def test_a_plan_shows_every_decision() -> None:
    base = site(1, 1, resolv_confs=(), swap=True, sys_resource=False)
    text = plan_text(build_plan(Options(base.hosts), base.facts, BUNDLE))
    for word in ("shop:1.4.0", "v1.36.3", "10.244.0.0/16", "https://10.0.0.1:5443", "none usable", "swap accepted", "oom_score_adj", "v2, systemd"):
        assert word in text
    assert "forwards nothing" in text


def test_the_closing_says_what_comes_next() -> None:
    base = site(1, 1)
    plan = build_plan(Options(base.hosts), base.facts, BUNDLE)
    text = closing(plan, kubeconfig="./kubeconfig", seconds=185, notes=["10.0.0.1: a note"], log="x.log")
    assert text.startswith("shop:1.4.0 is installed and accepted, in 3 min 5 s.")
    assert "10.0.0.2  node    host2" in text
    assert "kubectl --kubeconfig ./kubeconfig get pods -A" in text
    assert "a note" in text
    assert "x.log" in text


def test_with_several_masters_the_closing_page_says_how_to_reach_another_one() -> None:
    several = make_plan(*masters(M1, M2), *nodes(N1))
    assert "--context m2 or --context m3" in closing(several, kubeconfig="k", seconds=1)
    assert "--context" not in closing(make_plan(*masters(M1)), kubeconfig="k", seconds=1)
    assert "--context" not in closing(replace(several, access=Access(Endpoint("10.0.0.9"))), kubeconfig="k", seconds=1)
