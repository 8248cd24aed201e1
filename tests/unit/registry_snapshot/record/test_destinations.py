"""Whoever an image, a redirect or a token server names, only public addresses are connected to, and those a person named."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from registry_snapshot.errors import DestinationRefused, UpstreamError
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Repository
from registry_snapshot.record.credentials import DockerCredentials
from registry_snapshot.record.destinations import Destinations, is_public
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.record.proxies import Proxies
from registry_snapshot.record.transport import Transport
from registry_snapshot.record.upstreams import Upstreams
from tests.unit.registry_snapshot.conftest import Naps
from tests.unit.registry_snapshot.images import make_image
from tests.unit.registry_snapshot.upstream_fake import FakeUpstream, plain


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2001:4860:4860::8888", True),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::808:808", True),  # NAT64 of 8.8.8.8
        ("0.0.0.0", False),  # this machine
        ("127.0.0.1", False),
        ("127.255.0.9", False),
        ("::1", False),
        ("::", False),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.0.1", False),
        ("100.64.0.1", False),  # carriers' and Tailscale's
        ("100.100.100.200", False),  # Alibaba's metadata
        ("169.254.169.254", False),  # everybody's metadata
        ("168.63.129.16", False),  # Azure's
        ("192.0.0.192", False),  # Oracle's
        ("198.18.0.1", False),
        ("224.0.0.1", False),
        ("239.1.1.1", False),
        ("255.255.255.255", False),
        ("fe80::1", False),
        ("fe80::1%2", False),
        ("fd00:ec2::254", False),  # Amazon's
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::a9fe:a9fe", False),  # NAT64 of 169.254.169.254
        ("2002:7f00:1::", False),  # 6to4 of 127.0.0.1
        ("2001:0:808:808::5601:5601", False),  # Teredo, to 169.254.169.254
    ],
)
def test_what_belongs_to_the_internet(address: str, *, public: bool) -> None:
    assert is_public(address) == public


def resolve(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Have the name server give one answer after the other, the last one for ever; return whom it was asked for."""
    asked: list[str] = []
    known = socket.getaddrinfo

    def answer(host: str, port: int, *rest: Any, **options: Any) -> list[Any]:
        asked.append(host)
        addresses = answers[min(len(asked), len(answers)) - 1] if not host.replace(".", "").isdigit() else [host]
        return [entry for address in addresses for entry in known(address, port, *rest, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return asked


@pytest.mark.parametrize(
    ("addresses", "destinations", "expected"),
    [
        (["8.8.8.8"], Destinations(), ["8.8.8.8"]),
        (["10.0.0.1", "8.8.8.8"], Destinations(), ["8.8.8.8"]),
        (["10.0.0.1"], Destinations(), None),
        (["10.0.0.1"], Destinations(frozenset({("registry.test", 443)})), ["10.0.0.1"]),
        (["10.0.0.1"], Destinations(frozenset({("registry.test", 5000)})), None),  # another port is another service
        (["10.0.0.1"], Destinations(private=("registry.test",)), ["10.0.0.1"]),
        (["10.0.0.1"], Destinations(private=("registry.test:5000",)), None),
        (["10.0.0.1"], Destinations(private=(".test",)), ["10.0.0.1"]),
        (["10.0.0.1", "169.254.169.254"], Destinations(private=("10.0.0.0/8",)), ["10.0.0.1"]),
        (["169.254.169.254"], Destinations(private=("10.0.0.0/8", "other.test")), None),
    ],
)
def test_which_addresses_of_a_name_may_be_connected_to(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str], destinations: Destinations, expected: list[str] | None
) -> None:
    resolve(monkeypatch, addresses)
    if expected is None:
        with pytest.raises(DestinationRefused, match=r"registry\.test is at an address") as caught:
            destinations.addresses("registry.test", 443)
        assert "private: [registry.test]" in caught.value.remedy
        assert addresses[0] not in str(caught.value)  # it goes to the client too, whose business it is not
    else:
        assert destinations.addresses("Registry.test.", 443) == expected


def test_the_address_that_was_judged_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch, upstream: FakeUpstream) -> None:
    """DNS rebinding: the name is public when it is looked at, and this machine's a moment later."""
    port = int(upstream.url.rpartition(":")[2])
    asked = resolve(monkeypatch, ["192.0.2.1"], ["127.0.0.1"])  # the first is documentation's: nothing answers there
    monkeypatch.setattr("registry_snapshot.record.destinations.is_public", lambda address: address == "192.0.2.1")
    connected: list[str] = []

    def connect(address: tuple[str, int], *_rest: object, **_options: object) -> socket.socket:
        connected.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr("registry_snapshot.record.pools.create_connection", connect)
    transport = Transport((), Proxies())
    with pytest.raises(UpstreamError):
        transport.send("GET", f"http://rebind.test:{port}/", {})
    assert (asked, connected, upstream.requests) == (["rebind.test"], ["192.0.2.1"], [])


def dialling(naps: Naps, mirrors: Mirrors) -> Upstreams:
    return Upstreams(mirrors, DockerCredentials(), sleep=naps.sleep, clock=naps.clock, proxies={})


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "0.0.0.0", "[::ffff:7f00:1]", "2130706433", "0x7f.1"])
def test_no_image_name_leads_to_this_machine(upstream: FakeUpstream, naps: Naps, host: str) -> None:
    make_image(upstream.blobs, "a")
    port = upstream.url.rpartition(":")[2]
    with dialling(naps, Mirrors()) as upstreams, pytest.raises(UpstreamError):
        upstreams.for_registry(f"{host}:{port}").manifest(Repository.of(f"{host}:{port}", "a"), "1")
    assert upstream.requests == []
    assert naps.taken == []  # it is final


@pytest.mark.parametrize(
    "lead",
    [
        lambda inner: plain(307, b"", {"Location": f"{inner}/latest/meta-data"}),
        lambda inner: plain(401, b"", {"WWW-Authenticate": f'Bearer realm="{inner}/token"'}),
    ],
    ids=["redirect", "token server"],
)
def test_what_a_registry_says_leads_to_no_other_place_of_this_machine(
    upstream: FakeUpstream, start_upstream: Callable[..., FakeUpstream], naps: Naps, lead: Callable[[str], Any]
) -> None:
    inner = start_upstream("inner")
    inner.fault = lambda request: plain(404, b'{"errors":[{"message":"SECRET"}]}')
    upstream.fault = lambda request: lead(inner.url)
    app = Repository.of("docker.io", "team/app")
    mirrors = Mirrors((("docker.io", upstream.url),))  # named, and its origin alone
    with dialling(naps, mirrors) as upstreams, pytest.raises(DestinationRefused, match="team/app"):
        upstreams.for_registry("docker.io").manifest(app, str(Digest.of(b"x")))
    assert inner.requests == []


def test_what_an_answer_of_somebody_else_says_or_hashes_to_goes_no_further(
    upstream: FakeUpstream, start_upstream: Callable[..., FakeUpstream], naps: Naps
) -> None:
    elsewhere = start_upstream("elsewhere")
    upstream.fault = lambda request: plain(307, b"", {"Location": f"{elsewhere.url}/x"})
    elsewhere.fault = lambda request: plain(404, b'{"errors":[{"message":"SECRET"}]}')
    mirrors = Mirrors((("docker.io", upstream.url),), private=("localhost",))
    with dialling(naps, mirrors) as upstreams, pytest.raises(UpstreamError, match="HTTP 404") as caught:
        upstreams.for_registry("docker.io").manifest(Repository.of("docker.io", "team/app"), "1")
    assert "SECRET" not in str(caught.value)


def test_an_address_is_judged_before_a_proxy_too() -> None:
    transport = Transport((), Proxies("http://127.0.0.1:1", "http://127.0.0.1:1"))
    with pytest.raises(DestinationRefused):
        transport.send("GET", "https://169.254.169.254/latest/", {})
    with pytest.raises(UpstreamError, match="the proxy"):  # whom a name means is the proxy's business
        transport.send("GET", "https://registry.test/v2/", {})
