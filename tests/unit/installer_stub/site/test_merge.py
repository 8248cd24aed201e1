"""A command line with fewer words is safe; one with other words than the record is a contradiction that says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from installer_stub.host.model import Role
from installer_stub.options import HostWishes
from installer_stub.plan.settings import SiteSettings, SiteWishes
from installer_stub.site.merge import Contradiction, SiteRequest, merge, requested_bundle
from installer_stub.site.model import BundleState, Networks, Site
from tests.fakes.sites import SHOP, master, node, record, site

THREE = record(master(2), master(3), master(4), node(5))
ASKED = requested_bundle("shop", "1.4.0", SHOP.digest)


def ask(*hosts: Any, **changes: Any) -> SiteRequest:
    return SiteRequest(hosts, changes.pop("bundle", ASKED), **changes)


def merged(record: Any, request: SiteRequest) -> Site:
    found = merge(record, request)
    assert isinstance(found, Site), found
    return found


def test_without_a_record_the_request_is_the_site() -> None:
    new = merged(None, ask(master(2), node(5), services="10.200.0.0/16"))
    assert new == site(master(2), node(5), networks=Networks("10.244.0.0/16", "10.200.0.0/16"), bundles=(ASKED,))


@pytest.mark.parametrize("named", [(), (master(2),), (node(5),), (master(3), node(5)), (master(4), master(2))])
def test_fewer_words_change_nothing(named: tuple[Any, ...]) -> None:
    record = replace(THREE, site=replace(THREE.site, networks=Networks("10.1.0.0/16", "10.2.0.0/16"), endpoint="e:6443", sans=("s",), options=(("x", "1"),)))
    assert merged(record, ask(*named)) == record.site


SET = SiteSettings((("SITE", "north"),), 5444, (("etcd", "/data"),), (("containerd", '"x"'), ("kubelet", "{}")))


def test_settings_that_are_not_said_stay() -> None:
    record = replace(THREE, site=replace(THREE.site, settings=SET, endpoint="e:6443", sans=("s",)))
    assert merged(record, ask(node(5))) == record.site
    assert merged(record, ask(node(5), settings=SiteWishes(registry_port=5444, directories=(("etcd", "/data"),)))) == record.site


def test_environment_containerds_patch_endpoint_and_names_may_change_at_any_time() -> None:
    record = replace(THREE, site=replace(THREE.site, settings=SET, endpoint="e:6443", sans=("s",)))
    wishes = SiteWishes(env=(), patches=(("kubelet", "{}"),))
    new = merged(record, ask(node(5), settings=wishes, endpoint="f:1", sans=("t", "u")))
    assert new.settings == replace(SET, env=(), patches=(("kubelet", "{}"),))
    assert (new.endpoint, new.sans) == ("f:1", ("t", "u"))
    given_up = merged(record, ask(node(5), endpoint="", sans=()))
    assert (given_up.endpoint, given_up.sans) == ("", ())


def test_what_stays_for_life_cannot_be_taken_away_either() -> None:
    record = replace(THREE, site=replace(THREE.site, settings=SET))
    found = merge(record, ask(node(5), settings=SiteWishes(directories=(), patches=())))
    assert isinstance(found, Contradiction)
    assert [(each.option, each.requested) for each in found.differences] == [("dataDirectories.etcd", "nothing"), ("patches.kubelet", "nothing")]


def test_a_hosts_environment_is_replaced_as_a_whole_or_stays() -> None:
    record = replace(THREE, site=replace(THREE.site, hosts=(*THREE.site.hosts[:3], replace(node(5), env=(("A", "b"),)))))
    assert merged(record, ask(node(5))).hosts[3].env == (("A", "b"),)
    assert merged(record, ask(node(5), wishes=(("10.0.0.5", HostWishes(env=())),))).hosts[3].env == ()


def test_a_new_host_comes_last_and_nobody_leaves() -> None:
    new = merged(THREE, ask(master(3), node(9)))
    assert [host.name for host in new.hosts] == ["m2", "m3", "m4", "n5", "n9"]


def test_how_a_host_is_reached_may_change() -> None:
    new = merged(THREE, ask(replace(master(3), user="ops", port=2222)))
    assert (new.hosts[1].user, new.hosts[1].port) == ("ops", 2222)
    moved = merged(THREE, ask(replace(master(3), address="192.168.0.3", internal="10.0.0.3")))
    assert (moved.hosts[1].address, moved.hosts[1].internal) == ("192.168.0.3", "10.0.0.3")


@pytest.mark.parametrize(
    ("request_", "option", "recorded", "requested"),
    [
        (ask(services="10.9.0.0/16"), "--service-cidr", "10.96.0.0/16", "10.9.0.0/16"),
        (ask(pods="10.9.0.0/16"), "--pod-cidr", "10.244.0.0/16", "10.9.0.0/16"),
        (ask(settings=SiteWishes(registry_port=5444)), "registry.port", "5443", "5444"),
        (ask(settings=SiteWishes(directories=(("etcd", "/data"),))), "dataDirectories.etcd", "nothing", "/data"),
        (ask(settings=SiteWishes(patches=(("kubelet", "{}"),))), "patches.kubelet", "nothing", "{}"),
        (ask(replace(node(5), role=Role.MASTER)), "role of 10.0.0.5", "node", "master"),
        (ask(replace(node(5), name="renamed")), "name of 10.0.0.5", "n5", "renamed"),
        (ask(replace(node(9), name="n5")), "name n5", "10.0.0.5", "10.0.0.9"),
        (ask(bundle=requested_bundle("crm", "1.0.0", "sha256:2")), "bundle", "shop:1.4.0", "crm:1.0.0"),
        (ask(bundle=requested_bundle("shop", "1.5.0", "sha256:2")), "version", "shop:1.4.0", "shop:1.5.0"),
        (ask(bundle=requested_bundle("shop", "1.4.0", "sha256:" + "2" * 64)), "content", "sha256:111111111111", "sha256:222222222222"),
    ],
)
def test_other_words_are_a_contradiction_with_a_remedy(request_: SiteRequest, option: str, recorded: str, requested: str) -> None:
    found = merge(THREE, request_)
    assert isinstance(found, Contradiction)
    (difference,) = found.differences
    assert (difference.option, difference.recorded, difference.requested) == (option, recorded, requested)
    assert difference.remedy
    error = found.error()
    assert error.exit_code == 7
    assert "cluster c1 has shop:1.4.0" in error.problem
    assert "nothing was changed" in error.problem
    assert all(text in error.problem for text in (option, f"record says {recorded}", f"command line says {requested}"))


def test_all_differences_at_once() -> None:
    found = merge(THREE, ask(replace(node(9), name="n5"), services="10.9.0.0/16", bundle=requested_bundle("crm", "1", "")))
    assert isinstance(found, Contradiction)
    assert [each.option for each in found.differences] == ["bundle", "--service-cidr", "name n5"]


def test_wishes_are_recorded_and_what_is_not_said_stays() -> None:
    labelled = record(master(2), node(5, labels=(("a", "b"),), taints=("x:NoSchedule",)))
    assert merged(labelled, ask(node(5))).hosts[1] == labelled.site.hosts[1]
    changed = merged(labelled, ask(node(5), wishes=(("10.0.0.5", HostWishes(labels=())),)))
    assert (changed.hosts[1].labels, changed.hosts[1].taints) == ((), ("x:NoSchedule",))
    new = merged(None, ask(node(5), wishes=(("10.0.0.5", HostWishes(taints=("y:NoExecute",))),)))
    assert new.hosts[0].taints == ("y:NoExecute",)


def test_two_newcomers_of_one_name_are_seen_too() -> None:
    found = merge(THREE, ask(replace(node(8), name="twin"), replace(node(9), name="twin")))
    assert isinstance(found, Contradiction)


def test_an_older_releases_record_learns_the_content() -> None:
    old = replace(THREE, site=replace(THREE.site, bundles=(replace(SHOP, digest="", state=BundleState.INSTALLING),)))
    assert merged(old, ask()).bundles == (ASKED,)


def test_validity_is_for_what_comes_next() -> None:
    begun = replace(THREE, site=replace(THREE.site, options=(("certificate-validity", "1"), ("other", "1"))))
    assert merged(begun, ask(options=(("certificate-validity", "2"),))).option("certificate-validity") == "2"
    assert isinstance(merge(begun, ask(options=(("other", "2"),))), Contradiction)


def test_an_epoch_grows_only_when_something_differs() -> None:
    change = replace(THREE.changed, by="other")
    assert THREE.advanced(change, site=THREE.site) is THREE
    new = THREE.advanced(change, site=merged(THREE, ask(node(9))))
    assert (new.epoch, new.changed.by, new.authority) == (4, "other", THREE.authority)


OLD, NEW, OTHER = (f"SHA256:{letter * 43}" for letter in "ABC")


def signed(*keys: str, version: str = "1.4.0") -> Any:
    return requested_bundle("shop", version, SHOP.digest, tuple(sorted(keys)))


def known(*keys: str) -> Any:
    return replace(THREE, site=replace(THREE.site, bundles=(replace(SHOP, publishers=tuple(sorted(keys))),)))


@pytest.mark.parametrize(
    ("before", "asked", "after"),
    [
        ((), (), ()),
        ((), (OLD,), (OLD,)),  # the first signature that comes is remembered
        ((OLD,), (OLD,), (OLD,)),
        ((OLD,), (OLD, NEW), (NEW, OLD)),  # handed over: both signed, and the old one vouches for the new one
        ((OLD, NEW), (NEW,), (NEW,)),
    ],
)
def test_who_signed_what_is_installed_signs_what_comes(before: tuple[str, ...], asked: tuple[str, ...], after: tuple[str, ...]) -> None:
    new = merged(known(*before), ask(bundle=signed(*asked)))
    assert new.bundles[0].publishers == tuple(sorted(after))
    assert new.bundles[0].state is SHOP.state


@pytest.mark.parametrize(("asked", "said"), [((), "unsigned"), ((NEW,), NEW), ((NEW, OTHER), f"{NEW}, {OTHER}")])
@pytest.mark.parametrize("accepted", ["", OLD, "nobody"])
def test_another_publisher_is_refused_until_somebody_says_so(asked: tuple[str, ...], said: str, accepted: str) -> None:
    found = merge(known(OLD), ask(bundle=signed(*asked), accepted=accepted))
    assert isinstance(found, Contradiction)
    assert [(each.option, each.recorded, each.requested) for each in found.differences] == [("publisher", OLD, said)]
    assert f"--accept-publisher {(asked or ('unsigned',))[0]}" in found.differences[0].remedy
    new = merged(known(OLD), ask(bundle=signed(*asked), accepted=(asked or ("unsigned",))[0]))
    assert new.bundles[0].publishers == asked


def test_what_holds_other_things_is_not_a_question_of_who_signed() -> None:
    found = merge(known(OLD), ask(bundle=replace(signed(NEW), digest="sha256:" + "2" * 64), accepted=NEW))
    assert isinstance(found, Contradiction)
    assert [each.option for each in found.differences] == ["content"]
