"""The whole rehearsal, read from top to bottom."""

from __future__ import annotations

import hashlib
import shlex
import tempfile
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bundler.cluster.ownership import Owner
from bundler.engine import Engine
from bundler.errors import RehearsalFailed
from bundler.lab.border import Contact
from bundler.lab.keys import IDENTITY, KNOWN_HOSTS
from bundler.lab.lab import Lab
from bundler.lab.operator import DIRECTORY, LATE
from bundler.lab.topology import Topology
from bundler.lab.whose import owners_by_address, whose
from bundler.rehearsal.force import Forcing
from bundler.rehearsal.own_tests import plan_of, run_own_tests
from installer_stub.bundle.model import BundleInfo
from installer_stub.bundle.receipt import Forced, Receipt
from installer_stub.clusterfile.render import render
from installer_stub.errors import InstallerError
from installer_stub.kube.owners import KINDS
from installer_stub.options import POD_CIDR, SERVICE_CIDR
from installer_stub.phases.reporter import Reporter
from installer_stub.phases.settle import declared_on, runner_of
from installer_stub.values.model import NOTHING as NO_VALUES
from installer_stub.values.model import Effective
from installer_stub.version import VERSION

_KUBECONFIG: Final = f"{DIRECTORY}/kubeconfig"
_CLUSTERFILE: Final = "Clusterfile"
_TAIL: Final = 25  # lines of the installer that an error shows


@dataclass(frozen=True, slots=True)
class Rehearsing:
    """How to rehearse. Times in seconds."""

    image: str  # of the hosts
    topology: Topology
    install_timeout: float = 3600.0
    settle_timeout: float = 900.0
    job_timeout: float = 600.0
    keep: bool = False
    allowed: tuple[str, ...] = ()  # what the recording was allowed, for the receipt
    effective: Effective = NO_VALUES  # the bundle's values, as its commands see them
    values: bytes = b""  # what the build was given of the bundle's values: the file that --values reads; secrets may be in it


def rehearse(engine: Engine, owner: Owner, file: Path, *, info: BundleInfo, how: Rehearsing, reporter: Reporter) -> Receipt:
    """Install ``file`` in a lab, force what builds never see, and return the receipt.

    Raises RehearsalFailed with image or command, owner and remedy; DockerError, ClusterFailed. The lab is gone by then, unless
    it is to be kept.
    """
    began, clock = time.time(), time.monotonic()
    reporter.step(f"rehearsal: {how.topology} hosts without a network")
    with Lab(engine, owner, how.image, how.topology, reporter, keep=how.keep) as lab:
        lab.close_border(POD_CIDR, SERVICE_CIDR)
        program = lab.operator.bring(file, lambda count, total: reporter.moved("artifact to the lab", count, total))
        values = ["--values", _bring(lab, "values.json", how.values)] if how.values else []
        if clusterfile := clusterfile_of(lab):
            _bring(lab, _CLUSTERFILE, clusterfile)
        _install(lab, [*command(lab, program), *values], how, reporter)
        try:
            plan, master = plan_of(lab, info, how.effective), lab.masters[0].connection
            forcing = Forcing(lab, reporter, how.settle_timeout, how.job_timeout, declared_on(master, plan), runner_of(master, plan))
            _check_contacts(lab, forcing)
            forcing.everything()
            tests = run_own_tests(lab, plan, reporter)
            reporter.step("rehearsal: the same command again")
            _install(lab, command(lab, program), how, reporter)  # fewer words: what was set is kept
            _check_contacts(lab, forcing)
        except InstallerError as error:
            raise RehearsalFailed(error.problem, error.remedy) from error
    return Receipt(
        topology=str(how.topology),
        file=_sha256(file),
        began=int(began),
        seconds=round(time.monotonic() - clock),
        airseal=VERSION,
        kubernetes=info.kubernetes,
        engine=engine.version(),
        forced=(*forcing.forced, Forced("tests of its own", tests)),
        notes=tuple(forcing.notes),
        allowed=how.allowed,
    )


def command(lab: Lab, program: str) -> list[str]:
    """Return what the operator types: hosts, or the Clusterfile where they have labels or taints."""
    if lab.topology.wishes:
        words = [program, "apply", "-f", f"{DIRECTORY}/{_CLUSTERFILE}"]
    else:
        words = [program, "install", "--master", ",".join(each.host.address for each in lab.masters)]
        words += ["--node", ",".join(each.host.address for each in lab.nodes)] if lab.nodes else []
    return [*words, "--identity", IDENTITY, "--known-hosts", KNOWN_HOSTS, "--kubeconfig", _KUBECONFIG, "--yes"]


def clusterfile_of(lab: Lab) -> bytes:
    """Return the lab's hosts as a Clusterfile with what its topology wants of them, or nothing where it wants nothing."""
    if not lab.topology.wishes:
        return b""
    wishes = {each.host.address: lab.topology.wishes_of(each.name) for each in lab.hosts}
    return render([each.host for each in lab.hosts], wishes=wishes).encode()


def _bring(lab: Lab, name: str, data: bytes) -> str:
    """Put a small file beside the operator's program and return where it is."""
    with tempfile.TemporaryDirectory() as directory:  # its owner's alone: values may be secret
        file = Path(directory) / name
        file.write_bytes(data)
        return lab.operator.bring(file, lambda _count, _total: None)


def _install(lab: Lab, words: list[str], how: Rehearsing, reporter: Reporter) -> None:
    tail = deque[str](maxlen=_TAIL)

    def line(text: str) -> None:
        tail.append(text)
        reporter.step(f"  {text}")

    status = lab.operator.run(words, line, timeout=how.install_timeout)
    if status:
        ended = f"not done after {how.install_timeout:.0f} s" if status == LATE else f"exit code {status}"
        said = "\n".join(f"  {each}" for each in tail)
        remedy = "what it says holds for the site too: mend that and build again; --keep-lab leaves the hosts to look at"
        raise RehearsalFailed(f"the finished file does not install itself ({ended}): {shlex.join(words)}\n{said}", remedy)


def _check_contacts(lab: Lab, forcing: Forcing) -> None:
    """Raise RehearsalFailed if anybody wanted to speak to the outside: at the site it will get no answer."""
    found = lab.contacts()
    if not found:
        return
    owners = owners_by_address(forcing.kubectl.items(KINDS, "--all-namespaces"))
    names = {each.host.address: each.name for each in lab.hosts}
    lines = "".join(f"\n  - {each}: {whose(each, owners, names)}" for each in _first(found))
    hint = "let the application work without it: what it fetches belongs into the Kubefile"
    raise RehearsalFailed(f"somebody wanted to leave the closed network:{lines}", hint)


def _first(found: Iterable[Contact]) -> list[Contact]:
    return sorted(found)[:30]


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


