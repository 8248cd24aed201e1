"""``serve``: recordings, OCI layouts and artifacts as one read-only registry, by the code that serves at a site."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from installer_stub.commands.serve import add_listening, serve_sealed

if TYPE_CHECKING:
    from installer_stub.bundle.content import Sealed

_EPILOG = """\
examples:
  airseal serve recording --listen 0.0.0.0:5000
  airseal serve shop.run tools.run --listen [::]:5443 --tls-cert registry.crt --tls-key registry.key
  skopeo inspect --tls-verify=false docker://127.0.0.1:5000/registry.k8s.io/pause:3.10

Where two of them have the same tag, the first one named wins; the other stays reachable by digest. A recording is served
as far as it is complete, also while it is going on and after its recorder was killed. Ends on Ctrl-C or SIGTERM."""


def define(parser: ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.add_argument("paths", nargs="+", type=Path, metavar="DIR|FILE.run", help="a recording, an OCI layout, a directory of artifacts, or an artifact; several are one registry")
    add_listening(parser)


def run(arguments: Namespace) -> int:
    """Serve until stopped."""
    return serve_sealed([sealed for path in arguments.paths for sealed in _sealed_at(path)], arguments)


def _sealed_at(path: Path) -> tuple[Sealed, ...]:
    """Return what there is to serve at ``path``. Raises BundleError, RegistryError."""
    from installer_stub.bundle.reader import Bundle
    from installer_stub.hostside.service import sealed_in
    from registry_snapshot.record.recording import RecordingDirectory, is_recording

    if is_recording(path):
        return (RecordingDirectory.open(path),)
    return sealed_in(path) if path.is_dir() else (Bundle.open(path),)
