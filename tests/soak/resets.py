"""reset on hosts of three Debian releases that had a life before: the difference is nothing, or is named one by one."""

from __future__ import annotations

from tests.soak.installer import Failed
from tests.soak.machine_state import left, machine_state, unnamed
from tests.soak.scenario import Desk, Scenario, must_be_none
from tests.testbed.cache import Cache
from tests.testbed.hosts import BlankHost
from tests.testbed.parts import Parts

SUITES = {"m1": "bullseye", "n1": "bookworm", "n2": "trixie"}

CONTAINERD_UNIT = """\
[Unit]
Description=containerd container runtime
Documentation=https://containerd.io
After=network.target local-fs.target
[Service]
ExecStart=/usr/bin/containerd
Type=notify
Delegate=yes
KillMode=process
Restart=always
[Install]
WantedBy=multi-user.target
"""

# Enabled and stopped, as after `systemctl stop containerd`; a site's own configuration and a file beside it.
EARLIER_LIFE = f"""
set -e
cat > /lib/systemd/system/containerd.service <<'U'
{CONTAINERD_UNIT}U
mkdir -p /etc/containerd /etc/systemd/system/containerd.service.d /etc/sysctl.d
printf 'version = 2\\n# ours: keep\\n' > /etc/containerd/config.toml
printf '[Service]\\nEnvironment=SITE=1\\n' > /etc/systemd/system/containerd.service.d/site.conf
printf 'net.ipv4.conf.all.rp_filter = 2\\n' > /etc/sysctl.d/99-site.conf
chmod 0640 /etc/containerd/config.toml
systemctl daemon-reload
systemctl enable containerd
sysctl -qw net.ipv4.conf.all.rp_filter=2
printf '# 公司服务器\\r\\n192.0.2.7\\tÅrhus.example  lager # größer\\n192.0.2.8 last' >> /etc/hosts
touch -d 2024-02-29 /etc/containerd/config.toml
"""
OWN_PKI = "mkdir -p /etc/kubernetes/pki; echo company > /etc/kubernetes/pki/company.pem; chmod 0640 /etc/kubernetes/pki/company.pem"


def earlier_life(host: BlankHost) -> None:
    """Give ``host`` a containerd that is enabled and does not run, drop-ins, a sysctl, and lines of its own in /etc/hosts."""
    program = Parts(Cache.default()).out("containerd") / "containerd"
    (host.root / "usr/bin/containerd").write_bytes(program.read_bytes())
    (host.root / "usr/bin/containerd").chmod(0o755)
    host.run(EARLIER_LIFE)


def reset_difference(desk: Desk, *options: str) -> None:
    """Install and reset on bullseye, bookworm and trixie hosts with an earlier life: what differs is named one by one."""
    with desk.trial(1, 2, suite=SUITES) as trial:
        for host in trial.bed.hosts:
            earlier_life(host)
        before = {host.name: machine_state(host) for host in trial.bed.hosts}
        trial.install(*options).expect(0)
        ended = trial.reset().expect(0)
        found = [one for host in trial.bed.hosts for one in left(before[host.name], machine_state(host))]
        desk.figures["left"] = f"{len(found)} difference(s)"
        (desk.directory / "left.txt").write_text("".join(f"{one}\n" for one in found))
        silent = list(unnamed(found, ended.said))
        desk.figures["not named"] = str(len(silent))
        must_be_none(silent, "left by reset and not named by it")


def own_pki(desk: Desk) -> None:
    """A /etc/kubernetes/pki of the company's is refused with its size; with --take it is put aside, and reset brings it back."""
    with desk.trial(1, 1) as trial:
        host = trial.bed.nodes[0]
        host.run(OWN_PKI)
        before = machine_state(host)
        refused = trial.install()
        if refused.code != 5 or "/etc/kubernetes" not in refused.said:
            raise Failed(f"other people's pki: exit code {refused.code}\n{refused.tail}")
        must_be_none(left(before, machine_state(host)), "a refused installation changed the host")
        trial.install("--take", "/etc/kubernetes").expect(0)
        trial.reset().expect(0)
        found = left(before, machine_state(host))
        must_be_none([one for one in found if "/etc/kubernetes" in one.name], "what was taken is not back")


def scenarios() -> tuple[Scenario, ...]:
    """Return them."""
    return (Scenario("reset-three-releases", 30, reset_difference), Scenario("reset-own-pki", 20, own_pki))
