"""A step changes what its plan names, and nothing while it looks."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from installer_stub.changes.things import Kind, Thing
from installer_stub.errors import NotPlanned
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection, ResumableConnection, write
from installer_stub.host.model import Host, Role
from installer_stub.phases.journal import Journal
from installer_stub.plan.guard import Guarded
from tests.fakes.plans import M1
from tests.fakes.scripted import ScriptedConnection

ACTS: dict[str, Callable[[Guarded], object]] = {
    "run": lambda guarded: guarded.run(Command.of("rm", "/x", changes="remove /x")),
    "put": lambda guarded: guarded.put(io.BytesIO(b"1"), "/x", size=1),
    "put_resumable": lambda guarded: guarded.put_resumable(io.BytesIO(b"1"), "/x", size=1),
    "write": lambda guarded: write(guarded, "/x", "1"),
}


@pytest.mark.parametrize("act", ACTS)
def test_what_is_not_planned_never_reaches_the_host(act: str) -> None:
    host = ScriptedConnection(Host(M1, Role.MASTER)).on("rm")
    with pytest.raises(NotPlanned, match=rf"^{M1}: the plan does not say so, and this would: (remove|write) /x"):
        ACTS[act](Guarded(host, "the plan does not say so"))
    assert (host.changes, "/x" in host.files) == ([], False)


@pytest.mark.parametrize("act", ACTS)
def test_what_is_planned_does(act: str) -> None:
    host = ScriptedConnection(Host(M1, Role.MASTER)).on("rm")
    ACTS[act](Guarded(host))
    assert host.changes == ["remove /x"] or host.files["/x"] == b"1"


def test_looking_is_free() -> None:
    host = ScriptedConnection(Host(M1, Role.MASTER)).on("ls", "a b\n")
    host.files["/x"] = b"1"
    guarded = Guarded(host, "only looks")
    assert (guarded.run(Command.of("ls")).stdout, guarded.read("/x"), guarded.host.address) == ("a b\n", b"1", M1)


def test_it_is_a_connection_that_resumes() -> None:
    guarded: Connection = Guarded(ScriptedConnection(Host(M1, Role.MASTER)))
    assert isinstance(guarded, ResumableConnection)


@pytest.mark.parametrize(
    ("kind", "name", "named"),
    [
        (Kind.FILE, "/etc/a", True),
        (Kind.FILE, "/etc/some.d/x.conf", True),  # any file in a directory that the plan names so
        (Kind.FILE, "/etc/some.d/deeper/x.conf", False),
        (Kind.FILE, "/etc/some.d", False),
        (Kind.UNIT, "/etc/a", False),  # another kind of thing
        (Kind.FILE, "/etc/b", False),
    ],
)
def test_a_ledger_holds_what_the_plan_names_and_nothing_else(kind: Kind, name: str, *, named: bool) -> None:
    host = ScriptedConnection(Host(M1, Role.MASTER)).journals()
    journal = Journal(Guarded(host, things=frozenset({Thing(Kind.FILE, "/etc/a"), Thing(Kind.FILE, "/etc/some.d/*")})))
    if named:
        journal.remember((kind, name))
        assert len(host.changes) == 1
        return
    with pytest.raises(NotPlanned, match=rf"the plan of this step does not name it, and this would: change the {kind.value} {name}"):
        journal.remember((Kind.FILE, "/etc/a"), (kind, name))
    if kind is Kind.FILE:
        with pytest.raises(NotPlanned):
            journal.write(name, "text")
    assert (host.changes, name in host.files) == ([], False)
