"""Docker Engine: a private dockerd whose mirror we are for docker.io; other registries by path prefix, as people do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import docker
import docker.errors

from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import DOCKER_HUB, Reference
from tests.clients.client import Manners, Place, PullFailedError, Session, daemon, digest_in
from tests.clients.containerd import Programs, answers, running_containerd
from tests.clients.scenarios import ARTIFACT, BY_NAME, WITH_PORT, by_path_prefix
from tests.clients.world import clean_environment

_MANNERS = Manners(frozenset(BY_NAME) - {ARTIFACT, WITH_PORT}, "root", heads_only=True)


@dataclass(frozen=True)
class Engine:
    """dockerd over a containerd of its own. A registry with a port cannot be named by a path: ``:`` is no part of one."""

    name: str
    containerd: Programs
    manners: Manners = _MANNERS

    @contextmanager
    def session(self, place: Place) -> Iterator[Session]:
        base = place.directory / "docker"
        base.mkdir()
        settings = {
            "registry-mirrors": [f"http://{place.registry}"],
            "insecure-registries": [place.registry],
            "data-root": str(base / "data"),
            "exec-root": str(base / "exec"),
            "pidfile": str(base / "pid"),
            "bridge": "none",
            "iptables": False,
            "ip6tables": False,
            "ip-forward": False,
        }
        (base / "daemon.json").write_text(json.dumps(settings))
        listens = base / "d.sock"
        with running_containerd(self.containerd, place) as containerd:
            words = ("dockerd", "--config-file", base / "daemon.json", "--host", f"unix://{listens}", "--containerd", containerd)
            command = place.network.command(*words)
            with daemon(command, clean_environment(base / "home"), base / "dockerd.log", lambda: answers(listens)):
                client = docker.APIClient(base_url=f"unix://{listens}", version="auto", timeout=60)
                try:
                    yield _EngineSession(client, place)
                finally:
                    client.close()


@dataclass(frozen=True)
class _EngineSession:
    client: docker.APIClient
    place: Place

    def pull(self, reference: Reference) -> Digest:
        of_hub = reference.repository.registry == DOCKER_HUB
        name = str(reference) if of_hub else by_path_prefix(self.place.registry, reference)
        repository = name.partition("@")[0].rpartition(":")[0] if reference.tag else name.partition("@")[0]
        # What `docker pull` sends: of tag and digest, the digest.
        tag = str(reference.digest) if reference.digest else reference.tag
        try:
            for event in self.client.pull(repository, tag=tag, stream=True, decode=True):
                if "error" in event:
                    raise PullFailedError(event["error"])
            joined = f"{repository}@{tag}" if reference.digest else f"{repository}:{tag}"
            known = self.client.inspect_image(joined)["RepoDigests"]
        except docker.errors.APIError as error:
            raise PullFailedError(str(error.explanation)) from error
        familiar = repository.removeprefix("docker.io/library/").removeprefix("docker.io/")
        (mine,) = [line for line in known if line.startswith(f"{familiar}@")]
        return digest_in(mine)
