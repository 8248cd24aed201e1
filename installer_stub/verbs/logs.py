"""``logs``: what support needs of a site in one file. Hosts that are down are named in it; secrets never get into it."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from installer_stub.distro import paths
from installer_stub.errors import HostError, InstallerError
from installer_stub.host.command import Command, Secret, masked
from installer_stub.host.connection import Connection
from installer_stub.host.fanout import for_each
from installer_stub.kube.kubectl import Kubectl
from installer_stub.options import InstallOptions
from installer_stub.plan.model import CREDENTIAL, STATE, STUB
from installer_stub.site.codec import encode_record
from installer_stub.site.status import status_fields, status_text
from installer_stub.ui.transfer import size
from installer_stub.values.given import secrets_of
from installer_stub.values.store import GIVEN, decode_kept
from installer_stub.verbs.masking import mask_known_kinds, secrets_in
from installer_stub.verbs.open_site import OpenSite, open_site
from installer_stub.verbs.session import result, session
from installer_stub.verbs.show_status import gather_status
from registry_snapshot.store.ours import open_ours

_MOST: Final = 4 << 20  # bytes of one journal or file: the end of it is what matters
_TIMEOUT: Final = 120.0
_TAIL: Final = f"| tail -c {_MOST}"
_UNITS: Final = ("containerd", "kubelet", "airseal-registry", "airseal-host", "airseal-keep", "airseal-scrub", "airseal-start-first-master", "airseal-join", "airseal-fetch-files")

# Name in the archive, and what is asked on each host. Reads only; a program that is not there leaves its complaint.
HOST_QUESTIONS: Final[tuple[tuple[str, str], ...]] = (
    *((f"journal/{unit}.log", f"journalctl --no-pager --output=short-iso --lines=20000 --unit={unit}.service 2>&1 {_TAIL}") for unit in _UNITS),
    ("journal/kernel.log", f"journalctl --no-pager --dmesg --lines=2000 2>&1 {_TAIL}"),
    ("units.txt", "systemctl --no-pager --all list-units 'airseal*' containerd.service kubelet.service 2>&1; systemctl --no-pager --failed 2>&1"),
    ("host.txt", f"uname -a; cat /etc/os-release; uptime; date -u; df -k; free; cat /proc/mounts; ls -la /opt/airseal /var/lib/airseal /etc/airseal {paths.CONFIGURATION} {paths.MANIFESTS} 2>&1"),
    ("network.txt", "ip addr 2>&1; ip route 2>&1; ip -6 route 2>&1; cat /etc/hosts /etc/resolv.conf 2>&1; ss -ltnup 2>&1 || cat /proc/net/tcp"),
    ("processes.txt", "ps -eo pid,ppid,stat,etimes,rss,comm 2>&1"),
    ("containers.txt", "/usr/local/bin/ctr -n k8s.io containers list 2>&1; /usr/local/bin/ctr -n k8s.io tasks list 2>&1"),
    ("certificates.json", f"{STUB} host certificates 2>&1"),
    ("keep.json", f"{STUB} host keep --check 2>&1 | tail -c 100000"),
    ("tasks.log", f'for f in {STATE}/log/*.log; do [ -f "$f" ] || continue; echo "== $f"; tail -c 1000000 "$f"; done {_TAIL}'),
    ("airseal/site.json", f"cat {STATE}/site.json 2>&1"),
    ("airseal/cluster.json", f"cat {STATE}/cluster.json 2>&1"),
    ("airseal/membership.json", f"cat {STATE}/membership.json 2>&1"),
    ("airseal/host.json", f"cat {STATE}/host.json 2>&1"),
    ("airseal/ledger.log", f"tail -c {_MOST} {STATE}/ledger/log 2>&1"),
    ("airseal/files.txt", f"find {STATE} /etc/airseal /opt/airseal -maxdepth 3 -ls 2>/dev/null | head -n 5000"),
    ("containerd.txt", "cat /etc/containerd/config.toml 2>&1; ls -laR /etc/containerd 2>&1"),
)
# Objects without a Secret among them; a ConfigMap may hold what an application should not have put there, so only ours and kubeadm's.
CLUSTER_QUESTIONS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("nodes.json", ("get", "nodes", "--output=json")),
    ("pods.json", ("get", "pods", "--all-namespaces", "--output=json")),
    ("workloads.json", ("get", "deployments,statefulsets,daemonsets,replicasets,jobs,cronjobs", "--all-namespaces", "--output=json")),
    ("services.json", ("get", "services,endpointslices,persistentvolumes,persistentvolumeclaims,storageclasses", "--all-namespaces", "--output=json")),
    ("events.txt", ("get", "events", "--all-namespaces", "--sort-by=.lastTimestamp", "--output=wide")),
    ("leases.txt", ("get", "leases", "--all-namespaces", "--output=wide")),
    ("configuration.json", ("-n", "kube-system", "get", "configmap", paths.CONFIG_MAP, paths.KUBELET_CONFIG_MAP, "kube-proxy", "coredns", "airseal-site", "--ignore-not-found", "--output=json")),
    ("version.txt", ("version",)),
)


def main(options: InstallOptions) -> int:
    """Write the file. Return 0, also where hosts were silent: the file says so."""
    with session(options) as run, open_site(run) as site:
        target = options.output or Path(f"airseal-logs-{site.record.cluster}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar.gz")
        run.screen.step(f"asking {len(site.connections)} of {len(site.record.site.hosts)} hosts")
        files = collect(site, run.secrets)
        files["log-of-this-run.log"] = Path(run.log).read_text(encoding="utf-8", errors="replace")
        write_archive(target, files, run.secrets)
        silent = [host.name for host in site.silent]
        missing = f" Silent, and so not in it: {', '.join(silent)}." if silent else ""
        text = f"{target}: {len(files)} files, {size(target.stat().st_size)}, for support. Secrets are masked; look before you send it.{missing}"
        result(run, text, file=str(target), files=len(files), silent=silent)
    return 0


def collect(site: OpenSite, secrets: list[Secret]) -> dict[str, str]:
    """Return name and text of everything that answers. ``secrets`` gets what has to be masked."""
    files: dict[str, str] = {}
    names = {connection.host.address: name for name, connection in site.connections.items()}
    connections = {connection.host.address: connection for connection in site.connections.values()}
    hosts = tuple(connection.host for connection in connections.values())
    for found in for_each(hosts, lambda host: _host_secrets(connections[host.address])).values():
        secrets += [secret for secret in found if secret not in secrets]
    answers = for_each(hosts, lambda host: _ask_host(connections[host.address]))
    for address, said in answers.items():
        files |= {f"hosts/{names[address]}/{name}": text for name, text in said.items()}
    for host in site.silent:
        files[f"hosts/{host.name}/SILENT.txt"] = f"{host.name} ({host.address}) did not answer at {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\n"
    files |= {f"cluster/{name}": text for name, text in _ask_cluster(site).items()}
    status = gather_status(site)
    files["status.txt"] = status_text(status) + "\n"
    files["status.json"] = json.dumps(status_fields(status), indent=1) + "\n"
    files["record.json"] = encode_record(site.record).decode()
    return files


def write_archive(target: Path, files: Mapping[str, str], secrets: Sequence[Secret]) -> None:
    """Write ``files`` as a .tar.gz for its owner alone, every secret masked. Raises InstallerError; nothing is left then."""
    part = target.with_name(f".{target.name}.part")
    root = target.name.removesuffix(".tar.gz")
    try:
        handle = open_ours(part, os.O_WRONLY)
    except OSError as error:
        raise InstallerError(f"{part} cannot be written: {error.strerror}", "give another path with -o") from error
    try:
        os.ftruncate(handle, 0)
        with os.fdopen(handle, "wb") as stream, tarfile.open(fileobj=stream, mode="w:gz") as archive:
            for name in sorted(files):
                data = mask_known_kinds(masked(files[name], secrets)).encode(errors="replace")
                entry = tarfile.TarInfo(f"{root}/{name}")
                entry.size, entry.mode, entry.mtime = len(data), 0o600, int(time.time())
                archive.addfile(entry, io.BytesIO(data))
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InstallerError(f"{target} cannot be written: {error.strerror}", "give another path with -o") from error


def _ask_host(connection: Connection) -> dict[str, str]:
    """Return what the host says, one question after the other: one that hangs costs its own deadline alone."""
    files: dict[str, str] = {}
    for name, script in HOST_QUESTIONS:
        try:
            answer = connection.run(Command.shell(f"{{ {script}\n}} || true"), check=False, timeout=_TIMEOUT)
            files[name] = answer.stdout[-_MOST:] or answer.stderr[-_MOST:]
        except HostError as error:
            files[name] = f"could not be asked: {error.problem}\n"
    return files


def _ask_cluster(site: OpenSite) -> dict[str, str]:
    files: dict[str, str] = {}
    try:
        kubectl: Kubectl = site.kubectl
    except InstallerError as error:
        return {"SILENT.txt": f"{error.problem}\n"}
    for name, arguments in CLUSTER_QUESTIONS:
        try:
            answer = kubectl.run(*arguments, "--request-timeout=60s", check=False)
            files[name] = answer.stdout + answer.stderr
        except HostError as error:
            files[name] = f"could not be asked: {error.problem}\n"
    return files


def _host_secrets(connection: Connection) -> tuple[Secret, ...]:
    """Return the secrets of ours that lie on the host, so that they can be found wherever else they stand."""
    try:
        login = secrets_in((connection.read(CREDENTIAL) or b"").decode(errors="replace"))
        given = connection.read(GIVEN)
        return login if given is None else (*login, *secrets_of(decode_kept(given, connection.host.address).secrets))
    except HostError:
        return ()
