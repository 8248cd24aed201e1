"""Every error this package raises.

::

    RegistryError                 problem + remedy
    ├── DigestInvalid             text that is no digest
    ├── ReferenceInvalid          text that is no image reference
    ├── ManifestInvalid           bytes that are no manifest or index
    │   └── NothingForPlatform    an index without an image for the platforms that are wanted
    ├── NameUnknown               no such repository here        (spec code NAME_UNKNOWN)
    ├── ManifestUnknown           no such tag or manifest here   (spec code MANIFEST_UNKNOWN)
    ├── BlobUnknown               no such blob here              (spec code BLOB_UNKNOWN)
    ├── DigestMismatch            bytes are not what their name says
    ├── StoreError                the disk under a store failed: full, read only, torn
    └── UpstreamError             a remote registry did not give what was asked
        ├── UpstreamUnauthorized  401 or 403 after every credential we have
        ├── DestinationRefused    it is at an address that nobody named: loopback, private, a cloud's metadata
        ├── UpstreamUnreachable   no answer: DNS, connect, timeout
        │   └── UpstreamNotTrusted  its TLS certificate is signed by nobody we know
        ├── TransferStopped       we ended the transfer ourselves; what is whole is kept
        ├── UpstreamCorrupt       it sent other bytes than it was asked for (also a DigestMismatch)
        └── PushRefused           it did not take what was pushed
            ├── PushDenied        the login that we have may not push there, or it wants one that we do not have
            ├── RegistryReadOnly  it takes nothing from anybody
            ├── RegistryFull      it has no room for this, or takes nothing so large
            └── PushedOther       it says that it keeps other bytes than it was sent (also a DigestMismatch)
"""


class RegistryError(Exception):
    """The root. ``problem`` says what and where, ``remedy`` what a person can do; neither holds a secret."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}\n  what to do: {self.remedy}" if self.remedy else self.problem


class DigestInvalid(RegistryError, ValueError):
    """The text does not follow ``algorithm:hex`` with an algorithm we verify."""


class ReferenceInvalid(RegistryError, ValueError):
    """The text does not follow the reference grammar."""


class ManifestInvalid(RegistryError, ValueError):
    """The bytes are no manifest or index that a client could use."""


class NothingForPlatform(ManifestInvalid):
    """The image is there, and none of it is for a platform that is wanted."""


class NameUnknown(RegistryError):
    """There is no such repository."""


class ManifestUnknown(RegistryError):
    """There is no such tag or manifest."""


class BlobUnknown(RegistryError):
    """There is no such blob."""


class DigestMismatch(RegistryError):
    """Bytes do not hash to the digest they were asked by. They are never kept."""


class StoreError(RegistryError):
    """The file system under a store failed."""


class UpstreamError(RegistryError):
    """A remote registry did not give what was asked. ``status`` is its HTTP status, 0 where there was none."""

    def __init__(self, problem: str, remedy: str = "", *, status: int = 0) -> None:
        super().__init__(problem, remedy)
        self.status = status


class UpstreamUnauthorized(UpstreamError):
    """Every credential we have was refused."""


class DestinationRefused(UpstreamError):
    """It is at an address that is not of the internet, and that no person has named. Nothing was sent there."""


class UpstreamUnreachable(UpstreamError):
    """No answer came."""


class UpstreamNotTrusted(UpstreamUnreachable):
    """Its TLS certificate could not be verified. Asking again does not help."""


class TransferStopped(UpstreamError):
    """The recorder was closed while it was fetching. What came so far is taken up again by the next one."""


class UpstreamCorrupt(UpstreamError, DigestMismatch):
    """What came does not hash to, or is not as long as, what was asked for. Nothing of it is kept."""


class PushRefused(UpstreamError):
    """A registry did not take what was pushed. What it took before stays there, and the next push goes on from it."""


class PushDenied(PushRefused):
    """401 or 403: the login that we have may not push there, or there is none."""


class RegistryReadOnly(PushRefused):
    """It takes nothing from anybody: a mirror, a proxy's cache, or one that is being maintained."""


class RegistryFull(PushRefused):
    """A quota, a full disk, or a limit to the size of one request."""


class PushedOther(PushRefused, DigestMismatch):
    """It names what it took by another digest. What is there is not what was sent."""
