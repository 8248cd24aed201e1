"""Kernel settings: raised, never lowered; what cannot be set is remembered, so that a second run finds nothing to do."""

from __future__ import annotations

import pytest

from installer_stub.phases import kernel

FORWARD, INSTANCES, WATCHES = "net.ipv4.ip_forward", "fs.inotify.max_user_instances", "fs.inotify.max_user_watches"


@pytest.mark.parametrize(
    ("current", "expected"),
    [
        ({FORWARD: 0, INSTANCES: 128, WATCHES: 8192}, {FORWARD: 1, INSTANCES: 8192, WATCHES: 1048576}),
        ({FORWARD: 1, INSTANCES: 65536, WATCHES: 2097152}, {FORWARD: 1, INSTANCES: 65536, WATCHES: 2097152}),
        ({FORWARD: 2}, {FORWARD: 1}),
        ({}, {}),  # what the kernel does not have is not asked for
    ],
)
def test_what_each_setting_shall_be(current: dict[str, int], expected: dict[str, int]) -> None:
    assert kernel.wanted(current) == expected


def test_a_host_that_was_prepared_is_satisfied_and_one_that_was_changed_since_is_not() -> None:
    current = {FORWARD: 1, INSTANCES: 8192}
    text = kernel.conf(kernel.wanted(current), frozenset())
    assert kernel.satisfied(current, text)
    assert not kernel.satisfied({**current, FORWARD: 0}, text)
    assert not kernel.satisfied({**current, INSTANCES: 128}, text)
    assert not kernel.satisfied(current, "")


def test_what_cannot_be_set_is_not_tried_for_ever_and_not_written_as_a_setting() -> None:
    current = {FORWARD: 1, INSTANCES: 128}
    text = kernel.conf(kernel.wanted(current), frozenset({INSTANCES}))
    assert kernel.unsettable(text) == frozenset({INSTANCES})
    assert f"{INSTANCES} = " not in text
    assert kernel.satisfied(current, text)


def test_answers_that_are_no_numbers_are_left_out() -> None:
    assert kernel.parse("net/ipv4/ip_forward 1\nbroken\nkernel/x a b\nkernel/y z\n") == {"net/ipv4/ip_forward": 1}
