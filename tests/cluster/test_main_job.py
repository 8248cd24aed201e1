"""The main job on one master and one node: sealed from a live cluster, installed where there is no network."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import subprocess
import time
import tomllib
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import OUTPUT, Site, registry_login
from tests.demo.shop import order_something, origins
from tests.testbed.cache import Cache

pytestmark = pytest.mark.cluster

# What a second run may not touch: everything we or kubeadm put on a host, by content and by time of change.
STATE = r"""
find /etc/kubernetes /etc/containerd /etc/airseal /etc/systemd/system /etc/sysctl.d /etc/modules-load.d /etc/hosts \
     /opt/airseal /opt/cni /usr/local/bin /var/lib/airseal -type f -not -path '*/rootfs/*' -printf '%p %s %T@ %m\n' 2>/dev/null | sort
for unit in containerd kubelet airseal-registry; do systemctl show "$unit" -p ActiveEnterTimestampMonotonic; done
"""


# Every file that holds the registry's login, plain or as a header; then lines of the journal that do, and how many it has.
# The patterns are in a file in memory: on a command line they would find themselves. Left out: images, and the file itself.
FIND_LOGIN = r"""
umask 077
{ cut -d: -f2 /etc/airseal/registry.credential; tr -d '\n' < /etc/airseal/registry.credential | base64 -w0; echo; } > /dev/shm/login
grep -rlaFf /dev/shm/login --exclude-dir=bundles --exclude-dir=rootfs --exclude-dir=io.containerd.content.v1.content \
    --exclude-dir=io.containerd.snapshotter.v1.overlayfs /etc /root /home /opt /run /tmp /var /proc/[0-9]*/cmdline /proc/[0-9]*/environ \
    2>/dev/null | sort
journalctl --no-pager --output=export > /dev/shm/journal
echo "journal: $(grep -acFf /dev/shm/login /dev/shm/journal) $(wc -l < /dev/shm/journal)"
rm /dev/shm/login /dev/shm/journal
"""


def test_an_order_reaches_the_database_through_the_service(site: Site) -> None:
    order = order_something(site.bed.masters[0], site.bed.nodes[0])
    assert order.shown == order.placed
    assert order.stored == f"{order.placed['id']} coffee 2"


def test_one_path_on_two_registries_is_two_images(site: Site) -> None:
    said = origins(site.bed.masters[0])
    assert "docker.io" in said["docker-io"]
    assert "quay.io" in said["quay-io"]


def test_the_kubeconfig_beside_the_operator_works(site: Site, cache: Cache) -> None:
    kubectl = cache.parts / "kubernetes" / "out" / "kubectl"
    if not kubectl.exists():
        kubectl = next(cache.parts.glob("*/out/kubectl"))
    nodes = subprocess.run(
        [kubectl, "--kubeconfig", site.kubeconfig, "get", "nodes", "-o", "json"], capture_output=True, text=True, check=True
    )
    assert len(json.loads(nodes.stdout)["items"]) == 2
    assert site.kubeconfig.stat().st_mode & 0o077 == 0


def test_what_the_registries_serve_is_the_closure_of_what_ran(site: Site) -> None:
    """Every image on every host is in the lock, and every image of the lock was pulled, or is named in images.txt; what upstreams keep for them is for who asks."""
    lock = json.loads(zipfile.ZipFile(site.run).read("airseal/images.lock.json"))
    locked = {image["reference"]: set(image["digests"]) for image in lock["images"]}
    on_hosts: set[str] = set()
    for host in site.bed.hosts:
        listing = host.run("ctr -n k8s.io images ls | awk 'NR > 1 { print $1, $3 }'").stdout
        on_hosts |= {digest for name, digest in (line.split() for line in listing.splitlines()) if not name.startswith("airseal")}
    served = set().union(*locked.values())
    assert on_hosts, "the hosts hold no images at all"
    assert on_hosts <= served, f"on a host but not in the file: {sorted(on_hosts - served)}"
    attached = {image["reference"] for image in lock["images"] if {reason["kind"] for reason in image["reasons"]} == {"attached"}}
    assert attached, "nothing came of what the upstreams' indexes have beside their images"
    never_pulled = {reference for reference, digests in locked.items() if not digests & on_hosts}
    assert never_pulled - attached == {"docker.io/library/busybox:1.36-glibc"}  # the CronJob's, named in images.txt
    assert attached <= never_pulled


def test_images_that_came_before_the_join_are_known_by_name_and_digest_as_kubelets_own(site: Site) -> None:
    assert "Pull images to the hosts that join" in site.output
    assert "did not come" not in site.output
    path = '{range .items[*]}{range .status.containerStatuses[*]}{.imageID}{"\\n"}{end}{end}'
    identities = site.kubectl("get", "pods", "-A", "-o", f"jsonpath={path}").splitlines()
    assert len(identities) > 10
    assert [each for each in identities if "@sha256:" not in each] == []


def test_nothing_left_the_hosts_network(site: Site) -> None:
    report = site.sniffer.report()
    assert report.is_clean, report


def test_hosts_have_no_other_registry_to_fall_back_to(site: Site) -> None:
    for host in site.bed.hosts:
        names = host.run("ls /etc/containerd/certs.d").stdout.split()
        mirror = tomllib.loads(host.run("cat /etc/containerd/certs.d/_default/hosts.toml").stdout)
        registry = f"https://{site.bed.masters[0].address}:5443"
        assert names == ["_default"]
        assert (mirror["server"], list(mirror["host"])) == (registry, [registry])


def test_a_second_run_changes_nothing(site: Site) -> None:
    pods = ("get", "pods", "-A", "-o", 'jsonpath={range .items[*]}{.metadata.uid} {.status.containerStatuses[*].restartCount}{"\\n"}{end}')
    before = [host.run(STATE).stdout for host in site.bed.hosts]
    pods_before = sorted(site.kubectl(*pods).splitlines())
    again = site.install()
    assert again.returncode == 0, again.stdout + again.stderr
    after = [host.run(STATE).stdout for host in site.bed.hosts]
    assert [sorted(set(was.splitlines()) ^ set(now.splitlines())) for was, now in zip(before, after, strict=True)] == [[]] * len(after)
    assert sorted(site.kubectl(*pods).splitlines()) == pods_before


def test_secrets_are_nowhere_to_be_read(site: Site) -> None:
    """The join token and certificate key are gone; no private key of the site lies in the file or in world-readable places."""
    for host in site.bed.hosts:
        readable = host.run("find /etc/kubernetes /var/lib/airseal /etc/airseal -name '*.key' -perm /044 | head").stdout
        assert readable == ""
        assert host.run("ls -A /run/airseal 2>/dev/null || true").stdout == ""


def test_the_registrys_login_stands_in_two_files_for_root_and_nowhere_else(site: Site) -> None:
    """Not in journals, logs, processes, units, etcd, the installer's output or the operator's log."""
    logins = {registry_login(host) for host in site.bed.hosts}
    (login,) = logins  # one for all hosts
    for host in site.bed.hosts:
        found, _, in_journal = host.run(FIND_LOGIN).stdout.partition("journal: ")
        assert found.split() == ["/etc/airseal/registry.credential", "/etc/containerd/certs.d/_default/hosts.toml"]
        assert in_journal.split()[0] == "0"
        assert int(in_journal.split()[1]) > 100, "there is no journal to search"
        assert host.run(f"stat -c '%a %U' {' '.join(found.split())}").stdout.split() == ["600", "root"] * 2
    logs = [*(OUTPUT / site.bed.name).glob("airseal-install-*.log"), *OUTPUT.glob("install-ci-*.log")]
    assert len(logs) > 1
    said = site.output + "".join(log.read_text(errors="replace") for log in logs)
    assert "/etc/airseal/registry.credential" in said
    for secret in (login.password, login.authorization().split()[1]):
        assert secret not in said


def test_the_site_registry_answers_those_who_log_in_and_nobody_else(site: Site) -> None:
    node, url = site.bed.nodes[0], f"https://{site.bed.masters[0].address}:5443"
    ask = "curl -sS -o /dev/null -w '%{http_code}' --cacert /etc/airseal/ca.crt"
    log_in = f"""sed 's/.*/user = "&"/' /etc/airseal/registry.credential | {ask} -K -"""
    pause = "/v2/pause/manifests/3.10.2?ns=registry.k8s.io"
    for path, without, with_it in (("/v2/", 401, 200), (pause, 401, 200), ("/v2/absent/manifests/1", 401, 404), ("/healthz", 200, 200)):
        assert node.run(f"{ask} '{url}{path}'").stdout == str(without), path
        assert node.run(f"{log_in} '{url}{path}'").stdout == str(with_it), path
    assert node.run(f"{ask} --user airseal:guessed '{url}{pause}'").stdout == "401"
    assert node.run(f"{ask} --tls-max 1.1 --ciphers DEFAULT:@SECLEVEL=0 '{url}/healthz'", check=False).returncode != 0


def test_skopeo_reads_from_the_site_registry_with_the_login(site: Site, tmp_path: Path) -> None:
    master = site.bed.masters[0]
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "ca.crt").write_text(master.run("cat /etc/airseal/ca.crt").stdout)
    auth = registry_login(master).authorization().split()[1]
    command = ["skopeo", "inspect", "--raw", "--cert-dir", tmp_path / "certs", "--authfile", tmp_path / "auth.json"]
    for name, status in (("other.example", 1), (f"{master.address}:5443", 0)):
        (tmp_path / "auth.json").write_text(json.dumps({"auths": {name: {"auth": auth}}}))
        image = f"docker://{master.address}:5443/registry.k8s.io/pause:3.10.2"
        assert subprocess.run([*command, image], capture_output=True, check=False).returncode == status


def test_unzip_and_skopeo_read_the_file(site: Site, tmp_path: Path) -> None:
    tested = subprocess.run(["unzip", "-tq", site.run], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "warning" not in (tested.stdout + tested.stderr).lower()
    layout = tmp_path / "layout"
    subprocess.run(["unzip", "-q", site.run, "oci-layout", "index.json", "blobs/*", "-d", layout], check=True)
    reference = "registry.corp.example:8443/shop/api:1.0.0"
    lock = json.loads(zipfile.ZipFile(site.run).read("airseal/images.lock.json"))
    digest = next(image["descriptor"]["digest"] for image in lock["images"] if image["reference"] == reference)
    inspected = subprocess.run(
        ["skopeo", "inspect", "--raw", f"oci:{layout}:{reference}"], capture_output=True, check=True
    )
    assert f"sha256:{hashlib.sha256(inspected.stdout).hexdigest()}" == digest


def test_crane_validates_images_served_from_the_file(site: Site, cache: Cache) -> None:
    """crane reads every blob of an image and recomputes its digests; the registry is the file's own."""
    crane = next(cache.parts.glob("crane/out/crane"))
    with serving(site.run) as address:
        for name in ("docker.io/library/postgres:16", "registry.k8s.io/pause:3.10.2"):
            validated = subprocess.run(
                [crane, "validate", "--insecure", "--remote", f"{address}/{name}"], capture_output=True, text=True, check=False
            )
            assert validated.returncode == 0, validated.stdout + validated.stderr
            assert "PASS" in validated.stdout + validated.stderr


@contextlib.contextmanager
def serving(run: Path) -> Iterator[str]:
    """Serve the file as a registry on loopback for as long as the ``with`` lasts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    server = subprocess.Popen([run, "serve", "--listen", address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                urllib.request.urlopen(f"http://{address}/v2/", timeout=2).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "the registry does not answer"
                time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait(10)


def test_the_summary_says_what_was_done(site: Site) -> None:
    assert str(site.kubeconfig) in site.output
    assert "shop:1.0.0" in site.output


def test_verify_finds_one_flipped_byte(site: Site) -> None:
    torn = OUTPUT / "flipped.run"
    subprocess.run(["cp", "--reflink=auto", site.run, torn], check=True)
    try:
        with torn.open("r+b") as file:
            file.seek(torn.stat().st_size // 2)
            byte = file.read(1)
            file.seek(-1, 1)
            file.write(bytes([byte[0] ^ 1]))
        verified = subprocess.run([torn, "verify"], capture_output=True, text=True, check=False)
        assert verified.returncode == 3, verified.stdout + verified.stderr
        assert "sha256:" in verified.stdout + verified.stderr
    finally:
        torn.unlink()
