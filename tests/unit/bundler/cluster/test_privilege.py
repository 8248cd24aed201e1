"""Where an engine cannot give everything, everything else is asked for by name."""

from __future__ import annotations

import pytest

from bundler.cluster.privilege import missing_capabilities, piecewise, refused
from bundler.errors import ClusterFailed

FULL = "Name:\tpython\nCapBnd:\t000001ffffffffff\n"


def test_nothing_is_missing_where_all_bits_are_set() -> None:
    assert list(missing_capabilities(FULL)) == []
    assert piecewise(FULL)["cap_drop"] == []


def test_the_missing_ones_by_name() -> None:
    without = 0x1FFFFFFFFFF & ~(1 << 24) & ~(1 << 40)
    assert list(missing_capabilities(f"CapBnd:\t{without:016x}\n")) == ["SYS_RESOURCE", "CHECKPOINT_RESTORE"]


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
