"""What a reset touches: hosts that carry our mark, and no others."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from installer_stub.commands import install
from installer_stub.errors import ClusterError, Interrupted, RecordError, UsageError
from installer_stub.facts.gather import HostFacts
from installer_stub.facts.software import Membership
from installer_stub.host.model import Host, Role
from installer_stub.options import InstallOptions
from installer_stub.site.choose import Chosen
from installer_stub.site.find import Found
from installer_stub.site.model import Identity, SiteRecord
from installer_stub.site.store import HostMark, OldMark
from installer_stub.site.whose import UNKNOWN, agree, ours_only
from installer_stub.ui import prompts
from tests.fakes.sites import master, node, record

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


def test_a_torn_mark_is_ours() -> None:
    torn = HostMark(unsound=RecordError("torn"))
    assert ours_only((A, B), facts(a=FOREIGN, b=BLANK), {A.address: torn}) == (A,)


THREE = record(master(2), master(3), master(4), node(5))


def found(known: SiteRecord | None = THREE, **marks: HostMark) -> Found:
    return Found({}, marks, Chosen(known.cluster if known else next(iter(marks.values())).cluster or UNKNOWN, known), known)


def options(*words: str, yes: bool = True, masters: str = "10.0.0.2,10.0.0.3,10.0.0.4") -> InstallOptions:
    parser = ArgumentParser()
    install.define(parser, "reset")
    named = ["--master", masters] if masters else ["--node", "10.0.0.5"]
    return replace(install.parse(parser.parse_args([*named, *words], Namespace(verb="reset"))), yes=yes)


MASTERS = (A, B, C)


def test_the_whole_site_and_a_node_alone_may_go() -> None:
    agree(options(), "shop", found(), (*MASTERS, Host("10.0.0.5", Role.NODE)))
    agree(options(masters=""), "shop", found(), (Host("10.0.0.5", Role.NODE),))
    agree(options(), "shop", found(), ())


def test_a_reset_that_was_cut_goes_on_with_the_same_words() -> None:
    agree(options(), "shop", found(), (B, C))


def test_some_of_the_masters_are_refused() -> None:
    with pytest.raises(ClusterError, match=r"10\.0\.0\.2 and 10\.0\.0\.3, 10\.0\.0\.4 are masters of one cluster, c1 \(shop:1\.4\.0\)"):
        agree(options(masters="10.0.0.2"), "shop", found(), (A, Host("10.0.0.5", Role.NODE)))


@pytest.mark.parametrize(
    "known",
    [
        found(),
        found(None, a=HostMark(identity=Identity("c1", ("shop:1.4.0",), "n5", Role.NODE, ("10.0.0.2",)))),
        found(None, a=HostMark(old=OldMark("c1", "shop:1.4.0"))),
    ],
)
def test_another_file_is_told_whose_cluster_it_is_even_with_yes(known: Found) -> None:
    with pytest.raises(ClusterError, match=r"belong to cluster c1 \(shop:1\.4\.0\), and this file is crm; nothing was changed") as caught:
        agree(options(), "crm", known, MASTERS)
    assert "--cluster c1" in caught.value.remedy
    agree(options("--cluster", "c1"), "crm", known, MASTERS)
    with pytest.raises(ClusterError, match="not to c2"):
        agree(options("--cluster", "c2"), "crm", known, MASTERS)


def test_a_host_whose_every_mark_is_torn_wants_a_word_of_its_own() -> None:
    known = found(None, a=HostMark(unsound=RecordError("torn")))
    with pytest.raises(ClusterError, match="cluster unknown"):
        agree(options(), "shop", known, (A,))
    agree(options("--cluster", "unknown"), "shop", known, (A,))


def test_the_question_names_cluster_and_application(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(prompts, "is_interactive", lambda: True)
    monkeypatch.setattr(prompts, "confirm", lambda question: bool(asked.append(question)))
    with pytest.raises(Interrupted):
        agree(options(yes=False), "shop", found(), MASTERS)
    assert asked == ["Remove cluster c1 (shop:1.4.0) from 10.0.0.2, 10.0.0.3, 10.0.0.4? Volumes on the hosts' own disks stay."]


def test_where_nobody_can_be_asked_yes_has_to_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "is_interactive", lambda: False)
    with pytest.raises(UsageError, match="cluster c1"):
        agree(options(yes=False), "shop", found(), MASTERS)
