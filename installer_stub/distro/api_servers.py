"""Which API server the components of a host turn to: the ``server`` of their kubeconfigs, and of kube-proxy's.

kubeadm 1.36 gives controller manager, scheduler and a master's kubelet the address of the master itself; kubelet of a
node, the administrator and kube-proxy get the name of the cluster's endpoint (phases/kubeconfig, phases/addons/proxy).
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from installer_stub.distro.paths import ADMIN_CONF, KUBELET_CONF, SUPER_ADMIN_CONF
from installer_stub.distro.units import PATH
from installer_stub.host.command import Command
from installer_stub.host.flush import FLUSH
from installer_stub.plan.model import API_NAME

KUBELET: Final = KUBELET_CONF
MASTER_FILES: Final = (ADMIN_CONF, SUPER_ADMIN_CONF, KUBELET)
KUBELET_UNIT: Final = "kubelet.service"
PROXY_CONFIG: Final = "kube-proxy"  # a ConfigMap and a DaemonSet in kube-system
PROXY_KEY: Final = "kubeconfig.conf"
_TRIAL: Final = "/run/airseal/trial.conf"  # in memory
_SERVER: Final = re.compile(r"(?m)^(\s*server:\s*)(\S+)\s*$")

# Prints addresses and nothing else of these files: they hold keys. A file that is there and cannot be read is an error.
_READ: Final = """\
for f in "$@"; do
  [ -e "$f" ] || [ -L "$f" ] || continue
  text=$(cat -- "$f")
  printf '%s\\n' "$text" | while read -r key value rest; do [ "$key" != server: ] || printf '%s %s\\n' "$f" "$value"; done
done
"""
# cp -p first: the new file has owner and mode of the old one before there is anything in it to protect.
_EDIT: Final = FLUSH + """\
edit() { cp -p -- "$2" "$2.airseal"; sed "s#^\\( *server: \\).*#\\1$1#" "$2" > "$2.airseal"; flush "$2.airseal"; mv -f -- "$2.airseal" "$2"; }
"""
_POINT: Final = f"""\
{_EDIT}server=$1; shift
for f in "$@"; do [ ! -e "$f" ] || edit "$server" "$f"; done
sync -f "$f" 2>/dev/null || true
"""
_TRY: Final = f"""\
PATH={PATH}; export PATH; umask 077; mkdir -p "${{3%/*}}"; trap 'rm -f "$3"' EXIT
sed "s#^\\( *server: \\).*#\\1$1#" "$2" > "$3"
kubectl --kubeconfig "$3" get --raw=/readyz --request-timeout=5s >/dev/null
"""


def read_servers(*files: str) -> Command:
    """Return a command whose output ``parse_servers`` reads."""
    return Command.shell(_READ, *files)


def parse_servers(output: str) -> dict[str, str]:
    """Return the server by file, of those files that are there."""
    pairs = (line.split(" ", 1) for line in output.splitlines() if " " in line)
    return {file: server.strip().strip("\"'") for file, server in pairs}


def names_the_endpoint(server: str) -> bool:
    """Tell whether a server is the name that hosts find in /etc/hosts: what nothing should need once a host has joined."""
    return urlsplit(server).hostname == API_NAME


def point(server: str, *files: str) -> Command:
    """Return a command that makes ``server`` the server of those of ``files`` that are there, each whole or not at all."""
    return Command.shell(_POINT, server, *files, changes=f"point {', '.join(files)} at {server}")


def try_server(server: str) -> Command:
    """Return a command that succeeds if kubelet's own identity is heard by a ready API server at ``server``."""
    return Command.shell(_TRY, server, KUBELET, _TRIAL)


def proxy_pointed_at(kubeconfig: str, server: str) -> str:
    """Return kube-proxy's kubeconfig with ``server``; it holds no secret."""
    return _SERVER.sub(lambda found: f"{found[1]}{server}", kubeconfig)
