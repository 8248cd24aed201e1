"""Certificates as they were before others take their place: what a cut in between leaves is put back whole, at the next look.

kubeadm writes each certificate and its key over the old ones, in place and one after the other (pkiutil.WriteCertAndKey,
os.WriteFile): cut off there, an API server has half a file, or a key that does not fit. So all of them lie beside, on the disk,
until the new ones are on the disk too. What is put back is younger than half of its life, as nothing older waits for a renewal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Final

from installer_stub.changes.disk import Disk, above
from installer_stub.changes.image import Form, Image
from installer_stub.distro.certificates import renewed_by_kubeadm
from installer_stub.errors import InstallerError
from installer_stub.facts.certificates import Certificate
from installer_stub.plan.model import STATE

HOME: Final = f"{STATE}/certificates-before"  # root's alone: there are keys in it
_LIST: Final = "list"


def files_of(certificates: Iterable[Certificate]) -> tuple[str, ...]:
    """Return the files that a renewal of a master's certificates writes: certificates, their keys, kubeconfigs; no CA."""
    found: list[str] = []
    for each in certificates:
        if renewed_by_kubeadm(each.path) and not each.authority:
            found.append(each.path)
            if each.path.endswith(".crt"):
                found.append(str(PurePosixPath(each.path).with_suffix(".key")))
    return tuple(found)


@contextmanager
def kept(paths: Iterable[str], disk: Disk | None = None, home: str = HOME) -> Iterator[None]:
    """Keep ``paths`` while the block replaces them; it has to sync what it writes. An error in it puts them back.

    One at a time, and after ``put_back``. Raises OSError, InstallerError.
    """
    on = disk or Disk()
    _keep(on, home, paths)
    try:
        yield
    except Exception:
        put_back(on, home)
        raise
    _drop(on, home)


def put_back(disk: Disk | None = None, home: str = HOME) -> tuple[str, ...]:
    """Finish what a cut left: put back what was kept, if there is anything. Return the paths that had changed.

    Safe to be cut itself. Raises OSError, and InstallerError if what was kept is not what was written.
    """
    on = disk or Disk()
    for half in (f"{home}.new", f"{home}.old"):
        if on.seen(half)[0].form is Form.DIRECTORY:
            on.remove_tree(half)
    if on.seen(home)[0].form is not Form.DIRECTORY:
        return ()
    changed = []
    for path, image, data in list(_read(on, home)):
        if not on.seen(path)[0].matches(image):
            on.make_parents(path)
            on.replace(path, data, image)
            changed.append(path)
    _drop(on, home)
    return tuple(changed)


def _keep(disk: Disk, home: str, paths: Iterable[str]) -> None:
    new = f"{home}.new"
    disk.make_parents(new)
    disk.mkdir(new, 0o700)
    images: dict[str, Image] = {}
    for path in dict.fromkeys(paths):
        image, data = disk.seen(path)
        if image.form is not Form.FILE:
            continue  # nothing is there, or a link of somebody's, which stays what it is
        if image.sha256 not in {each.sha256 for each in images.values()}:
            disk.create(f"{new}/{image.sha256}", data)
            disk.sync(f"{new}/{image.sha256}")
        images[path] = image
    disk.create(f"{new}/{_LIST}", json.dumps({path: image.to_json() for path, image in images.items()}).encode())
    disk.sync(f"{new}/{_LIST}")
    disk.sync(new)
    disk.rename(new, home)
    disk.sync(above(home))


def _read(disk: Disk, home: str) -> Iterator[tuple[str, Image, bytes]]:
    listed = disk.seen(f"{home}/{_LIST}")[1]
    try:
        images = {str(path): Image.of_json(value) for path, value in json.loads(listed).items()}
    except (ValueError, AttributeError, TypeError):
        raise _damaged(f"{home}/{_LIST}") from None
    for path, image in images.items():
        kept_as, data = disk.seen(f"{home}/{image.sha256}")
        if kept_as.sha256 != image.sha256:
            raise _damaged(f"{home}/{image.sha256}")
        yield path, image, data


def _damaged(path: str) -> InstallerError:
    return InstallerError(
        f"{path} is not what was written before certificates were renewed",
        f"see whether the control plane runs with the certificates that are there; then remove {above(path)}",
    )


def _drop(disk: Disk, home: str) -> None:
    old = f"{home}.old"
    disk.rename(home, old)
    disk.sync(above(home))
    disk.remove_tree(old)
