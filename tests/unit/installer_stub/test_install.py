"""What a reset touches: hosts that carry our mark, and no others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from installer_stub.errors import ClusterError
from installer_stub.facts.gather import HostFacts
from installer_stub.facts.software import Membership
from installer_stub.host.model import Host, Role
from installer_stub.install import ours_only

A, B, C = (Host(address, Role.MASTER) for address in ("10.0.0.2", "10.0.0.3", "10.0.0.4"))
OURS, HALF = Membership("c1", "shop:1", joined=True, server=""), Membership("c1", "shop:1", joined=False, server="")
BLANK, FOREIGN = Membership("", "", joined=False, server=""), Membership("", "", joined=True, server="https://x:6443")


def facts(**memberships: Membership) -> dict[str, HostFacts]:
    by_name = {"a": A, "b": B, "c": C}
    return {by_name[name].address: cast("HostFacts", SimpleNamespace(membership=value)) for name, value in memberships.items()}


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (facts(a=OURS, b=HALF, c=OURS), (A, B, C)),
        (facts(a=OURS, b=BLANK, c=OURS), (A, C)),  # a blank host's own containerd is not ours to stop
        (facts(a=OURS, c=OURS), (A, C)),  # one does not answer
        (facts(a=BLANK), ()),
    ],
)
def test_hosts_with_our_mark(known: Any, expected: tuple[Host, ...]) -> None:
    assert ours_only((A, B, C), known) == expected


def test_a_host_in_a_cluster_of_others_stops_the_reset_by_name() -> None:
    with pytest.raises(ClusterError, match=r"^10\.0\.0\.3: in a cluster that airseal did not install"):
        ours_only((A, B), facts(a=OURS, b=FOREIGN))
