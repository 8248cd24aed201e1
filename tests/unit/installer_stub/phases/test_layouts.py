"""Stubs are read for their layout once, and only as they were verified."""

from __future__ import annotations

import hashlib
import io
import threading

import pytest

from installer_stub.bundle.layout import Layout
from installer_stub.errors import BundleError
from installer_stub.phases.layouts import Layouts
from tests.fakes.frozen_stub import frozen


def test_a_stub_is_read_once_and_only_as_it_was_verified() -> None:
    stub = frozen()
    opened: list[int] = []
    digest = hashlib.sha256(stub).hexdigest()

    def opening() -> io.BytesIO:
        opened.append(1)
        return io.BytesIO(stub)

    layouts = Layouts()
    found: list[Layout] = []
    threads = [threading.Thread(target=lambda: found.append(layouts.of(opening, len(stub), digest))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [Layout.of(stub)] * 4
    assert len(opened) == 1
    with pytest.raises(BundleError, match="not what was verified"):
        Layouts().of(lambda: io.BytesIO(stub[::-1]), len(stub), digest)
    with pytest.raises(BundleError, match="ends too early"):
        Layouts().of(lambda: io.BytesIO(stub[:-9]), len(stub), digest)
    with pytest.raises(BundleError, match="bytes"):
        Layouts().of(opening, 1 << 40, digest)
