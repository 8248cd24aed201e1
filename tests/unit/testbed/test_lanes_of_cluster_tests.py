"""Cluster tests side by side: the order names modules that are there, and no two of them have a bed of one name."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from tests.cluster import conftest

MODULES = {path.stem: path.read_text() for path in Path(conftest.__file__).parent.glob("*.py")}


def test_the_order_names_modules_that_are_there() -> None:
    assert len(set(conftest.ORDER)) == len(conftest.ORDER)
    assert set(conftest.ORDER) <= set(MODULES)


def test_no_two_modules_have_a_bed_of_one_name() -> None:
    beds = Counter(name for text in MODULES.values() for name in set(re.findall(r"TestBed\([^)]*name=\"([^\"]+)\"", text)))
    assert len(beds) > 3, "beds are found no more"
    assert [name for name, count in beds.items() if count > 1] == []
