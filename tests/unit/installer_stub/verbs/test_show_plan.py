"""What would be done, on which hosts, how much of it; what looks only is no change."""

from __future__ import annotations

from typing import ClassVar

from installer_stub.errors import HostError
from installer_stub.host.model import Role
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.copy_bundle import CopyBundle
from installer_stub.phases.copy_stub import CopyStub
from installer_stub.phases.install_files import InstallFiles
from installer_stub.phases.join_masters import JoinMasters
from installer_stub.phases.pipeline import INSTALL
from installer_stub.phases.settle import Settle
from installer_stub.verbs.show_plan import phase_hosts, planned, planned_text
from tests.fakes.plans import M1, M2, M3, N1, STUB, make_context, make_plan, masters, nodes


class Done(Phase):
    title: ClassVar[str] = "Something that is done"

    def is_needed(self, context: Context) -> bool:
        return False


class Unknown(Phase):
    title: ClassVar[str] = "Something that needs what is not there yet"

    def is_needed(self, context: Context) -> bool:
        raise HostError(M1, "there is no stub yet")


class Needed(Phase):
    title: ClassVar[str] = "Something to do"


def context() -> Context:
    return make_context(make_plan(*masters(M1, M2, M3), *nodes(N1)))


def test_a_phase_is_needed_or_not_or_waits_for_others() -> None:
    done, unknown, needed, looks = planned(context(), (Done(), Unknown(), Needed(), Settle()))
    assert (done.needed, unknown.needed, needed.needed) == (False, None, True)
    assert (looks.needed, looks.looks, needed.looks) == (True, True, False)
    text = planned_text((done, unknown, needed))
    assert "nothing to do" in text
    assert "if earlier phases change anything" in text
    assert "Nothing was changed." in text


def test_a_finished_site_has_nothing_to_change() -> None:
    text = planned_text(planned(context(), (Done(), Settle())))
    assert text.endswith("Nothing would be changed.")
    assert "looks" in text


def test_bytes_and_hosts() -> None:
    known = context()
    assert [host.address for host in phase_hosts(known, JoinMasters())] == [M2, M3]
    assert [host.address for host in phase_hosts(known, InstallFiles(Role.NODE))] == [N1]
    assert [host.address for host in phase_hosts(known, CopyBundle())] == [M1, M2, M3]
    for host in known.connections.values():
        host.on("sha256sum", "other  x\n")  # type: ignore[attr-defined]
    (stub,) = planned(known, (CopyStub(),))
    assert (stub.bytes, len(stub.hosts)) == (4 * len(STUB), 4)


def test_every_phase_of_an_installation_can_be_planned() -> None:
    known = context()
    assert all(phase_hosts(known, phase) for phase in INSTALL)
