"""What others left is renamed, written down first, and comes back: on real directories."""

from __future__ import annotations

from pathlib import Path

import pytest

from installer_stub.changes.image import Form, Image
from installer_stub.changes.machine import Machine
from installer_stub.changes.things import Kind, Thing
from installer_stub.errors import HostError, LedgerDamaged, NotPutBack
from installer_stub.ledger.aside import give_back
from installer_stub.ledger.ledger import Ledger
from installer_stub.ledger.record import Record, Step, encode
from installer_stub.membership.record import PATH as MEMBERSHIP
from installer_stub.phases import set_aside
from installer_stub.phases.base import Context
from installer_stub.phases.set_aside import SetAside
from tests.fakes.local_host import LocalConnection
from tests.fakes.plans import make_context, make_plan, masters
from tests.fakes.scripted import ScriptedConnection

HOST = "127.0.0.1"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(set_aside, "RECORD", str(tmp_path / "state" / "aside.json"))
    place = tmp_path / "kubernetes"
    (place / "pki").mkdir(parents=True)
    (place / "pki" / "ca.crt").write_text("theirs")
    return place


def context(place: Path, *, take: bool = True) -> Context:
    plan = make_plan(*masters(HOST))
    return make_context(plan, {HOST: LocalConnection()}, take=(str(place),) if take else (), leftovers={HOST: (str(place),)})


def ours(noted: tuple[str, ...] = (), *, begun: bool = False) -> ScriptedConnection:
    """A host whose ledger has noted directories, or that has begun to become a member."""
    records: list[Record] = []
    absent = Image(Form.ABSENT)
    for number, name in enumerate(noted, 1):
        records.append(Record(number, Step.INTENT, Thing(Kind.DIRECTORY, name), absent))
    connection = ScriptedConnection(files={"/var/lib/airseal/ledger/log": b"".join(map(encode, records))})
    if begun:
        connection.files[MEMBERSHIP] = b"anything"
    return connection


@pytest.mark.parametrize(
    ("connection", "taken"),
    [(ours(("/etc/kubernetes",)), False), (ours(("/etc",)), False), (ours(begun=True), False), (ours(("/etc/kuber",)), True), (ours(), True)],
)
def test_on_a_host_that_is_in_use_already_nothing_is_renamed_away(connection: ScriptedConnection, *, taken: bool) -> None:
    run = make_context(make_plan(*masters(HOST)), {HOST: connection}, take=("/etc/kubernetes",), leftovers={HOST: ("/etc/kubernetes",)})
    assert SetAside().is_needed(run) is taken


def give(place: Path) -> None:
    """What the host itself does in a reset."""
    with Ledger.opened(Machine(), str(Path(set_aside.RECORD).parent)) as ledger:
        give_back(ledger)


def aside(place: Path) -> Path:
    return place.with_name(place.name + ".before-airseal")


def test_it_is_renamed_once_and_comes_back(place: Path) -> None:
    run = context(place)
    assert SetAside().is_needed(run)
    SetAside().run(run)
    assert not place.exists()
    assert (aside(place) / "pki" / "ca.crt").read_text() == "theirs"
    place.mkdir()
    (place / "admin.conf").write_text("ours")  # from now on it is ours
    assert not SetAside().is_needed(run)
    SetAside().run(run)
    assert (place / "admin.conf").exists()
    (place / "admin.conf").unlink()  # as everything before it in a reset has done
    give(place)
    give(place)
    assert (place / "pki" / "ca.crt").read_text() == "theirs"
    assert not aside(place).exists()


def test_without_being_asked_nothing_is_touched(place: Path) -> None:
    run = context(place, take=False)
    assert not SetAside().is_needed(run)
    give(place)
    assert (place / "pki" / "ca.crt").exists()


def test_killed_between_the_record_and_the_rename_nothing_is_lost(place: Path) -> None:
    record = Path(set_aside.RECORD)
    record.parent.mkdir(exist_ok=True)
    record.write_text(f'{{"{place}": "{aside(place)}"}}\n')
    give(place)
    assert (place / "pki" / "ca.crt").read_text() == "theirs"


def test_something_in_the_way_stops_the_reset_and_keeps_both(place: Path) -> None:
    run = context(place)
    SetAside().run(run)
    place.mkdir()
    (place / "new").write_text("somebody's")
    with pytest.raises(NotPutBack, match="cannot be renamed back"):
        give(place)
    assert (place / "new").exists()
    assert (aside(place) / "pki" / "ca.crt").exists()


def test_an_earlier_one_set_aside_is_never_overwritten(place: Path) -> None:
    aside(place).mkdir()
    (aside(place) / "older").write_text("x")
    run = context(place)
    SetAside().run(run)
    assert not place.exists()
    give(place)
    assert (aside(place) / "older").exists()
    assert (place / "pki" / "ca.crt").exists()


def test_a_damaged_record_is_not_an_empty_one(place: Path) -> None:
    record = Path(set_aside.RECORD)
    record.parent.mkdir(exist_ok=True)
    record.write_text("")
    with pytest.raises(HostError, match="is damaged"):
        SetAside().is_needed(context(place))
    with pytest.raises(LedgerDamaged, match="is damaged"):
        give(place)
