"""The bundle's own acceptance test: ``/cluster/test/*``, run on the first master as a CMD runs there."""

from __future__ import annotations

from typing import Final

from bundler.errors import RehearsalFailed
from bundler.lab.hosts import Choices
from bundler.lab.lab import Lab
from installer_stub.bundle.model import BundleInfo
from installer_stub.facts.gather import gather_all
from installer_stub.host.command import Command
from installer_stub.phases.reporter import Reporter
from installer_stub.phases.settle import runner_of
from installer_stub.plan.decide import build_plan
from installer_stub.plan.model import Plan
from installer_stub.values.model import Effective

_TIMEOUT: Final = 1800.0  # seconds, of each
_TAIL: Final = 25  # lines that an error shows
_FIND: Final = 'cd "$1" && [ -d test ] && find test -maxdepth 1 -type f -perm -u+x | sort'


def run_own_tests(lab: Lab, plan: Plan, reporter: Reporter) -> int:
    """Run what the bundle brings of tests; each says by its exit code whether the application works. Return how many there were.

    Raises RehearsalFailed.
    """
    master = lab.masters[0].connection
    listed = master.run(Command.shell(_FIND, plan.cluster_directory), check=False).stdout.split("\n")
    names, runs = [name for name in listed if name], runner_of(master, plan)
    for name in names:
        reporter.step(f"rehearsal: {name}")
        done = runs((f"./{name}",), _TIMEOUT)
        if not done.ok:
            said = "\n".join(f"  {line}" for line in (done.stdout + done.stderr).strip().splitlines()[-_TAIL:])
            raise RehearsalFailed(f"the bundle's own {name} ended with {done.status}:\n{said}", "mend the application or its test, then build again")
    return len(names)


def plan_of(lab: Lab, info: BundleInfo, values: Effective) -> Plan:
    """Return the plan that the lab was installed by from ``info``'s file with ``values``, as far as a CMD knows of it."""
    facts = gather_all({each.host.address: each.connection for each in lab.hosts})
    return build_plan(Choices(tuple(each.host for each in lab.hosts)), facts, info, values=values)
