"""containerd's configuration on a host that we set up: whether somebody edited it, and what others added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from installer_stub.distro.containerd import CONFIG, DROPINS, SEAL, SITE_DROPIN, is_edited
from installer_stub.facts.base import Fact, Otherwise

_LIMIT: Final = 65536  # bytes of the file that are looked at; ours has one thousand


@dataclass(frozen=True, slots=True)
class RuntimeConfig:
    """``edited``: the file that we wrote is not what we wrote. ``additions``: files of others that containerd reads too."""

    edited: bool = False
    additions: tuple[str, ...] = ()


def parse_runtime_config(stdout: str) -> RuntimeConfig:
    """Return it from lines "addition PATH", then our file after a line "==> config"."""
    head, _, text = stdout.partition("==> config\n")
    additions = [line.partition(" ")[2] for line in head.splitlines() if line.startswith("addition ")]
    return RuntimeConfig(is_edited(text), tuple(path for path in additions if path != SITE_DROPIN))


RUNTIME_CONFIG: Final = Fact(
    "containerd-config",
    f'for file in {DROPINS}; do [ -e "$file" ] && echo "addition $file"; done; '
    f"""if [ "$(head -c {len(SEAL)} {CONFIG})" = '{SEAL}' ]; then """
    f"echo '==> config'; head -c {_LIMIT} {CONFIG}; fi",
    parse_runtime_config,
    Otherwise(RuntimeConfig(), "whether containerd's configuration was edited", needed=True),
)
