"""Whatever is lost, torn, unreadable or taken: the same command heals it or refuses, and what is alive stays alive.

Each test damages one thing on a site of two masters and a node that works, gives the same command, and compares: etcd's
members, the UIDs of the nodes, the start times of containers, kubelet and containerd are those from before.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.cluster.conftest import INSTALL_TIMEOUT, OUTPUT
from tests.demo.__main__ import install_command, operators_environment
from tests.soak.cluster_state import Alive, kubectl
from tests.soak.scenario import named
from tests.testbed.cache import Cache
from tests.testbed.hosts import BlankHost, TestBed

pytestmark = pytest.mark.cluster

NEWCOMER = "n2"
REFUSED = {4, 5, 6, 7, 8, 10}

# Another life's data: a company's own certificates, and an etcd that is stopped.
OTHERS = """
mkdir -p /etc/kubernetes/pki /var/lib/etcd/member/snap
echo company > /etc/kubernetes/pki/company.pem
head -c 3000000 /dev/zero > /var/lib/etcd/member/snap/db
touch -d '40 days ago' /etc/kubernetes/pki/company.pem /etc/kubernetes/pki /etc/kubernetes /var/lib/etcd/member/snap/db /var/lib/etcd/member/snap /var/lib/etcd/member /var/lib/etcd
"""


@dataclass(frozen=True)
class Place:
    """A site that works, and a third host beside it that is not part of it yet."""

    bed: TestBed
    run: str

    def command(self, *more: str, newcomer: bool = False) -> list[str]:
        words = install_command(self.run, self.bed, OUTPUT / "kubeconfig-wipe", *more)  # type: ignore[arg-type]
        if not newcomer:
            named(words, "--node", [host.address for host in self.bed.nodes if host.name != NEWCOMER])
        return words

    def install(self, *more: str, newcomer: bool = False) -> subprocess.CompletedProcess[str]:
        return operate(self.command(*more, newcomer=newcomer))

    def alive(self) -> Alive:
        return Alive.of(self.bed, without=(NEWCOMER,))

    def host(self, name: str) -> BlankHost:
        return next(host for host in self.bed.hosts if host.name == name)


def operate(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, capture_output=True, text=True, timeout=INSTALL_TIMEOUT, check=False, env=operators_environment(), cwd=OUTPUT, stdin=subprocess.DEVNULL
    )


@pytest.fixture(scope="module")
def place(cache: Cache, shop_run: object) -> Iterator[Place]:
    with TestBed(masters=2, nodes=2, name="wipe", cache=cache) as bed:
        place = Place(bed, str(shop_run))
        done = place.install()
        (OUTPUT / "wipe.log").write_text(done.stdout + done.stderr)
        assert done.returncode == 0, done.stderr[-3000:]
        yield place


@dataclass(frozen=True)
class Damage:
    """What happens to a host, and how a person would put it right."""

    host: str
    does: str
    repair: str = "true"
    forbids: int = 0
    """The exit code with which the same command has to refuse, where nothing of the cluster shows it yet."""


KEEP = "cp -a {0} /dev/shm/kept; "
BACK = "rm -rf {0}; cp -a /dev/shm/kept {0}; rm -rf /dev/shm/kept"
STATE = "/var/lib/airseal"
LOG = f"{STATE}/ledger/log"
FORBIDDEN = 5
UNKNOWN = 8
CLIENT = "/etc/kubernetes/pki/apiserver-kubelet-client.crt"
PEER = "/etc/kubernetes/pki/etcd/peer.key"
CA = "/etc/kubernetes/pki/ca.crt"
FRONT = "/etc/kubernetes/pki/front-proxy-ca.crt"
ETCD = "/etc/kubernetes/pki/etcd/healthcheck-client.crt"

DAMAGES = {
    "the record of membership is gone from a master": Damage("m2", f"rm -f {STATE}/member {STATE}/membership.json"),
    "the record of membership is gone from a node": Damage("n1", f"rm -f {STATE}/member {STATE}/membership.json"),
    "the record of membership is torn": Damage("m2", f"for f in {STATE}/member {STATE}/membership.json; do [ ! -e $f ] || truncate -s 9 $f; done"),
    "the record of membership cannot be read": Damage(
        "m2",
        KEEP.format(f"{STATE}/membership.json") + f"rm -f {STATE}/membership.json; mkdir -p {STATE}/membership.json",
        BACK.format(f"{STATE}/membership.json"),
    ),
    "the cluster's mark is torn on a member": Damage("m2", KEEP.format(f"{STATE}/cluster.json") + f"truncate -s 9 {STATE}/cluster.json", BACK.format(f"{STATE}/cluster.json")),
    "the key of the CA was taken off the first master": Damage("m1", f"rm -f /etc/kubernetes/pki/ca.key {STATE}/authority/ca.key"),
    "another CA stands beside the cluster's": Damage(
        "m1",
        KEEP.format("/etc/kubernetes/pki/ca.crt") + "cat /etc/kubernetes/pki/front-proxy-ca.crt >> /etc/kubernetes/pki/ca.crt",
        BACK.format("/etc/kubernetes/pki/ca.crt"),
    ),
    "a certificate that the API server calls kubelets with is cut in half": Damage("m1", f"{KEEP.format(CLIENT)}truncate -s 500 {CLIENT}", BACK.format(CLIENT), forbids=FORBIDDEN),
    "a certificate of etcd is empty": Damage("m2", f"{KEEP.format(ETCD)}: > {ETCD}", BACK.format(ETCD), forbids=FORBIDDEN),
    "a key of etcd is cut in half": Damage("m2", f"{KEEP.format(PEER)}truncate -s 700 {PEER}", BACK.format(PEER), forbids=FORBIDDEN),
    "a CA that nothing can make anew is gone": Damage("m1", f"{KEEP.format(FRONT)}rm {FRONT}", BACK.format(FRONT), forbids=FORBIDDEN),
    "a node's copy of the cluster's CA is gone": Damage("n1", f"{KEEP.format(CA)}rm {CA}", BACK.format(CA), forbids=FORBIDDEN),
    "the sign that a node has a ledger is gone": Damage("n1", "rm /etc/airseal/ledger", "test -e /etc/airseal/ledger"),
    "a node's ledger is cut in half": Damage("n1", f"{KEEP.format(LOG)}truncate -s $(($(stat -c %s {LOG}) / 2)) {LOG}", BACK.format(LOG), forbids=UNKNOWN),
    "a master's ledger lost its last records": Damage("m2", f"sed -i '$d' {LOG}", "/opt/airseal/bin/airseal host ledger forget-lost", forbids=UNKNOWN),
    "the certificate of the registry's CA is cut in half": Damage("m1", f"truncate -s 100 {STATE}/registry-authority/ca.crt"),
    "a probe's program is not there": Damage("n1", "mv /usr/bin/sha256sum /usr/bin/sha256sum.away", "mv /usr/bin/sha256sum.away /usr/bin/sha256sum"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_healed_or_refused_and_nothing_is_wiped(place: Place, name: str) -> None:
    damage = DAMAGES[name]
    before = place.alive()
    host = place.host(damage.host)
    host.run("rm -rf /dev/shm/kept; " + damage.does)
    try:
        done = place.install()
    finally:
        host.run(damage.repair)
    assert before.harmed(place.alive()) == [], done.stderr[-2000:]
    assert done.returncode in ({damage.forbids} if damage.forbids else {0, *REFUSED}), done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    if done.returncode:
        assert "what to do:" in done.stderr
        assert host.address in done.stderr


def test_a_new_host_with_the_name_of_a_live_node_is_refused(place: Place) -> None:
    newcomer, before = place.host(NEWCOMER), place.alive()
    newcomer.run("hostname n1; echo n1 > /etc/hostname")
    try:
        done = place.install(newcomer=True)
    finally:
        newcomer.run(f"hostname {NEWCOMER}; echo {NEWCOMER} > /etc/hostname")
    assert before.harmed(place.alive()) == []
    assert done.returncode in {5, 7}, done.stderr[-3000:]  # a finding, or a contradiction to the site's record
    assert newcomer.address in done.stderr
    assert place.host("n1").address in done.stderr


def test_data_of_others_is_refused_with_size_and_age_and_taken_only_by_name(place: Place) -> None:
    newcomer, before = place.host(NEWCOMER), place.alive()
    newcomer.run(OTHERS)
    refused = place.install(newcomer=True)
    assert refused.returncode == 5, refused.stderr[-3000:]
    for path, much in (("/etc/kubernetes", "KiB"), ("/var/lib/etcd", "MiB")):
        line = next(line for line in refused.stderr.splitlines() if f"{path} holds" in line)
        assert much in line, line
        assert "days ago" in line
    assert "--take /etc/kubernetes" in refused.stderr
    assert newcomer.run("cat /etc/kubernetes/pki/company.pem; stat -c %s /var/lib/etcd/member/snap/db").stdout.split() == ["company", "3000000"]
    assert newcomer.run("ls -d /var/lib/airseal /opt/airseal", check=False).returncode != 0, "a refused installation changed the host"

    newcomer.run("rm -rf /var/lib/etcd/member")  # a volume in the test bed: it cannot be renamed, and that is said
    taken = place.install("--take", "/etc/kubernetes", newcomer=True)
    assert taken.returncode == 0, taken.stderr[-3000:]
    assert before.harmed(place.alive()) == []
    assert len(kubectl(place.bed.masters[0], "get nodes")["items"]) == 4
    assert newcomer.run("cat /etc/kubernetes.before-airseal/pki/company.pem").stdout == "company\n"


def test_reset_brings_back_what_was_taken(place: Place) -> None:
    words = place.command("--yes", newcomer=True)
    at = words.index("--kubeconfig")
    del words[at : at + 2]
    done = operate([words[0], "reset", *words[1:]])
    assert done.returncode == 0, done.stderr[-3000:]
    newcomer = place.host(NEWCOMER)
    assert newcomer.run("cat /etc/kubernetes/pki/company.pem").stdout == "company\n"
    assert newcomer.run("ls -d /etc/kubernetes.before-airseal", check=False).returncode != 0
