"""An internet of our own: the registries and download sites a build talks to, behind TLS, on a network of their own.

Where the real one can be reached, ``Internet(cache, real=True)`` is the company's registry alone: nobody else has its images.

The registries are the real distribution, one per upstream, with their data in the cache; the company's wants a login. The
download sites are one nginx. The machine reaches all of them through the bridge, and ``mirrors.yaml`` tells the product.
"""

from __future__ import annotations

import io
import ssl
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import docker
import docker.errors
import docker.types

from tests.testbed.cache import Cache, TestBedError, key_of, locked, write_whole
from tests.testbed.docker_engine import engine, remove_container, remove_network, require_packages
from tests.testbed.image_table import company_images, control_plane_images, image_table
from tests.testbed.images import ImageStore, Pusher
from tests.testbed.oci_image import Image, tar_member
from tests.testbed.other_version import build_version
from tests.testbed.parts import Parts
from tests.testbed.progress import say, step
from tests.testbed.releases import build_releases, pins_of, write_kubernetes
from tests.testbed.rootfs import RootfsStore
from tests.testbed.sites import FILES_ADDRESS, GATEWAY, SUBNET, Settings, Upstream

NETWORK = "airseal-internet"
LABEL = "airseal.internet"
_COMPANY_PARTS = ("registry", "crane")
_COMPANY_ROOTFS = ("host", "debian", "nginx")
_REGISTRY_IMAGE, _NGINX_IMAGE = "airseal-testbed/registry", "airseal-testbed/nginx:latest"


class Internet:
    """Brings the internet up and down; both may be run at any time, again and again."""

    def __init__(self, cache: Cache, *, real: bool = False) -> None:
        self._cache, self._settings, self._real = cache, Settings(cache, real), real
        self._parts, self._rootfs = Parts(cache), RootfsStore(cache)

    def up(self) -> None:
        """Build what is missing, start what does not run, push what is not there, write what the product reads."""
        require_packages(self._cache)
        client = engine(self._cache)
        self._parts.build_all(only=_COMPANY_PARTS if self._real else ())
        self._rootfs.build_all(only=_COMPANY_ROOTFS if self._real else ())
        self._rootfs.import_into(client)
        table = company_images if self._real else image_table
        store, images = ImageStore(self._cache), table(self._parts, self._rootfs)
        with step(f"making {len(images)} images"):
            store.build_all(images)
        with locked(self._cache.internet / ".lock"):
            if not self._real:
                with step("release files"):
                    build_releases(self._parts, self._cache.internet / "downloads", self._www / "files")
            with step("starting registries and download sites"):
                self._start(client)
            self._push(store, images)
            write_whole(self._cache.build_args, self._build_args(store))
            self._write_pins()
        say(
            f"the internet is up: --mirrors {self._cache.mirrors} --pins {self._cache.pins} --docker-config {self._cache.docker_config}"
        )

    def serve_also(self, version: str) -> None:
        """Have another version of Kubernetes too, once ``up``: its programs, and the images that its own kubeadm names. Compiles for minutes, once."""
        plane = build_version(self._parts, version)
        store, images = ImageStore(self._cache), control_plane_images(self._parts, self._rootfs, plane)
        store.build_all(images)
        with locked(self._cache.internet / ".lock"):
            write_kubernetes(self._parts.out(plane.kubernetes_part), self._www / "files", version)
            self._push(store, images)
            self._write_pins()

    def _write_pins(self) -> None:
        write_whole(self._cache.pins, "# the real sites' are in the product\n" if self._real else pins_of(self._www / "files"))

    def down(self) -> None:
        """Remove the containers and the network; images and data stay in the cache."""
        client = engine(self._cache)
        for container in client.containers(all=True, filters={"label": LABEL}):
            remove_container(client, container["Id"])
        for network in client.networks(filters={"label": LABEL}):
            remove_network(client, network["Id"])
        say("the internet is down; its data stays in the cache")

    def running(self) -> list[str]:
        """Return the names of the containers that run."""
        return [
            found["Names"][0].lstrip("/")
            for found in engine(self._cache).containers(filters={"label": LABEL})
        ]

    def _push(self, store: ImageStore, images: Sequence[Image]) -> None:
        pusher = Pusher(self._parts, store, ca=self._cache.ca, docker_config=self._settings.push_config)
        pusher.push_all(images, {upstream.name: upstream.endpoint for upstream in self._settings.upstreams})

    def _build_args(self, store: ImageStore) -> str:
        """Return the values that the example's Kubefile asks for."""
        hub = "docker.io/library/busybox:1.36"
        if not self._real:
            return f"BUSYBOX_DIGEST={store.digest(hub)}\n"
        crane = [self._parts.out("crane") / "crane", "digest", hub]
        asked = subprocess.run(crane, capture_output=True, text=True, check=False)
        if asked.returncode:
            raise TestBedError(f"cannot ask for the digest of {hub}; try again later, or with --internet own\n{asked.stderr}")
        return f"BUSYBOX_DIGEST={asked.stdout.strip()}\nOTHER_BUSYBOX=mirror.gcr.io/library/busybox:1.36\n"

    @property
    def _www(self) -> Path:
        return self._cache.internet / "www"

    def _start(self, client: docker.APIClient) -> None:
        self._settings.write()
        self._import_server_images(client)
        _create_network(client)
        upstreams = self._settings.upstreams
        for upstream in upstreams:
            self._start_registry(client, upstream)
        files = [] if self._real else [FILES_ADDRESS]
        if not self._real:
            self._start_files(client)
        context = ssl.create_default_context(cafile=str(self._cache.ca))
        for address in [*(f"{upstream.endpoint}/v2" for upstream in upstreams), *files]:
            _wait_for(f"https://{address}/", context)

    def _import_server_images(self, client: docker.APIClient) -> None:
        self._rootfs.import_one(client, "nginx", _NGINX_IMAGE)
        tag = self._parts.key("registry")
        if not client.images(f"{_REGISTRY_IMAGE}:{tag}"):
            tar = io.BytesIO()
            program = (self._parts.out("registry") / "registry").read_bytes()
            with tarfile.open(fileobj=tar, mode="w") as archive:
                member = tar_member("registry", tarfile.REGTYPE, 0o755)
                member.size = len(program)
                archive.addfile(member, io.BytesIO(program))
            changes = ['ENTRYPOINT ["/registry"]']
            client.import_image_from_data(
                tar.getvalue(), repository=_REGISTRY_IMAGE, tag=tag, changes=changes
            )

    def _start_registry(self, client: docker.APIClient, upstream: Upstream) -> None:
        directory = self._settings.directory(upstream)
        _ensure_running(
            client,
            name=f"{NETWORK}-{upstream.host}",
            image=f"{_REGISTRY_IMAGE}:{self._parts.key('registry')}",
            command=["serve", "/tls/config.yml"],
            address=upstream.address,
            binds=[f"{directory}/data:/data", f"{directory}/tls:/tls:ro"],
            stamp=_stamp(directory / "tls"),
        )

    def _start_files(self, client: docker.APIClient) -> None:
        tls = self._settings.files_tls
        _ensure_running(
            client,
            name=f"{NETWORK}-files",
            image=_NGINX_IMAGE,
            command=["nginx", "-c", "/tls/nginx.conf", "-g", "daemon off;"],
            address=FILES_ADDRESS,
            binds=[f"{self._www}:/www:ro", f"{tls}:/tls:ro"],
            stamp=_stamp(tls) + self._rootfs.key("nginx"),
        )


def _stamp(directory: Path) -> str:
    return key_of(*(file.read_bytes() for file in sorted(directory.iterdir())))


def _create_network(client: docker.APIClient) -> None:
    if client.networks(names=[NETWORK], filters={"label": LABEL}):
        return
    pool = docker.types.IPAMPool(subnet=SUBNET, gateway=GATEWAY)
    ipam = docker.types.IPAMConfig(pool_configs=[pool])
    # Internal: nothing in it needs a way out, and the machine reaches it all the same.
    client.create_network(NETWORK, driver="bridge", ipam=ipam, internal=True, labels={LABEL: "network"})


def _ensure_running(
    client: docker.APIClient,
    *,
    name: str,
    image: str,
    command: list[str],
    address: str,
    binds: list[str],
    stamp: str,
) -> None:
    """Start a container, unless it runs with these very settings."""
    wanted = key_of(image, command, address, binds, stamp)
    try:
        found: dict[str, Any] = client.inspect_container(name)
        if found["State"]["Running"] and found["Config"]["Labels"].get(LABEL) == wanted:
            return
    except docker.errors.NotFound:
        pass
    remove_container(client, name)
    container = client.create_container(
        image,
        command,
        name=name,
        labels={LABEL: wanted},
        host_config=client.create_host_config(binds=binds, restart_policy={"Name": "unless-stopped"}),
        networking_config=client.create_networking_config(
            {NETWORK: client.create_endpoint_config(ipv4_address=address)}
        ),
    )
    client.start(container)


def _wait_for(url: str, context: ssl.SSLContext) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, context=context, timeout=5):  # noqa: S310 - only https URLs of our own
                return
        except urllib.error.HTTPError as error:
            error.close()
            return  # 401 or 403: it answers
        except OSError as error:
            if time.monotonic() > deadline:
                raise TestBedError(
                    f"{url} does not answer; look at `docker ps -a` and `docker logs`: {error}"
                ) from error
            time.sleep(0.2)
