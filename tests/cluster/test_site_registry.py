"""The site registry on real hosts: without root, in its sandbox, with certificates of its own CA that renew themselves."""

from __future__ import annotations

import pytest

from installer_stub.distro.units import REGISTRY_UID
from tests.cluster.conftest import Site
from tests.testbed.hosts import BlankHost

pytestmark = pytest.mark.cluster

SERVER = "ss -Hltnp 'sport = :5443' | sed -n 's/.*pid=\\([0-9]*\\).*/\\1/p' | sort -u"
SHOWN = "true | openssl s_client -connect 127.0.0.1:5443 2>/dev/null | openssl x509 -noout -fingerprint -sha256"
ISSUE = "/opt/airseal/bin/airseal host issue-registry --ip {address} --ip 127.0.0.1 --dns api.airseal.internal --dns localhost"
RENEW = "/opt/airseal/bin/airseal host renew-registry"
AUTHORITY = "/var/lib/airseal/registry-authority"


def status(master: BlankHost, pid: str) -> dict[str, list[str]]:
    lines = master.run(f"cat /proc/{pid}/status").stdout.splitlines()
    return {name: value.split() for name, _, value in (line.partition(":") for line in lines)}


def is_hidden(master: BlankHost, pid: str, path: str) -> bool:
    master.run(f"test -s {path}")
    return master.run(f"nsenter -t {pid} -m test -e {path}", check=False).returncode != 0


def test_who_listens_is_nobody_and_sees_nothing_of_its_authority(site: Site) -> None:
    master = site.bed.masters[0]
    (server,) = master.run(SERVER).stdout.split()
    found = status(master, server)
    assert found["Uid"] == found["Gid"] == [str(REGISTRY_UID)] * 4
    assert found["Groups"] == []
    assert found["CapEff"] == found["CapPrm"] == ["0" * 16]
    assert found["NoNewPrivs"] == ["1"]
    assert found["CapBnd"] == ["00000000000000c0"]  # CAP_SETGID and CAP_SETUID
    assert found["PPid"] == ["1"]  # one process from its start on, and nothing that it unpacked
    assert is_hidden(master, server, f"{AUTHORITY}/ca.key")
    program = master.run(f"readlink /proc/{server}/exe").stdout.strip()
    assert program == master.run("readlink -f /opt/airseal/bin/airseal").stdout.strip()
    assert f"{program.rpartition('/')[0]}/_internal/libpython" in master.run(f"cat /proc/{server}/maps").stdout
    assert master.run("find / -xdev -name '_MEI*'").stdout == ""


def test_two_authorities_and_one_key_of_each_on_a_master(site: Site) -> None:
    master, node = site.bed.masters[0], site.bed.nodes[0]
    keys = master.run("find / -xdev -name ca.key 2>/dev/null | sort").stdout.split()
    assert [key for key in keys if not key.startswith("/etc/kubernetes/pki/etcd")] == ["/etc/kubernetes/pki/ca.key", f"{AUTHORITY}/ca.key"]
    assert master.run(f"stat -c '%a %U' {AUTHORITY} {AUTHORITY}/ca.key").stdout.split() == ["700", "root", "600", "root"]
    issuer = "openssl x509 -noout -subject -in"
    for host in (master, node):
        assert "airseal site registry CA" in host.run(f"{issuer} /etc/airseal/ca.crt").stdout
        assert "airseal" not in host.run(f"{issuer} /etc/kubernetes/pki/ca.crt").stdout
        assert host.run("grep -c BEGIN /etc/airseal/ca.crt").stdout.strip() == "1"
    assert node.run("test -e /var/lib/airseal/registry-authority", check=False).returncode != 0
    days = "openssl x509 -checkend {} -noout -in /etc/airseal/registry.crt"
    assert master.run(days.format(60 * 86400)).returncode == 0
    assert master.run(days.format(91 * 86400), check=False).returncode == 1


def test_a_certificate_that_was_renewed_is_shown_also_after_a_kill_in_between(site: Site) -> None:
    master = site.bed.masters[0]
    assert "most of its life" in master.run(RENEW).stdout
    before = master.run(SHOWN).stdout
    master.run(ISSUE.format(address=master.address))
    assert master.run(SHOWN).stdout == before, "nothing has restarted it yet"
    assert "started again" in master.run(RENEW).stdout
    assert master.run(SHOWN).stdout not in {before, ""}
    assert "most of its life" in master.run(RENEW).stdout
    # What was not there when the registry first started, before the cluster, is hidden from its next start on.
    assert is_hidden(master, master.run(SERVER).stdout.strip(), "/etc/kubernetes/pki/ca.key")
    curl = "curl -sS -o /dev/null -w '%{http_code}' --cacert /etc/airseal/ca.crt"
    assert site.bed.nodes[0].run(f"{curl} https://{master.address}:5443/healthz").stdout == "200"
    done = site.install()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Start the site registry: nothing to do" in done.stdout + done.stderr


def test_a_ca_whose_key_is_gone_is_an_error_that_changes_nothing(site: Site) -> None:
    master = site.bed.masters[0]
    trusted = master.run("sha256sum /etc/airseal/ca.crt").stdout
    master.run(f"mv {AUTHORITY} {AUTHORITY}.aside")
    try:
        done = site.install()
    finally:
        master.run(f"rm -rf {AUTHORITY}; mv {AUTHORITY}.aside {AUTHORITY}")
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "its key is on none of the masters that were named" in said
    assert master.run("sha256sum /etc/airseal/ca.crt").stdout == trusted
    assert site.install().returncode == 0


def test_a_cas_key_that_was_emptied_is_missed_at_once_and_the_registrys_own_is_made_anew(site: Site) -> None:
    master = site.bed.masters[0]
    master.run(f"cp -p {AUTHORITY}/ca.key {AUTHORITY}/ca.key.aside; truncate -s 0 {AUTHORITY}/ca.key")
    done = site.install()
    assert done.returncode == 4, done.stdout + done.stderr
    assert "or torn there" in done.stdout + done.stderr
    assert master.run(f"stat -c %s {AUTHORITY}/ca.key; mv {AUTHORITY}/ca.key.aside {AUTHORITY}/ca.key").stdout == "0\n"
    master.run("truncate -s 0 /etc/airseal/registry.key")
    again = site.install()
    assert again.returncode == 0, again.stdout + again.stderr
    assert "PRIVATE KEY" in master.run("head -1 /etc/airseal/registry.key").stdout
    assert "200" in master.run("curl -sS -o /dev/null -w '%{http_code}' --cacert /etc/airseal/ca.crt https://127.0.0.1:5443/healthz").stdout
