"""``record``: the recording proxy alone, for a person, a cluster that exists already, or other people's tests."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.verbs.sources import add_logins, add_mirrors, logins_of, mirrors_of

if TYPE_CHECKING:
    import ssl

    from installer_stub.ui.console import Console
    from registry_snapshot.record.recorder import Recorder
    from registry_snapshot.serve.http_server import App
    from registry_snapshot.serve.login import Credential

_DEFAULT = "127.0.0.1:5000"
_EPILOG = f"""\
examples:
  airseal record --into recording
  airseal record --listen 0.0.0.0:5000 --into recording --tls-cert c.crt --tls-key c.key --credential login
  airseal record --into recording --platform linux/amd64 --platform linux/arm64 --mirror docker.io=https://mirror.example.com
  skopeo inspect --tls-verify=false docker://{_DEFAULT}/registry.k8s.io/pause:3.10    # is recorded
  airseal snapshot recording; airseal serve recording

Whoever reaches it pulls with this user's logins and decides what is recorded. So beyond this machine it wants a login, which
travels over TLS, or --open.

Point containerd at it with one file, /etc/containerd/certs.d/_default/hosts.toml, and every registry is recorded:
  server = "https://10.0.0.1:5000"
  [host."https://10.0.0.1:5000"]
    capabilities = ["pull", "resolve"]
    ca = "/etc/containerd/recorder.crt"
    header = {{ Authorization = "Basic dXNlcjpwYXNzd29yZA==" }}    # base64 of user:password

Every image that anybody asks for is completed, verified and kept; what a tag meant when it was first asked for, it means
from then on. At the end registries are asked for signatures, attestations and SBOMs of what was recorded, and these are kept, too. Ends on Ctrl-C or SIGTERM: what is under way is finished (a second Ctrl-C stops that too), and the directory
becomes an OCI image layout. The same command goes on with a recording that was interrupted, killed too."""


def define(parser: ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.add_argument("--listen", default=_DEFAULT, metavar="ADDR:PORT", help=f"default {_DEFAULT}; port 0 picks a free one")
    parser.add_argument("--credential", type=Path, metavar="FILE", help="answer only clients that log in: user:password in the first line of a file of mode 0600")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate chain in PEM; without it, cleartext")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="its private key in PEM")
    parser.add_argument("--open", action="store_true", help="answer everybody who reaches it, also beyond this machine")
    parser.add_argument("--into", required=True, type=Path, metavar="DIR", help="where the recording is kept; made if it is not there")
    parser.add_argument("--platform", action="append", default=[], metavar="OS/ARCH", help="for which hosts images are completed; may be repeated (default linux/amd64)")
    parser.add_argument("--without-signatures", action="store_true", help="do not ask registries, at the end, for signatures, attestations and SBOMs of the images")
    add_logins(add_mirrors(parser))
    parser.add_argument("--json", action="store_true", help="print events as JSON, one a line")
    parser.add_argument("--verbose", action="store_true", help="log requests that were refused, and connections")


def run(arguments: Namespace) -> int:
    """Record until stopped; 0 if every image is whole. Raises RecordingIncomplete, UsageError, RegistryError."""
    import logging

    from bundler.options import parse_platform
    from bundler.pull_progress import PullProgress
    from installer_stub.commands.serve import parse_address
    from installer_stub.ui.console import console
    from registry_snapshot.record.recorder import Recorder
    from registry_snapshot.serve.app import RegistryApp
    from registry_snapshot.store.disk import DiskBlobStore

    logging.basicConfig(level=logging.INFO if arguments.verbose else logging.WARNING, format="%(levelname)s %(message)s")
    entrance = _entrance(arguments, parse_address(arguments.listen))
    platforms = tuple(parse_platform(text)[0] for text in arguments.platform or ["linux/amd64"])
    mirrors, logins = mirrors_of(arguments), logins_of(arguments)
    reporter = console(json_events=arguments.json)
    blobs = DiskBlobStore(arguments.into)
    with Recorder(arguments.into, blobs, mirrors, logins, platforms, progress=PullProgress(reporter)) as recorder:
        names = frozenset(name for name, _ in mirrors.registries)
        _serve(RegistryApp(recorder, registries=names), entrance, arguments.into, reporter)
        problem = _finish(recorder, reporter, attached=not arguments.without_signatures)
    _report(arguments.into, reporter, json=arguments.json)
    reporter.close()
    if problem is not None:
        raise problem
    return 0


@dataclass(frozen=True, slots=True)
class _Entrance:
    """Where it listens, and who is let in."""

    address: tuple[str, int]
    tls: ssl.SSLContext | None
    credential: Credential | None


def _entrance(arguments: Namespace, address: tuple[str, int]) -> _Entrance:
    """Return what the options say. Raises UsageError for a door that is open by mistake, or a login in clear."""
    from bundler.errors import UsageError
    from installer_stub.hostside.credential import is_loopback, read_credential
    from installer_stub.hostside.service import server_tls

    tls = server_tls(arguments.tls_cert, arguments.tls_key)
    credential = read_credential(arguments.credential) if arguments.credential is not None else None
    if is_loopback(address[0]):
        return _Entrance(address, tls, credential)
    if credential is None and not arguments.open:
        raise UsageError(
            f"--listen {arguments.listen}: whoever reaches it would pull with this user's logins and decide what is recorded",
            "add --credential FILE with --tls-cert and --tls-key; or --open, where everybody on that network may",
        )
    if credential is not None and tls is None:
        raise UsageError(
            f"--credential on {arguments.listen} without TLS: everybody on the way could read the login",
            f"add --tls-cert and --tls-key, or listen on {_DEFAULT}",
        )
    return _Entrance(address, tls, credential)


def _serve(app: App, entrance: _Entrance, into: Path, reporter: Console) -> None:
    """Serve until Ctrl-C or SIGTERM, then let running answers end."""
    import threading

    from installer_stub.hostside.service import server_url
    from registry_snapshot.serve.http_server import RegistryServer
    from registry_snapshot.serve.limits import raise_file_limit
    from registry_snapshot.serve.login import LoginRequired
    from registry_snapshot.serve.metrics import Metrics, WithMetrics

    raise_file_limit()
    metrics = Metrics()
    app = WithMetrics(app, metrics)
    if entrance.credential is not None:
        app = LoginRequired(app, entrance.credential)
    with RegistryServer(app, entrance.address, entrance.tls, metrics=metrics) as server:
        url = server_url(server.address, entrance.tls)
        reporter.event("recording", f"recording into {into} at {url}; Ctrl-C ends it", url=url, directory=str(into))
        try:
            forever = threading.Event()
            while not forever.wait(1):  # a signal that comes just before a wait is seen after it
                pass
        except KeyboardInterrupt:
            reporter.step("finishing what is under way; Ctrl-C again stops that too")


def _finish(recorder: Recorder, reporter: Console, *, attached: bool) -> Exception | None:
    """Wait until every image is whole, with what its upstream keeps for it, and return why one is not."""
    from bundler.errors import Interrupted, RecordingIncomplete
    from registry_snapshot.errors import ManifestUnknown, RegistryError, StoreError

    try:
        recorder.finish()
        if attached:
            _attach(recorder, reporter)
            recorder.finish()
    except KeyboardInterrupt:
        reporter.step("stopped")
        return Interrupted("stopped before every image was whole", "run it again: everything that was fetched is kept")
    except StoreError as error:
        return error
    except RegistryError as error:
        # A disk of ours that is full is the cause, not one of several gaps.
        ours = (failure.error for failure in recorder.failures() if isinstance(failure.error, StoreError))
        return next(ours, RecordingIncomplete(error.problem, error.remedy))
    # What is nowhere is no gap in the recording: clients look for signatures that most images do not have.
    absent = [failure for failure in recorder.failures() if isinstance(failure.error, ManifestUnknown)]
    failed = [failure for failure in recorder.failures() if failure not in absent]
    for failure in absent:
        reporter.step(f"not there, as {failure.client} was told: {failure.reference}")
    if not failed:
        return None
    lines = "\n".join(f"  - {failure.reference} for {failure.client}: {failure.error.problem}" for failure in failed)
    remedies = dict.fromkeys(failure.error.remedy for failure in failed if failure.error.remedy)
    return RecordingIncomplete(f"{len(failed)} pulls failed:\n{lines}", "; ".join(remedies))


def _attach(recorder: Recorder, reporter: Console) -> None:
    found = recorder.attach()
    reporter.step(f"upstreams keep {len(found.taken)} signatures, attestations and the like for these images")
    for missed in found.missed:
        reporter.step(f"not known, or not taken, of what is kept for {missed.image}: {missed.why}")


def _report(into: Path, reporter: Console, *, json: bool) -> None:
    from bundler.recorded import image_json, listing, totals
    from installer_stub.ui.printable import say
    from registry_snapshot.record.recording import RecordingDirectory

    recording = RecordingDirectory.open(into)
    recording.write_layout()
    if json:
        reporter.event("recorded", totals(recording), directory=str(into), images=[image_json(recording, image) for image in recording.images])
    else:
        say("\n".join(listing(recording)))
