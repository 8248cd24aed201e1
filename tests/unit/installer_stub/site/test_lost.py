"""A host that is off is the site's and left out of a run, or a stranger and an error."""

from __future__ import annotations

import pytest

from installer_stub.errors import HostsFailed, HostUnreachable
from installer_stub.preflight.finding import Severity
from installer_stub.site.lost import silent, without_lost
from tests.fakes.sites import master, node, record
from tests.unit.installer_stub.site.test_survey import options

SITE = record(master(2), master(3), master(4), node(5))


def off(*addresses: str) -> dict[str, HostUnreachable]:
    return {address: HostUnreachable(address, "no route to host") for address in addresses}


@pytest.mark.parametrize("address", ["10.0.0.2", "10.0.0.3", "10.0.0.5"])
def test_a_host_of_the_site_is_left_out_the_first_master_too(address: str) -> None:
    asked = options("--master", "10.0.0.2,10.0.0.3,10.0.0.4", "--node", "10.0.0.5")
    left = without_lost(asked, off(address), SITE)
    assert [host.address for host in left.hosts] == [host.address for host in asked.hosts if host.address != address]


def test_nobody_lost_is_nothing_left_out() -> None:
    asked = options("--master", "10.0.0.2")
    assert without_lost(asked, {}, None) == asked


def test_a_new_host_that_is_silent_is_an_error() -> None:
    with pytest.raises(HostUnreachable, match=r"10\.0\.0\.9"):
        without_lost(options("--master", "10.0.0.2", "--node", "10.0.0.9,10.0.0.5"), off("10.0.0.9", "10.0.0.5"), SITE)


def test_before_there_is_a_site_every_host_has_to_answer() -> None:
    asked = options("--master", "10.0.0.2", "--node", "10.0.0.5,10.0.0.6")
    with pytest.raises(HostsFailed):
        without_lost(asked, off("10.0.0.5", "10.0.0.6"), None)


def test_a_guide_that_is_off_matters_only_where_the_site_was_not_found() -> None:
    asked = options("--node", "10.0.0.5", "--via", "10.0.0.9")
    assert without_lost(asked, off("10.0.0.9"), SITE).hosts == asked.hosts
    with pytest.raises(HostUnreachable):
        without_lost(asked, off("10.0.0.9"), None)


def test_it_is_said_before_anything_is_done() -> None:
    (finding,) = silent(off("10.0.0.2"))
    assert (finding.severity, finding.host) == (Severity.WARNING, "10.0.0.2")
