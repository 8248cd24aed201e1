"""Every error the build raises, with the exit code a shell sees. The installer's and the registry's own pass through.

::

    BuildError                    problem + remedy + exit code (1)
    ├── UsageError                2   the command line does not make sense
    ├── KubefileError             3   file, line; the Kubefile or what it names is wrong
    ├── RecipeError               3   a base's recipe or pins file is wrong
    ├── DockerError               4   the docker engine refused or broke
    │   └── DockerMissing             there is none, or we may not use it
    ├── DownloadFailed            5   a URL did not give its bytes
    │   └── ChecksumMismatch          it gave others
    ├── BuildFailed               6   docker build failed, or its image is no cluster image
    ├── ClusterImageError         6   the store of cluster images does not have it, or it cannot be used
    │   ├── ClusterImageUnknown       there is no such name
    │   ├── ClusterImageIncomplete    blobs of it are not there
    │   ├── ClusterImageInvalid       what it holds is no image that could be read: torn, hostile, too large
    │   └── ArchiveInvalid            a file that was to be loaded is torn, altered or no archive of images
    ├── ClusterFailed             7   the temporary cluster or the application did not come up
    ├── RecordingIncomplete       8   an image could not be pulled, or ran without being recorded
    │   ├── LockDiffers               the recording is not what --locked says
    │   ├── RecordingGone             what is to be sealed was pruned from the cache
    │   ├── RecordingMissing          a registry has the cluster image, and no recording of it
    │   └── RecordingForeign          the recording that came with it is none, or of something else
    ├── RehearsalFailed           10  the finished file does not do at a site what it did here
    ├── SigningError              11  nothing was signed
    │   ├── KeyMissing                there is no such key file, or it cannot be read
    │   ├── KeyExposed                others may read the private key
    │   ├── KeyUnusable               it is no key, or one of a kind that is not taken
    │   ├── WrongPassphrase           none of those that were given opens it
    │   ├── CertificateUnfit          certificates that are none, out of order, another key's, or not valid now
    │   └── AgentError                an ssh-agent did not sign
    │       ├── AgentMissing              none answers
    │       ├── KeyNotInAgent             it does not hold the key
    │       └── AgentRefused              it holds it, and would not sign with it
    ├── PolicyViolated            12  an image is not signed as --require-signatures wants it
    ├── StubMissing               13  there is no installer of this airseal for hosts of that kind
    │   └── StubDamaged               the one that there is was torn or altered after it was frozen
    ├── DiskFull                  9   no space left on a named file system
    └── Interrupted               130 Ctrl-C or SIGTERM
"""

from __future__ import annotations


class BuildError(Exception):
    """The root. ``problem`` says what and where, ``remedy`` what a person can do; neither ever holds a secret."""

    exit_code = 1

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}\n  what to do: {self.remedy}" if self.remedy else self.problem


class UsageError(BuildError):
    """The command line does not make sense."""

    exit_code = 2


class KubefileError(BuildError):
    """A line of a Kubefile is wrong; ``line`` is its number, 0 where the whole file is meant."""

    exit_code = 3

    def __init__(self, file: str, line: int, problem: str, remedy: str = "") -> None:
        super().__init__(f"{file}:{line}: {problem}" if line else f"{file}: {problem}", remedy)
        self.file = file
        self.line = line


class RecipeError(BuildError):
    """A base's recipe or pins file cannot be used."""

    exit_code = 3


class DockerError(BuildError):
    """The docker engine refused or broke."""

    exit_code = 4


class DockerMissing(DockerError):
    """No docker engine answers, or this user may not use it."""


class DownloadFailed(BuildError):
    """A URL did not give its bytes."""

    exit_code = 5


class ChecksumMismatch(DownloadFailed):
    """A URL gave other bytes than its checksum says. They are never kept."""


class BuildFailed(BuildError):
    """``docker build`` failed, or what it built is no cluster image."""

    exit_code = 6


class ClusterImageError(BuildError):
    """The store of cluster images does not have it, or it cannot be used."""

    exit_code = 6


class ClusterImageUnknown(ClusterImageError):
    """There is no cluster image of that name here."""


class ClusterImageIncomplete(ClusterImageError):
    """Blobs of an image are missing, or of another size than it says."""


class ClusterImageInvalid(ClusterImageError):
    """An image's config or layers cannot be read: torn, hostile, or larger than anybody's."""


class ArchiveInvalid(ClusterImageError):
    """A file of images is torn, altered, or no archive that can be loaded. Nothing of it has got a name."""


class ClusterFailed(BuildError):
    """The temporary cluster or the application in it did not come up."""

    exit_code = 7


class RecordingIncomplete(BuildError):
    """The recording is not everything that the application uses."""

    exit_code = 8


class LockDiffers(RecordingIncomplete):
    """The recording has other images than the lock that the build is held to."""


class RecordingGone(RecordingIncomplete):
    """What was recorded, or blobs of it, are no longer in the cache."""


class RecordingMissing(RecordingIncomplete):
    """A registry has the cluster image, and nothing that was recorded of it."""


class RecordingForeign(RecordingIncomplete):
    """What a registry has beside a cluster image is no recording that can be read, or is of other cluster files."""


class RehearsalFailed(BuildError):
    """The finished file does not install itself without a network, or what comes after an installation needs more than it has."""

    exit_code = 10


class SigningError(BuildError):
    """Nothing was signed. No text of these errors ever holds a passphrase, or anything of a private key."""

    exit_code = 11


class KeyMissing(SigningError):
    """There is no file at the path that names the key, or it cannot be read."""


class KeyExposed(SigningError):
    """Others than its owner may read the file with the private key. It is not used, as ssh does not."""


class KeyUnusable(SigningError):
    """The file is no key, is damaged, or holds one of a kind that is not taken."""


class WrongPassphrase(SigningError):
    """None of the passphrases that were given opens the private key."""


class CertificateUnfit(SigningError):
    """A certificate is none, stands in another order, is another key's, is not valid now, or not for signatures."""


class AgentError(SigningError):
    """The private key is an ssh-agent's, and it did not sign."""


class AgentMissing(AgentError):
    """No ssh-agent answers."""


class KeyNotInAgent(AgentError):
    """The ssh-agent answers, and does not hold the key."""


class AgentRefused(AgentError):
    """The ssh-agent holds the key, and would not sign with it: somebody said no, a token was pulled, or it signed something else."""


class PolicyViolated(BuildError):
    """An image is not signed by whom the policy names, or no rule is about it. The text names every such image."""

    exit_code = 12


class StubMissing(BuildError):
    """There is no frozen installer of this airseal for hosts of that kind: nothing compiles one in passing."""

    exit_code = 13


class StubDamaged(StubMissing):
    """The frozen installer that would be sealed is not the program that was frozen: torn, or altered."""


class DiskFull(BuildError):
    """A file system is full; the text names it."""

    exit_code = 9


class Interrupted(BuildError):
    """The operator stopped us."""

    exit_code = 130
