"""Whether sudo keeps what goes through it. As root, sudo itself is asked: rules come from files, directories and LDAP."""

from __future__ import annotations

import re
from typing import Final

from installer_stub.facts.base import Fact, Otherwise

# sudoers(5): what is recorded of a session. A tag of a single rule is written in capitals, with a colon.
_OPTION: Final = re.compile(r"(!?)\b(log_(?:input|output|stdin|stdout|stderr|ttyin|ttyout))\b")
_TAG: Final = re.compile(r"\b(NO)?(LOG_INPUT|LOG_OUTPUT):")
_END: Final = "listed"
# $1 is who logs in. Root does not come through sudo.
_COMMAND: Final = f'if [ "$1" = root ]; then echo {_END}; else sudo -n -l -U "$1" && echo {_END}; fi'


def parse_recorded(stdout: str) -> tuple[str, ...]:
    """Return the options by which sudo records this user's sessions; of two that contradict each other the later one counts."""
    if stdout.split()[-1:] != [_END]:
        raise ValueError(stdout)
    found = {name: not negated for negated, name in _OPTION.findall(stdout)}
    found |= {name.lower(): True for negated, name in _TAG.findall(stdout) if not negated}
    return tuple(sorted(name for name, records in found.items() if records))


_NOTHING: Final[tuple[str, ...]] = ()
RECORDED: Final = Fact("sudo", _COMMAND, parse_recorded, Otherwise(_NOTHING, "whether sudo records what is sent through it"))
