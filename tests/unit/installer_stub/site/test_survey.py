"""From a command line to the hosts that a run works on: fewer words never shrink the site."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace

import pytest

from installer_stub.commands import install
from installer_stub.distro.balancer import config as balancer_config
from installer_stub.distro.kubeadm_config import cluster_configuration, node_registration
from installer_stub.errors import ClusterError, SiteContradiction, UsageError
from installer_stub.host.command import Secret
from installer_stub.host.model import Role
from installer_stub.options import InstallOptions
from installer_stub.plan.decide import build_plan
from installer_stub.plan.model import Plan
from installer_stub.site import survey as module
from installer_stub.site.choose import Chosen
from installer_stub.site.find import Found
from installer_stub.site.model import Networks, SiteRecord
from installer_stub.site.store import HostMark
from installer_stub.site.survey import Surveyed, survey
from installer_stub.values.model import Wished
from installer_stub.values.schema import parse_schema
from installer_stub.values.store import GIVEN, encode_kept
from tests.fakes.scripted import ScriptedConnection
from tests.fakes.sites import SHOP, master, node, record
from tests.unit.installer_stub.facts.recordings import facts
from tests.unit.installer_stub.preflight.sites import BUNDLE
from tests.unit.installer_stub.site.test_find import Reach
from tests.unit.installer_stub.values.test_schema import SHOP as SHOP_VALUES

THREE = record(master(2), master(3), master(4), node(5), node(6))
THREE = replace(THREE, site=replace(THREE.site, networks=Networks("10.1.0.0/16", "10.2.0.0/16")))
NAMES = {f"10.0.0.{number}": name for number, name in ((2, "m2"), (3, "m3"), (4, "m4"), (5, "n5"), (6, "n6"), (7, "m7"), (9, "n9"))}


@pytest.fixture(autouse=True)
def gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    base = facts("rhel-9")
    monkeypatch.setattr(module, "gather_all", lambda hosts: {address: replace(base, hostname=NAMES[address]) for address in hosts})


def options(*words: str) -> InstallOptions:
    parser = ArgumentParser()
    install.define(parser, "install")
    return install.parse(parser.parse_args(words, Namespace(verb="install")))


def connection(address: str) -> ScriptedConnection:
    return ScriptedConnection(replace(master(2), address=address).reach)


def run(known: SiteRecord | None, *words: str, up: tuple[str, ...] = tuple(NAMES)) -> tuple[Surveyed, Plan]:
    asked = options(*words)
    hosts = {host.address: connection(host.address) for host in (*asked.hosts, *asked.via)}
    found = Found(dict(hosts), {address: HostMark() for address in hosts}, Chosen("c1" if known else "", known), known)
    surveyed = survey(asked, BUNDLE, SHOP.digest, found, Reach(*(connection(address) for address in up)))
    return surveyed, build_plan(surveyed, surveyed.facts, BUNDLE, members=surveyed.members)


@pytest.mark.parametrize("words", [("--san", "api.site"), ("--endpoint", "10.0.0.99"), ("--endpoint", "none"), ("--san", "none")])
def test_every_host_follows_another_way_to_the_api(words: tuple[str, ...]) -> None:
    known = replace(THREE, site=replace(THREE.site, endpoint="10.0.0.98:6443", sans=("old.site",)))
    surveyed, plan = run(known, "--master", "10.0.0.2", *words)
    assert [host.name for host in plan.hosts] == ["m2", "m3", "m4", "n5", "n6"]
    assert surveyed.record.pending == ("m2", "m3", "m4", "n5", "n6")
    assert surveyed.record.epoch == known.epoch + 1
    same, _ = run(known, "--master", "10.0.0.2", "--endpoint", "10.0.0.98", "--san", "old.site")
    assert same.record == known
    assert [host.name for host in same.record.site.hosts if host.address in same.connections] == ["m2"]


def test_a_new_site() -> None:
    surveyed, plan = run(None, "--master", "10.0.0.2", "--node", "10.0.0.5", "--service-cidr", "10.3.0.0/16")
    assert (surveyed.record.epoch, surveyed.before, len(surveyed.record.cluster)) == (1, None, 16)
    assert plan.service_cidr == "10.3.0.0/16"
    assert [host.name for host in plan.hosts] == ["m2", "n5"]


def test_two_networks() -> None:
    """SSH over one network; whatever hosts have of each other is over the other one."""
    _, plan = run(None, "--master", "10.0.0.2=172.16.0.2", "--node", "10.0.0.5=172.16.0.5")
    first, worker = plan.hosts
    assert (first.address, first.internal, worker.internal) == ("10.0.0.2", "172.16.0.2", "172.16.0.5")
    assert plan.images.endpoints == ("https://172.16.0.2:5443",)
    assert {"10.0.0.2", "172.16.0.2"} <= set(cluster_configuration(plan)["apiServer"]["certSANs"])
    assert node_registration(plan, worker)["kubeletExtraArgs"][0] == {"name": "node-ip", "value": "172.16.0.5"}
    assert "172.16.0.2:6443" in balancer_config(plan, worker)
    assert "10.0.0.2:6443" not in balancer_config(plan, worker)


def test_the_inner_address_is_recorded_and_need_not_be_said_again() -> None:
    known = record(master(2, internal="172.16.0.2"), node(5, internal="172.16.0.5"))
    _, plan = run(known, "--master", "10.0.0.2", "--node", "10.0.0.5")
    assert [host.internal for host in plan.hosts] == ["172.16.0.2", "172.16.0.5"]
    assert [member.address for member in plan.site] == ["172.16.0.2", "172.16.0.5"]


def test_the_same_words_change_nothing() -> None:
    versions = replace(THREE.versions, airseal=module.VERSION)
    known = replace(THREE, versions=versions)
    surveyed, plan = run(known, "--master", "10.0.0.4,10.0.0.2,10.0.0.3", "--node", "10.0.0.5,10.0.0.6")
    assert surveyed.record == known
    assert [host.name for host in plan.masters] == ["m2", "m3", "m4"], "the site's order, not the command line's"
    assert (plan.pod_cidr, plan.service_cidr) == ("10.1.0.0/16", "10.2.0.0/16")


def test_a_left_out_master_stays_listed() -> None:
    surveyed, plan = run(THREE, "--master", "10.0.0.3", "--node", "10.0.0.9")
    assert [host.name for host in plan.hosts] == ["m3", "n9"]
    assert plan.images.endpoints == ("https://10.0.0.2:5443", "https://10.0.0.3:5443", "https://10.0.0.4:5443")
    assert [member.name for member in plan.site] == ["m2", "m3", "m4", "n5", "n6", "n9"]
    assert plan.position(plan.hosts[1]) == 5
    assert (surveyed.record.epoch, surveyed.before) == (4, THREE)


def test_a_node_alone_joins_through_a_master_that_answers() -> None:
    surveyed, plan = run(THREE, "--node", "10.0.0.9", "--via", "10.0.0.6", up=("10.0.0.3", "10.0.0.4"))
    assert [host.name for host in plan.hosts] == ["m3", "n9"]
    assert surveyed.absent == ()


def test_another_master_is_told_to_everybody_who_answers() -> None:
    surveyed, plan = run(THREE, "--master", "10.0.0.7", "--via", "10.0.0.2", up=("10.0.0.3", "10.0.0.5"))
    assert [host.name for host in plan.hosts] == ["m2", "m3", "n5", "m7"]
    assert [host.name for host in surveyed.absent] == ["m4", "n6"]
    assert [host.name for host in surveyed.record.site.masters] == ["m2", "m3", "m4", "m7"]


def test_a_run_that_was_cut_is_finished_by_any_later_one() -> None:
    cut = replace(THREE, pending=("n5", "n6"))
    surveyed, plan = run(cut, "--master", "10.0.0.2", up=("10.0.0.5",))
    assert [host.name for host in plan.hosts] == ["m2", "n5"]
    assert [host.name for host in surveyed.absent] == ["n6"]
    assert surveyed.record.pending == ("n5", "n6")
    assert run(THREE, "--master", "10.0.0.7", "--via", "10.0.0.2")[0].record.pending == ("m2", "m3", "m4", "m7", "n5", "n6")
    assert run(THREE, "--node", "10.0.0.9", "--via", "10.0.0.2")[0].record.pending == ()


def test_no_master_answers() -> None:
    with pytest.raises(ClusterError, match=r"none of the masters of cluster c1 answers: 10\.0\.0\.2, 10\.0\.0\.3, 10\.0\.0\.4"):
        run(THREE, "--node", "10.0.0.9", "--via", "10.0.0.6", up=())


def test_what_contradicts_is_refused_before_anything_else() -> None:
    with pytest.raises(SiteContradiction, match="--service-cidr"):
        run(THREE, "--master", "10.0.0.2", "--service-cidr", "10.96.0.0/16")
    with pytest.raises(SiteContradiction, match=r"role of 10\.0\.0\.5"):
        run(THREE, "--master", "10.0.0.2,10.0.0.5")


def test_a_recorded_validity_holds_until_another_one_is_told() -> None:
    known = replace(THREE, site=replace(THREE.site, options=((module.VALIDITY, "86400"),)))
    assert run(known, "--master", "10.0.0.2")[0].certificate_validity == 86400
    assert run(known, "--master", "10.0.0.2", "--certificate-validity", "2")[0].certificate_validity == 2 * 86400
    assert Role.MASTER in {host.role for host in run(THREE, "--master", "10.0.0.2")[0].hosts}


VALUES = parse_schema(SHOP_VALUES.encode())
PASSWORD = Wished((("replicas", "3"),), (("db.password", Secret('"hunter22"')),))


def valued(known: SiteRecord | None, wished: Wished, *, holds: bytes | None = None) -> Surveyed:
    asked = options("--master", "10.0.0.2")
    host = connection("10.0.0.2")
    if holds is not None:
        host.files[GIVEN] = holds
    found = Found({"10.0.0.2": host}, {"10.0.0.2": HostMark()}, Chosen("c1" if known else "", known), known)
    return survey(asked, BUNDLE, SHOP.digest, found, Reach(), schema=VALUES, wished=wished)


def test_values_are_recorded_and_fewer_words_keep_them() -> None:
    first = valued(None, PASSWORD)
    assert first.record.site.settings.values == (("replicas", "3"),)
    known = replace(THREE, site=replace(THREE.site, settings=first.record.site.settings))
    same = valued(known, Wished(), holds=encode_kept(first.values.given))
    assert same.record == known
    assert same.values.effective.identity == first.values.effective.identity
    with pytest.raises(UsageError, match=r"db\.password"):
        valued(known, Wished())  # no master has the secret: it is asked for, and nothing is made up


def test_a_changed_value_is_the_masters_business_and_one_for_life_a_contradiction() -> None:
    first = valued(None, PASSWORD)
    known = replace(THREE, site=replace(THREE.site, settings=first.record.site.settings))
    changed = valued(known, Wished((("replicas", "4"),)), holds=encode_kept(first.values.given))
    assert [each.option for each in changed.values.changed] == ["replicas"]
    assert (changed.record.epoch, changed.record.pending) == (known.epoch + 1, known.pending)
    assert [host.address for host in changed.hosts] == ["10.0.0.2"]
    with pytest.raises(SiteContradiction, match=r"tls +record says false +command line says true"):
        valued(known, Wished((("tls", "true"),)), holds=encode_kept(first.values.given))
