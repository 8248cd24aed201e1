"""Where an engine cannot give everything, everything else is asked for by name."""

from __future__ import annotations

import pytest

from bundler.cluster.privilege import missing_capabilities, piecewise, refused, unknown_capability
from bundler.errors import ClusterFailed

FULL = "Name:\tpython\nCapBnd:\t000001ffffffffff\n"


def test_nothing_is_missing_where_all_bits_are_set() -> None:
    assert list(missing_capabilities(FULL)) == []
    assert piecewise(FULL)["cap_drop"] == []


def test_the_missing_ones_by_name() -> None:
    without = 0x1FFFFFFFFFF & ~(1 << 24) & ~(1 << 40)
    assert list(missing_capabilities(f"CapBnd:\t{without:016x}\n")) == ["SYS_RESOURCE", "CHECKPOINT_RESTORE"]


def test_what_an_engine_has_no_name_for_is_not_dropped() -> None:
    """Seen: docker in docker, 20.10: the outer one gives none of the newest, the inner one refuses to drop them."""
    name = unknown_capability('invalid CapDrop: unknown capability: "CAP_PERFMON"')
    assert name == "PERFMON"
    without = 0x1FFFFFFFFFF & ~(1 << 24) & ~(1 << 38)
    assert piecewise(f"CapBnd:\t{without:016x}\n", {name})["cap_drop"] == ["SYS_RESOURCE"]
    assert unknown_capability("no space left on device") == ""


@pytest.mark.parametrize("said", ["", "CapBnd:\n", "CapBnd: 1\nCapBnd: 2\n", "cat: /proc/1/status: Permission denied\n"])
def test_a_machine_that_does_not_tell_is_not_taken_for_one_that_lacks_all(said: str) -> None:
    with pytest.raises(ClusterFailed, match="nobody can tell"):
        piecewise(said)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("OCI runtime create failed: … unable to apply caps: operation not permitted: unknown", True),
        ("failed to create shim: invalid capability: CAP_X", True),
        ("no space left on device", False),
        ("Conflict. The container name is already in use", False),
    ],
)
def test_a_refusal_is_told_from_other_trouble(message: str, *, expected: bool) -> None:
    assert refused(message) is expected
