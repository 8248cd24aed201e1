"""Try again, but only for what was named and only for so long."""

from __future__ import annotations

import pytest

from installer_stub.host.retry import retry


def failing(times: int, error: type[Exception] = OSError):
    calls = []

    def work() -> int:
        calls.append(1)
        if len(calls) <= times:
            raise error(str(len(calls)))
        return len(calls)

    return work, calls


def test_until_it_works() -> None:
    work, _ = failing(3)
    assert retry(work, OSError, seconds=5, pause=0) == 4


def test_the_last_error_at_the_deadline() -> None:
    work, calls = failing(1000)
    with pytest.raises(OSError, match=r"^\d+$") as caught:
        retry(work, OSError, seconds=0.05, pause=0.01)
    assert str(caught.value) == str(len(calls))


def test_other_errors_at_once() -> None:
    work, calls = failing(3, KeyError)
    with pytest.raises(KeyError):
        retry(work, OSError, seconds=5, pause=0)
    assert len(calls) == 1
