"""What a bench run writes down is what it measured."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.bench.by_hand_files import host_files, init_config, join_config
from tests.bench.measure import Measure
from tests.bench.table import from_json, merged, render, row_text, to_json


def _measure(
    name: str = "start", *, values: tuple[float, ...] = (0.31, 0.3, 0.5), unit: str = "s", peer: float = 0.3
) -> Measure:
    return Measure(
        name,
        "ours",
        "the peer",
        unit,
        values,
        (peer,),
        max_ratio=1.1,
        max_value=0.5,
        notes=("a note",),
        measured="2026-01-01 00:00 UTC",
    )


def test_value_and_ratio_are_of_medians() -> None:
    measure = _measure()
    assert measure.value == 0.31
    assert measure.ratio == pytest.approx(0.31 / 0.3)
    assert measure.is_met


@pytest.mark.parametrize(("values", "peer"), [((0.34,), 0.3), ((0.51,), 0.5)])
def test_either_goal_can_be_missed(values: tuple[float, ...], peer: float) -> None:
    measure = _measure(values=values, peer=peer)
    assert not measure.is_met
    assert "| **missed** |" in render([measure])
    assert "Missed: start." in render([measure])
    assert row_text(measure).endswith("MISSED")


def test_a_measure_without_a_goal_is_never_missed() -> None:
    measure = Measure("size-plain", "ours", "peer", "MB", (900.0,), (1.0,))
    assert measure.is_met
    assert render([measure]).count("| - |  |") == 1


def test_the_row_has_median_spread_ratio_and_goal() -> None:
    row = next(line for line in render([_measure()]).splitlines() if line.startswith("| `start`"))
    assert row == "| `start` | 0.310 s (0.300 to 0.500) | 0.300 s | 1.033 | ratio ≤ 1.1, value ≤ 0.5 s | met |"


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0123, "0.012"), (9.876, "9.88"), (345.73, "345.7"), (4294967.3, "4294967")]
)
def test_figures_have_no_exponents(value: float, shown: str) -> None:
    assert f" {shown} MB " in render([_measure(values=(value,), unit="MB")])


def test_the_page_says_machine_what_peer_and_notes() -> None:
    old, new = (replace(_measure(name), machine=machine) for name, machine in (("start", "an old one"), ("size", "a new one")))
    page = render([old, new])
    assert "measured 2026-01-01 00:00 UTC on A" in page
    assert "measured 2026-01-01 00:00 UTC on B" in page
    for text in ("- machine A: an old one", "- machine B: a new one", "- ours: ours", "- peer: the peer", "- a note", "2026-01-01 00:00 UTC"):
        assert text in page


def test_json_has_the_figures_and_reads_back() -> None:
    measure = _measure()
    (value,) = json.loads(to_json([measure]))
    assert {name: value[name] for name in ("name", "value", "unit", "against", "ratio", "goal")} == {
        "name": "start",
        "value": 0.31,
        "unit": "s",
        "against": 0.3,
        "ratio": 1.0333,
        "goal": "ratio <= 1.1, value <= 0.5 s",
    }
    assert from_json(to_json([measure])) == (measure,)


def test_a_new_figure_replaces_the_old_one_and_the_order_is_the_given_one() -> None:
    old, other, new = _measure("b"), _measure("a"), _measure("b", values=(0.2,))
    assert merged([old, other, _measure("z")], [new], ["b", "a"]) == (new, other, _measure("z"))


def test_the_peers_files_are_filled_in() -> None:
    files = host_files(
        "registry.k8s.io/pause:3", {"registry.corp.example:8443": "http://10.0.0.1:5101"}, "10.0.0.1"
    )
    assert 'sandbox = "registry.k8s.io/pause:3"' in files["etc/containerd/config.toml"]
    assert (
        'server = "http://10.0.0.1:5101"'
        in files["etc/containerd/certs.d/registry.corp.example:8443/hosts.toml"]
    )
    init = init_config(address="10.0.0.2", version="v1.2.3", token="aaaaaa.bbbbbbbbbbbbbbbb", key="00ff")
    master = join_config(first="10.0.0.2", token="t", master="10.0.0.3", key="00ff")
    worker = join_config(first="10.0.0.2", token="t")
    for text in (init, master, worker):
        assert not {"ADDRESS", "KEY", "TOKEN", "REGISTRATION", "FIRST", "CONTROL_PLANE"} & set(text.split())
        assert "criSocket" in text
    assert "certificateKey" in master
    assert "controlPlane" not in worker
