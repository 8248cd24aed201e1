"""Every error this package raises, with the exit code a shell sees.

::

    InstallerError                 problem + remedy + exit code (1)
    ├── UsageError                 2   the command line does not make sense
    ├── BundleError                3   the artifact is torn, altered, or no artifact
    │   ├── SignatureError             a signature or a key is malformed, or the signature is of something else
    │   ├── BesideAnother              it is whole, and sums or a signature beside it are of another file
    │   └── NotTrusted                 it is signed or not, but not by anybody who is named
    │       ├── NotSigned              there is no signature at all
    │       ├── SignedByStrangers      only keys signed it that nobody named; carries their fingerprints
    │       ├── NotForThisUse          a named key signed it, but that signature or that key is for something else
    │       ├── SignerExpired          the named key was good until some time ago
    │       └── SignerNotYetValid      the named key is good from some time on
    ├── HostError                  4   one host; carries its name
    │   ├── HostUnreachable            no TCP, no SSH, timeout, connection lost
    │   ├── HostKeyRejected            unknown or changed host key
    │   ├── AuthenticationFailed       wrong password or key, no sudo
    │   ├── HostInDoubt                what cannot be told apart is not acted on: nothing was changed there
    │   ├── HostLeaving                its reset was begun and has not ended: that comes first
    │   └── CommandFailed              a command ended with a non-zero status
    ├── HostsFailed                4   several hosts; carries each one's error
    │   └── HostsLeftOut               the rest is installed and accepted; these hosts have not got it
    ├── FrameError                 4   an agent or its operator said something that is no frame
    ├── SiteBusy                   10  another run is at work at this site
    ├── PreflightFailed            5   findings that forbid the installation; nothing was changed
    ├── ClusterError               6   Kubernetes or the application did not come up
    │   ├── NotSettled                 which workload, which pod, which event
    │   ├── NotAccepted                an image runs that is not in the bundle
    │   └── RecordError                the site's record is torn, or there are two
    ├── SiteContradiction          7   the command line says otherwise than the site's record; nothing was changed
    ├── LedgerError                8   what was changed on a host is not known for certain
    │   ├── LedgerDamaged              a record, or what a file was before, is lost or altered
    │   ├── CouldNotTell               a look at a host gave neither yes nor no
    │   └── NotPutBack                 a change could not be undone; everything that is needed for it is kept
    └── Interrupted                130 Ctrl-C or SIGTERM
"""

from collections.abc import Sequence


class InstallerError(Exception):
    """The root. ``problem`` says what and where, ``remedy`` what a person can do; neither ever holds a secret."""

    exit_code = 1

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}\n  what to do: {self.remedy}" if self.remedy else self.problem


class UsageError(InstallerError):
    """The command line does not make sense."""

    exit_code = 2


class BundleError(InstallerError):
    """The artifact is torn, altered, or no artifact at all."""

    exit_code = 3


class SignatureError(BundleError):
    """A signature or a key is malformed or of a kind that is not taken, or the signature was made of something else."""


class BesideAnother(BundleError):
    """The artifact is whole, and sums or a signature beside it are of another file."""


class NotTrusted(BundleError):
    """Whether or not the artifact is signed: nobody whom the operator named vouches for it now."""


class NotSigned(NotTrusted):
    """There is no signature at all."""


class SignedByStrangers(NotTrusted):
    """It is signed, with keys that nobody named; ``fingerprints`` has them."""

    def __init__(self, problem: str, remedy: str = "", *, fingerprints: Sequence[str] = ()) -> None:
        super().__init__(problem, remedy)
        self.fingerprints = tuple(fingerprints)


class NotForThisUse(NotTrusted):
    """A named key signed it, but the signature, or what that key is named for, is for another use."""


class SignerExpired(NotTrusted):
    """A named key signed it, and was valid until a time that is past; the text says which."""


class SignerNotYetValid(NotTrusted):
    """A named key signed it, and is valid from a time that is to come; the text says which."""


class HostError(InstallerError):
    """One host failed. ``host`` is its name as the operator wrote it."""

    exit_code = 4

    def __init__(self, host: str, problem: str, remedy: str = "") -> None:
        super().__init__(f"{host}: {problem}", remedy)
        self.host = host


class HostUnreachable(HostError):
    """No connection, or it was lost."""


class HostKeyRejected(HostError):
    """The host's key is unknown, or not the one that was pinned."""


class AuthenticationFailed(HostError):
    """The host took neither key nor password, or sudo refused."""


class NotPlanned(HostError):
    """A step would have changed something that its plan does not name. It was refused."""


class HostInDoubt(HostError):
    """Whether the host is part of the cluster, or whose its data is, cannot be told. It was not changed."""


class HostLeaving(HostError):
    """Its reset was begun and has not ended. Nothing is installed over what is half taken off."""

    PROBLEM = "its reset was begun and has not ended; nothing is installed over what is half taken off"

    def __init__(self, host: str) -> None:
        super().__init__(host, self.PROBLEM, self.remedy_for(host))

    @staticmethod
    def remedy_for(host: str) -> str:
        """Return what finishes it: the command that began it, or the host's own."""
        return f"finish it with the command that began it (reset, or remove), or at the console of {host}: /opt/airseal/bin/airseal host undo"


class CommandFailed(HostError):
    """A command ended with a non-zero ``status``. The text shows it masked, with the end of its output."""

    def __init__(self, host: str, problem: str, remedy: str = "", *, status: int = 1) -> None:
        super().__init__(host, problem, remedy)
        self.status = status


class HostsFailed(InstallerError):
    """Several hosts failed at the same step; ``failures`` has every one's error."""

    exit_code = 4

    def __init__(self, failures: Sequence[InstallerError]) -> None:
        lines = "\n".join(f"  - {failure}" for failure in failures)
        super().__init__(f"{len(failures)} hosts failed:\n{lines}")
        self.failures = tuple(failures)


class HostsLeftOut(HostsFailed):
    """The cluster is installed and accepted, but without these hosts: nodes that failed alone, hosts of the site that are off."""

    def __init__(self, failures: Sequence[InstallerError]) -> None:
        super().__init__(failures)
        count = "1 host is" if len(failures) == 1 else f"{len(failures)} hosts are"
        lines = "\n".join(f"  - {failure}" for failure in failures)
        self.problem = f"the cluster is installed and accepted, but {count} left out of it:\n{lines}"
        self.remedy = "run the same command again: finished steps are skipped"


class FrameError(InstallerError):
    """The other side of an agent's channel said something that is no frame, or a frame that makes no sense."""

    exit_code = 4


class SiteBusy(InstallerError):
    """Another run holds the lease of a host. Nothing was changed by this one; the text says who holds it since when."""

    exit_code = 10


class PreflightFailed(InstallerError):
    """There are findings that forbid the installation. Nothing was changed on any host."""

    exit_code = 5


class ClusterError(InstallerError):
    """Kubernetes or the application did not come up."""

    exit_code = 6


class NotSettled(ClusterError):
    """A workload did not become ready in time; the text names it, its pod and the latest event."""


class NotAccepted(ClusterError):
    """Something runs that is not what was sealed."""


class RecordError(ClusterError):
    """A document of the site cannot be read, or two contradict each other. ``newer``: a newer airseal wrote it."""

    def __init__(self, problem: str, remedy: str = "", *, newer: bool = False) -> None:
        super().__init__(problem, remedy)
        self.newer = newer


class SiteContradiction(InstallerError):
    """A request contradicts the site's record. Nothing was changed."""

    exit_code = 7


class LedgerError(InstallerError):
    """What was changed on a host is not known for certain."""

    exit_code = 8


class LedgerDamaged(LedgerError):
    """A record of the ledger, or what a file was before, is lost or altered."""


class CouldNotTell(LedgerError):
    """A look at a host gave neither yes nor no. Nothing is concluded from it."""


class NotPutBack(LedgerError):
    """A change could not be undone. Everything that is needed to do it later is kept."""


class Interrupted(InstallerError):
    """The operator stopped us."""

    exit_code = 130
