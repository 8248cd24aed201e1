"""What runs every minute: a few lines of POSIX shell that compare, and start the stub only when something differs.

The stub takes a tenth of a second to start; this reads a dozen lines of /proc and forks five times. It is made from the document, so
both say the same; whatever it does not understand makes it start the stub, which looks properly.
"""

from __future__ import annotations

import shlex
from ipaddress import ip_network
from typing import Final

from installer_stub.keep.document import HostDocument
from installer_stub.plan.model import API_NAME, STATE, STUB

PATH: Final = f"{STATE}/keep.sh"
NEXT: Final = "/run/airseal-keep/next-look"  # seconds since 1970: when the stub wants to look at certificates again
LONGEST: Final = 6 * 3600  # seconds between two looks of the stub, whatever the shell sees

_HEAD: Final = """\
#!/bin/sh
# Made by airseal from host.json. Compares; when something differs: airseal host keep.
differs() {
"""
_TAIL: Final = """\
  return 1
}
due() {
  read -r next < %(next)s 2>/dev/null || return 0
  case $next in ''|*[!0-9]*|???????????????*) return 0 ;; esac
  now=$(date +%%s)
  [ "$now" -ge "$next" ] || [ "$((next - now))" -gt %(longest)d ]
}
if [ $# -eq 0 ] && ! differs 2>/dev/null && ! due 2>/dev/null; then exit 0; fi
exec %(stub)s host keep "$@"
"""
# cat, not read: a shell reads byte by byte, and below /proc/sys only the first byte can be had so. A value that is no
# number makes [ fail with an error: that differs too.
_EXACT: Final = '  [ "$(cat %(path)s)" -eq %(value)d ] || return 0\n'
_AT_LEAST: Final = '  [ "$(cat %(path)s)" -ge %(value)d ] || return 0\n'
_LISTED: Final = '  found=; while read -r %(words)s; do [ "%(seen)s" = %(wanted)s ] && found=1; done < %(path)s; [ -n "$found" ] || return 0\n'


def script(document: HostDocument) -> str:
    """Return the script for ``document``."""
    lines = [_HEAD]
    for module in document.modules:
        if module.name in document.cannot:
            continue
        if module.evidence == "/proc/filesystems":
            lines.append(_LISTED % {"words": "a b", "seen": "${b:-$a}", "wanted": shlex.quote(module.name), "path": module.evidence})
        else:
            lines.append(f"  [ -e {shlex.quote(module.evidence)} ] || return 0\n")
    for setting in document.sysctls:
        if setting.name not in document.cannot:
            line = _AT_LEAST if setting.at_least else _EXACT
            checked = line % {"path": shlex.quote(f"/proc/sys/{setting.path}"), "value": setting.value}
            # A setting that this kernel has not differs for nobody.
            lines.append(checked if setting.required else f"  [ ! -e {shlex.quote(f'/proc/sys/{setting.path}')} ] || {checked.lstrip()}")
    lines.append(_route(document))
    if document.api:
        wanted = shlex.quote(f"{document.api} {API_NAME}")
        lines.append(_LISTED % {"words": "a", "seen": "$a", "wanted": wanted, "path": "/etc/hosts"})
    values = {"next": NEXT, "longest": LONGEST, "stub": STUB}
    return "".join(lines) + _TAIL % values


def _route(document: HostDocument) -> str:
    network = ip_network(document.services)
    if network.version == 6:
        wanted = f"{network.network_address.packed.hex()} {network.prefixlen:02x}"
        return _LISTED % {"words": "to plen _", "seen": "$to $plen", "wanted": shlex.quote(wanted), "path": "/proc/net/ipv6_route"}
    # Hexadecimal, least significant byte first.
    packed = [f"{int.from_bytes(each.packed, 'little'):08X}" for each in (network.network_address, network.netmask)]
    words = "iface to via flags refs use metric mask rest"
    return _LISTED % {"words": words, "seen": "$to $mask", "wanted": shlex.quote(" ".join(packed)), "path": "/proc/net/route"}
