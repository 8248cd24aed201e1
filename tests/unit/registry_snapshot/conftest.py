"""Fixtures: upstreams, recorders, a certificate authority."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import settings

from registry_snapshot.record.credentials import DockerCredentials
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.record.recorder import Recorder
from registry_snapshot.record.upstreams import Upstreams
from registry_snapshot.store.disk import DiskBlobStore
from tests.unit.registry_snapshot.images import AMD64
from tests.unit.registry_snapshot.upstream_fake import FakeUpstream

# Hypothesis' own deadline asserts how long one example takes, which is the machine's business.
settings.register_profile("airseal", deadline=None)
settings.load_profile("airseal")


LOOPBACK = ("localhost", "registry.test", "127.0.0.0/8")  # what the file of mirrors of a test has to name


class Naps:
    """A sleep that takes no time and a clock that believes it did."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.taken.append(seconds)

    def clock(self) -> float:
        return sum(self.taken)


@dataclass(frozen=True)
class Authority:
    """A certificate authority's file and a server context for loopback that it vouches for."""

    ca_file: Path
    server: ssl.SSLContext


@pytest.fixture
def naps() -> Naps:
    return Naps()


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[FakeUpstream]:
    with FakeUpstream(tmp_path / "upstream") as server:
        yield server


@pytest.fixture
def start_upstream(tmp_path: Path) -> Iterator[Callable[..., FakeUpstream]]:
    """Start further upstreams: ``start_upstream(name, tls=None)``."""
    with ExitStack() as stack:
        yield lambda name, tls=None: stack.enter_context(FakeUpstream(tmp_path / name, tls))


@pytest.fixture
def blobs(tmp_path: Path) -> DiskBlobStore:
    return DiskBlobStore(tmp_path / "blobs")


def mirrors_for(upstream: FakeUpstream, *registries: str) -> Mirrors:
    return Mirrors(tuple((name, upstream.base_for(name)) for name in (*registries, "docker.io")), private=LOOPBACK)


@pytest.fixture
def start_recorder(
    tmp_path: Path, blobs: DiskBlobStore, upstream: FakeUpstream, naps: Naps
) -> Iterator[Callable[..., Recorder]]:
    """Start recorders over ``upstream``, which plays docker.io, quay.io and registry.k8s.io."""
    with ExitStack() as stack:

        def start(platforms: tuple[object, ...] = (AMD64,), name: str = "record") -> Recorder:
            mirrors = mirrors_for(upstream, "quay.io", "registry.k8s.io")
            upstreams = Upstreams(mirrors, DockerCredentials(), sleep=naps.sleep, clock=naps.clock, proxies={})
            recorder = Recorder(
                tmp_path / name, blobs, mirrors, DockerCredentials(), platforms, upstreams=upstreams  # type: ignore[arg-type]
            )
            return stack.enter_context(recorder)

        yield start


@pytest.fixture
def recorder(start_recorder: Callable[..., Recorder]) -> Recorder:
    return start_recorder()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    directory = tmp_path_factory.mktemp("authority")
    ca_key, ca = _certificate("test authority", None, None)
    key, certificate = _certificate("localhost", ca_key, ca)
    (directory / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    (directory / "server.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem")
    return Authority(directory / "ca.pem", context)


def _certificate(
    name: str, issuer_key: ec.EllipticCurvePrivateKey | None, issuer: x509.Certificate | None
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    public = (issuer_key or key).public_key()
    names = [x509.DNSName("localhost"), x509.DNSName("registry.test"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    is_ca = issuer is None
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
    )
    usage = {
        "digital_signature": not is_ca,
        "content_commitment": False,
        "key_encipherment": False,
        "data_encipherment": False,
        "key_agreement": False,
        "key_cert_sign": is_ca,
        "crl_sign": is_ca,
        "encipher_only": False,
        "decipher_only": False,
    }
    builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
    if not is_ca:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return key, builder.sign(issuer_key or key, hashes.SHA256())
