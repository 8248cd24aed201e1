"""Run phases in order. Undoing is the hosts' own: ``phases/reset_hosts.py``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from installer_stub.errors import InstallerError, Interrupted
from installer_stub.phases.base import Context, Phase
from installer_stub.ui.console import phase_line

AGAIN: Final = "run the same command again: finished steps are skipped"


def run(phases: Iterable[Phase], context: Context) -> None:
    """Run every phase that is needed. The first error names its phase and leaves the hosts as they are.

    Nothing is undone: the next run goes on from there, and what it would begin with is worth looking at. Raises what
    the phase raises, and Interrupted for Ctrl-C.
    """
    listed = tuple(phases)
    for number, phase in enumerate(listed, 1):
        line = phase_line(number, len(listed), phase.title)
        try:
            if not phase.is_needed(context):
                context.reporter.step(f"{line}: nothing to do")
                continue
            context.reporter.step(line)
            phase.run(context)
        except InstallerError as error:
            error.problem = f"{phase.title}: {error.problem}"
            error.remedy = f"{error.remedy}; then {AGAIN}" if error.remedy else AGAIN
            raise
        except KeyboardInterrupt as stop:
            raise Interrupted(f"stopped during: {phase.title}", AGAIN) from stop
        except Exception as error:
            error.add_note(f"during: {phase.title}")
            raise
