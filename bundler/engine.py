"""The docker engine, as far as a build needs it. The only importer of the docker SDK besides the cluster's own rooms.

Docker's and its HTTP client's exceptions become ours here: nobody above knows them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundler.errors import BuildFailed, DockerError, DockerMissing
from bundler.kubefile.context import RENDERED
from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.credentials import DockerCredentials

if TYPE_CHECKING:
    import docker

_BOOKKEEPING = re.compile(r"\s*---> |\s*--->$|Removing intermediate container |Successfully (built|tagged) ")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
NAMELESS = "<none>:<none>"  # what docker calls an image without a name
_TIMEOUT = 120  # seconds without an answer; builds stream and so always answer


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What docker knows of an image."""

    id: str
    labels: Mapping[str, str]
    environment: Mapping[str, str]
    platform: str
    size: int
    digests: tuple[str, ...] = ()  # "name@sha256:…": under which registries have it
    names: tuple[str, ...] = ()  # "name:tag", of this docker
    layers: tuple[str, ...] = ()  # digests of their contents, the lowest first


class Engine:
    """A connection to docker, made by ``connect``."""

    def __init__(self, client: docker.DockerClient) -> None:
        self.client = client

    @property
    def platform(self) -> str:
        """The engine's own platform, ``linux/amd64``."""
        with docker_errors("docker does not say what it is"):
            value = self.client.api.version(api_version=False)
        return f"{value['Os']}/{value['Arch']}"

    @property
    def knows_heredocs(self) -> bool:
        """Whether its builder knows here-documents without a "# syntax=" line: BuildKit 0.10, which came with API 1.42 (docker 23)."""
        with docker_errors("docker does not say what it is"):
            value = self.client.api.version(api_version=False)
        return tuple(map(int, str(value["ApiVersion"]).split("."))) >= (1, 42)

    @classmethod
    def connect(cls, patience: float = _TIMEOUT) -> Engine:
        """Return a connection to the engine that the environment names (DOCKER_HOST). Raises DockerMissing.

        ``patience``: seconds without an answer, after which anything raises.
        """
        import docker.errors
        import requests

        from bundler.cluster import dial

        try:
            client = dial.connect(patience)
            client.ping()
        except (docker.errors.DockerException, requests.RequestException, OSError) as error:
            raise missing(error) from None
        return cls(client)

    def version(self) -> str:
        """Return the engine's version, such as ``20.10.24``. Raises DockerError."""
        with docker_errors("docker does not tell its version"):
            return str(self.client.version().get("Version", "unknown"))

    def info(self) -> dict[str, Any]:
        """Return what ``docker info`` says. Raises DockerError."""
        with docker_errors("docker does not tell what it is"):
            return dict(self.client.info())

    def close(self) -> None:
        """End the connection."""
        self.client.close()

    def image(self, name: str) -> ImageInfo | None:
        """Return what docker knows of an image, None if it has none of that name."""
        import docker.errors

        with docker_errors(f"docker cannot inspect {name}"):
            try:
                value = self.client.api.inspect_image(name)  # type: ignore[no-untyped-call]
            except docker.errors.ImageNotFound:
                return None
        config = value.get("Config") or {}
        pairs = (entry.partition("=") for entry in config.get("Env") or ())
        variant = f"/{value['Variant']}" if value.get("Variant") else ""
        return ImageInfo(
            id=value["Id"],
            labels=dict(config.get("Labels") or {}),
            environment={name: text for name, _, text in pairs},
            platform=f"{value['Os']}/{value['Architecture']}{variant}",
            size=int(value["Size"]),
            digests=tuple(value.get("RepoDigests") or ()),
            names=tuple(name for name in value.get("RepoTags") or () if name != NAMELESS),
            layers=tuple((value.get("RootFS") or {}).get("Layers") or ()),
        )

    def pull(self, name: str, platform: str, output: Callable[[str], None], logins: Path | None = None) -> None:
        """Let the engine fetch an image. ``logins`` is docker's configuration directory, None for the user's own. Raises DockerError."""
        reference = Reference.parse(name)
        repository = str(reference.repository)
        auth = _login(logins, reference.repository.registry) if logins is not None else None
        try:
            with docker_errors(f"docker cannot pull {name}"):
                events = self.client.api.pull(
                    repository,
                    tag=str(reference.digest or reference.tag or "latest"),
                    platform=platform or None,
                    auth_config=auth,
                    stream=True,
                    decode=True,
                )
                failed = _follow_pull(events, output)
        except DockerError as error:
            raise DockerError(error.problem, _pull_remedy(error.problem)) from None
        if failed:
            raise DockerError(f"docker cannot pull {name}: {failed}", _pull_remedy(failed))

    def tag(self, image: str, name: str) -> None:
        """Give an image one more name. Raises DockerError."""
        repository, _, tag = name.rpartition(":")
        with docker_errors(f"docker cannot name {image}"):
            self.client.api.tag(image, repository, tag, force=True)

    def untag(self, name: str) -> None:
        """Take a name away again; the image stays as long as anything else holds it. What does not work is left."""
        import docker.errors
        import requests

        with suppress(docker.errors.DockerException, requests.RequestException):
            self.client.api.remove_image(name, noprune=True)

    def build(
        self,
        context: Iterator[bytes],
        *,
        tag: str,
        output: Callable[[str], None],
        build_args: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        platform: str = "",
        target: str = "",
        no_cache: bool = False,
    ) -> ImageInfo:
        """Build a streamed context with docker's classic builder; ``output`` gets its lines as they come.

        Raises BuildFailed with docker's last word.
        """
        # For engines and clients without BuildKit. ``context`` is a generator, so requests sends it in chunks and nothing
        # holds it whole.
        with docker_errors("docker build broke off"):
            events = self.client.api.build(
                fileobj=context,  # type: ignore[arg-type]
                custom_context=True,
                dockerfile=RENDERED,
                tag=tag,
                rm=True,
                forcerm=True,
                decode=True,
                buildargs=dict(build_args or {}),
                labels=dict(labels or {}),
                platform=platform or None,
                target=target or None,
                nocache=no_cache,
            )
            made = tag
            for event in events:
                # Another build may move the tag meanwhile; the image's own ID stays ours.
                made = (event.get("aux") or {}).get("ID") or made
                if "error" in event:
                    raise BuildFailed(str(event["error"]).strip())
                text = event.get("stream") or event.get("status") or ""
                for line in text.splitlines():
                    said = _COLOURS.sub("", line).rstrip()
                    if said and not _BOOKKEEPING.match(said):
                        output(said)
        built = self.image(made)
        if built is None:
            raise BuildFailed(f"docker build ended and there is no image {tag}", "look at the engine's log")
        return built

    @contextmanager
    def archive(self, image: str, path: str, labels: Mapping[str, str]) -> Iterator[Iterator[bytes]]:
        """Yield a tar stream of ``path`` in an image, by a container that is never started and removed at the end.

        Raises BuildFailed if the image has no such path.
        """
        import docker.errors
        import requests

        with docker_errors(f"docker cannot read {path} of {image}"):
            # The command is never run; an image FROM scratch has none and docker insists on one.
            container = self.client.api.create_container(image, command=["none"], labels=dict(labels))["Id"]
            stream: Iterator[bytes] = iter(())
            try:
                try:
                    stream, _ = self.client.api.get_archive(container, path, chunk_size=1 << 20)
                except docker.errors.NotFound:
                    raise BuildFailed(f"the image has no {path}", "begin with FROM kubernetes:…, or COPY something there") from None
                yield stream
            finally:
                # The engine does not let a container go while somebody reads from it: first end the reading.
                if isinstance(stream, Generator):
                    stream.close()
                with suppress(docker.errors.DockerException, requests.RequestException):
                    self.client.api.remove_container(container, force=True, v=True)

    @contextmanager
    def save(self, image: str) -> Iterator[Iterator[bytes]]:
        """Yield the archive that ``docker save`` writes of an image. Raises DockerError, also where docker breaks off while it is read."""
        with docker_errors(f"docker cannot save {image}"):
            stream = self.client.api.get_image(image, chunk_size=1 << 20)
            try:
                yield stream
            finally:
                if isinstance(stream, Generator):
                    stream.close()


def _login(directory: Path, registry: str) -> dict[str, str]:
    """Return the login that a docker configuration has for a registry as the engine's API wants it, empty for none."""
    found = DockerCredentials.load(directory / "config.json").for_registry(registry)
    if found is None:
        return {}
    return {"identitytoken": found.identity_token} if found.identity_token else {"username": found.username, "password": found.password}


def _follow_pull(events: Iterator[dict[str, Any]], output: Callable[[str], None]) -> str:
    """Pass on what is not about a single layer; return why the pull failed, or an empty text."""
    for event in events:
        if "error" in event:
            return str(event["error"]).strip()
        if "id" not in event and event.get("status"):
            output(str(event["status"]))
    return ""


def _pull_remedy(said: str) -> str:
    text = said.lower()
    if "unauthorized" in text or "denied" in text or "authentication required" in text:
        return "log in with docker login, or check the image's name"
    if "not found" in text or "manifest unknown" in text:
        return "check the image's name, or run: airseal base list"
    return "see that the engine reaches that registry: its network, its proxy, its registry-mirrors and certificates"


@contextmanager
def docker_errors(what: str) -> Iterator[None]:
    """Turn docker's exceptions, and those of its HTTP client, into DockerError."""
    import docker.errors
    import requests

    try:
        yield
    except docker.errors.APIError as error:
        raise DockerError(f"{what}: {explanation(error)}", _api_remedy(error)) from None
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise DockerError(f"{what}: {error}", "check that the docker engine still runs: docker info") from None


def explanation(error: Any) -> str:
    """Return what the engine said, without the HTTP around it."""
    return str(getattr(error, "explanation", "") or error).strip()


def _api_remedy(error: Any) -> str:
    text = explanation(error).lower()
    if "no space left" in text:
        return "free space where docker keeps its data: docker system df, docker system prune"
    if "no such host" in text or "timeout" in text or "connection refused" in text:
        return "the engine could not reach a registry: check its network, its proxy and its registry-mirrors"
    return "look at the engine's log (journalctl -u docker), then run again: what was fetched is kept"


def missing(error: Exception) -> DockerMissing:
    """Return why there is no engine for us, from what the SDK said."""
    text = str(error)
    if "PermissionError" in text or "Permission denied" in text:
        hint = "add this user to the group docker and log in again, or run with sudo"
        return DockerMissing("the docker engine is there, but this user may not use it", hint)
    hint = "install Docker Engine 20.10 or newer and start it (systemctl start docker), or set DOCKER_HOST; then try: docker info"
    reason = "" if "FileNotFoundError" in text or "No such file" in text else f": {text[:300]}"
    return DockerMissing(f"no docker engine answers{reason}", hint)
