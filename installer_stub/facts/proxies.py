"""Proxies that systemd would give our services, and drop-ins of units that we take over. Values are not read: they hold passwords."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from installer_stub.facts.base import Fact, Otherwise

UNITS: Final = ("containerd", "kubelet")
_DIRECTORIES: Final = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system")


@dataclass(frozen=True, slots=True)
class Proxies:
    """``variables``: names in the environment that systemd gives to every service. ``files``: where proxies are named.

    ``dropins``: files that change a unit of the name of one of ours.
    """

    variables: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    dropins: tuple[str, ...] = ()


def parse_proxies(stdout: str) -> Proxies:
    """Return it from lines "variable NAME", "file PATH" and "dropin PATH"."""
    found: dict[str, list[str]] = {"variable": [], "file": [], "dropin": []}
    for line in stdout.splitlines():
        kind, _, name = line.strip().partition(" ")
        if name and kind in found:
            found[kind].append(name)
    variables, files, dropins = (tuple(dict.fromkeys(names)) for names in found.values())
    return Proxies(variables, files, dropins)


# sed prints the name in front of the "=" alone.
_ENVIRONMENT: Final = "systemctl show-environment | sed -n 's/^\\([A-Za-z]*_[Pp][Rr][Oo][Xx][Yy]\\)=.*/variable \\1/p'; "
_FILES: Final = (
    "for file in /etc/systemd/system.conf /etc/systemd/system.conf.d/*.conf /run/systemd/system.conf.d/*.conf /usr/lib/systemd/system.conf.d/*.conf; do "
    """[ -r "$file" ] && [ -n "$(sed -n '/^[[:space:]]*#/d; /_[Pp][Rr][Oo][Xx][Yy]=/p' "$file")" ] && echo "file $file"; done; """
)
_DROPINS: Final = (
    f"for dir in {' '.join(_DIRECTORIES)}; do for unit in {' '.join(UNITS)}; do "
    'for file in "$dir/$unit.service.d"/*.conf; do [ -e "$file" ] && echo "dropin $file"; done; done; done'
)
PROXIES: Final = Fact("proxies", _ENVIRONMENT + _FILES + _DROPINS, parse_proxies, Otherwise(Proxies(), "whether proxies or drop-ins of others change our services"))
