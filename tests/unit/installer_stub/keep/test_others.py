"""Who is there is the cluster's own word, and its silence is none."""

from __future__ import annotations

import pytest

from installer_stub.keep import others
from installer_stub.keep.programs import Done


@pytest.mark.parametrize(
    ("masters", "said", "missing"),
    [
        (3, Done(0, "address=10.0.0.2\naddress=10.0.0.3\naddress=10.0.0.4"), 0),
        (3, Done(0, "Warning: something is old\naddress=10.0.0.2\naddress=10.0.0.4"), 1),
        (3, Done(0, "address=10.0.0.2\naddress=10.0.0.2"), 2),
        (2, Done(0, "address=10.0.0.2\naddress=10.0.0.3\naddress=10.0.0.4"), 0),
        (3, Done(1, "The connection to the server 10.0.0.2:6443 was refused"), 0),
        (3, Done(124, "kubectl did not end within 20 s"), 0),
        (3, Done(0, ""), 0),
        (1, Done(0, ""), 0),
    ],
)
def test_who_is_missing(monkeypatch: pytest.MonkeyPatch, masters: int, said: Done, missing: int) -> None:
    asked = list[tuple[str, ...]]()
    monkeypatch.setattr(others, "run", lambda argv, *, timeout: asked.append(tuple(argv)) or said)
    assert others.missing(masters) == missing
    assert bool(asked) is (masters > 1)
