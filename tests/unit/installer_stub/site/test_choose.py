"""The highest epoch wins, sound heals unsound, and what nobody can decide is an error."""

from __future__ import annotations

from dataclasses import replace

import pytest

from installer_stub.errors import ClusterError, RecordError
from installer_stub.host.model import Role
from installer_stub.site.choose import choose
from installer_stub.site.model import Identity
from installer_stub.site.store import HostMark, OldMark
from tests.fakes.sites import record

THIS = record()
NODE = HostMark(identity=Identity("c1", ("shop:1.4.0",), "n5", Role.NODE, ("10.0.0.2", "10.0.0.3")))
TORN = HostMark(unsound=RecordError("the site's record is torn: it is no JSON"))


def test_blank_hosts_are_of_no_cluster() -> None:
    chosen = choose({"a": HostMark(), "b": HostMark()})
    assert (chosen.cluster, chosen.record) == ("", None)


def test_the_highest_epoch_of_any_master_or_of_the_cluster() -> None:
    marks = {"a": HostMark(record=THIS), "b": HostMark(record=replace(THIS, epoch=5)), "c": HostMark(record=replace(THIS, epoch=4))}
    assert choose(marks).record == replace(THIS, epoch=5)
    assert choose(marks, replace(THIS, epoch=6)).record == replace(THIS, epoch=6)


@pytest.mark.parametrize("unsound", [TORN, replace(TORN, identity=NODE.identity), HostMark()])
def test_an_unsound_or_missing_record_is_healed_from_a_sound_one(unsound: HostMark) -> None:
    assert choose({"a": unsound, "b": HostMark(record=THIS)}).record == THIS
    assert choose({"a": unsound}, THIS).record == THIS


@pytest.mark.parametrize("other", [HostMark(), NODE])
def test_an_unsound_record_alone_is_a_named_error(other: HostMark) -> None:
    with pytest.raises(RecordError, match=r"^a: the site's record is torn"):
        choose({"a": TORN, "b": other})


def test_two_records_of_one_epoch() -> None:
    other = replace(THIS, changed=replace(THIS.changed, by="another@laptop"))
    marks = {"a": HostMark(record=THIS), "b": HostMark(record=other)}
    with pytest.raises(RecordError, match=r"all of epoch 3: a \(engineer@laptop.*b \(another@laptop"):
        choose(marks)
    assert choose(marks, other).record == other
    assert choose({**marks, "c": HostMark(record=replace(THIS, epoch=4))}).record == replace(THIS, epoch=4)


def test_hosts_of_two_clusters_are_named_with_what_runs_there() -> None:
    marks = {"a": HostMark(record=THIS), "b": HostMark(record=THIS), "n": HostMark(old=OldMark("c2", "crm:1.0.0")), "x": HostMark()}
    with pytest.raises(ClusterError, match=r"a, b: cluster c1 \(shop:1\.4\.0\); n: cluster c2 \(crm:1\.0\.0\)") as caught:
        choose(marks)
    assert "reset --node n" in caught.value.remedy


def test_a_node_tells_where_the_masters_are() -> None:
    chosen = choose({"n": NODE, "x": HostMark()})
    assert (chosen.cluster, chosen.record, chosen.masters) == ("c1", None, ("10.0.0.2", "10.0.0.3"))


def test_what_a_newer_airseal_wrote_is_never_written_over() -> None:
    newer = HostMark(unsound=RecordError("of the format 'airseal.site/2'", newer=True))
    with pytest.raises(RecordError, match=r"airseal\.site/2"):
        choose({"a": newer, "b": HostMark(record=THIS)})
