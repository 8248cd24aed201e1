"""Through which proxy a registry is asked, who decides that, and where the proxy's login stands."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_snapshot.errors import RegistryError, UpstreamError, UpstreamNotTrusted, UpstreamUnreachable
from registry_snapshot.oci.reference import Repository
from registry_snapshot.record.credentials import DockerCredentials
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.record.proxies import DIRECT, Proxies, without_login
from registry_snapshot.record.upstreams import Upstreams
from registry_snapshot.serve.messages import Request
from tests.fakes.connect_proxy import ConnectProxy
from tests.fakes.raw_upstream import RawUpstream
from tests.unit.registry_snapshot.conftest import LOOPBACK, Authority, Naps
from tests.unit.registry_snapshot.images import make_image
from tests.unit.registry_snapshot.record.faults import Site
from tests.unit.registry_snapshot.upstream_fake import FakeUpstream

APP = Repository.of("docker.io", "team/app")
LOGIN = "Basic " + base64.b64encode(b"me:s3cret").decode()


@pytest.mark.parametrize(
    ("no", "url", "proxied"),
    [
        ("", "https://quay.io/v2", True),
        ("quay.io", "https://quay.io/v2", False),
        ("quay.io", "https://cdn.quay.io/v2", False),
        ("quay.io", "https://notquay.io/v2", True),
        (".quay.io", "https://cdn.quay.io/v2", False),
        ("*.quay.io", "https://cdn.quay.io/v2", False),
        ("QUAY.io , other.io", "https://quay.io./v2", False),
        ("quay.io:5000", "https://quay.io:5000/v2", False),
        ("quay.io:5000", "https://quay.io/v2", True),
        ("*", "https://quay.io/v2", False),
        ("10.0.0.0/8", "https://10.1.2.3/v2", False),
        ("10.0.0.0/8", "https://11.1.2.3/v2", True),
        ("10.0.0.0/8", "https://quay.io/v2", True),
        ("10.1.2.3", "https://10.1.2.3:5000/v2", False),
        ("fd00::/8", "https://[fd00::1]:5000/v2", False),
        ("", "https://localhost:5000/v2", False),
        ("", "https://127.0.0.2/v2", False),
        ("", "https://[::1]:5000/v2", False),
        ("", "https://127.0.0.1.example.com/v2", True),
        (",,", "https://quay.io/v2", True),
    ],
)
def test_no_proxy_as_go_reads_it(no: str, url: str, *, proxied: bool) -> None:
    proxies = Proxies.of({"https": "proxy.example.com:3128", "no": no})
    assert proxies.for_url(url) == ("http://proxy.example.com:3128" if proxied else "")
    assert not proxies.for_url(url.replace("https://", "http://"))


@pytest.mark.parametrize("url", ["socks5://proxy:1080", "http://", "http://proxy:99999", "http://[", "ftp://me:s3cret@proxy"])
def test_a_proxy_that_cannot_be_used_is_named_and_never_passed_over(url: str) -> None:
    with pytest.raises(RegistryError, match="is no proxy that can be used") as caught:
        Proxies.of({"https": url})
    assert "HTTPS_PROXY" in caught.value.remedy
    assert "s3cret" not in str(caught.value)


def test_the_environment_counts_where_nobody_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert Proxies.of() == Proxies()
    monkeypatch.setenv("HTTPS_PROXY", "http://me:s3cret@proxy:3128")
    monkeypatch.setenv("NO_PROXY", "corp.example.com")
    proxies = Proxies.of()
    assert proxies.for_url("https://quay.io") == "http://me:s3cret@proxy:3128"
    assert not proxies.for_url("https://corp.example.com")
    assert "s3cret" not in repr(proxies)


def test_a_line_for_one_registry_counts_more_and_finds_its_login_in_the_environment() -> None:
    proxies = Proxies.of({"https": "http://me:s3cret@proxy:3128", "no": "*"})
    assert proxies.only(DIRECT).for_url("https://quay.io") == ""
    assert proxies.only("http://proxy:3128").for_url("https://quay.io") == "http://me:s3cret@proxy:3128"
    assert proxies.only("http://other:3128").for_url("https://quay.io") == "http://other:3128"
    assert proxies.only("http://other:3128").for_url("http://quay.io") == "http://other:3128"
    assert proxies.only("http://other:3128").for_url("http://localhost") == ""


@given(st.text(max_size=40), st.sampled_from(["https://quay.io/x", "http://10.0.0.1:5000", "https://[fd00::1]/"]))
def test_any_no_proxy_is_read(no: str, url: str) -> None:
    Proxies.of({"https": "http://proxy:1", "http": "http://proxy:1", "no": no}).for_url(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [("http://me:s3cret@proxy:1", "http://proxy:1"), ("http://me:p@ss@proxy:1", "http://proxy:1"), ("http://proxy:1", "http://proxy:1"), ("me:s3cret@proxy", "proxy"), ("", "")],
)
def test_what_a_person_sees_of_a_proxy(url: str, shown: str) -> None:
    assert without_login(url) == shown


def upstreams(naps: Naps, mirrors: Mirrors, environment: dict[str, str]) -> Upstreams:
    return Upstreams(mirrors, DockerCredentials(), sleep=naps.sleep, clock=naps.clock, proxies=environment)


def test_each_registry_goes_its_own_way(site: Site, naps: Naps) -> None:
    """Without TLS a proxy is asked for whole URLs; that is what a RawUpstream is here."""
    mirrors = Mirrors(
        (("a.io", "http://a.test"), ("b.io", "http://b.test"), ("c.io", "http://c.test")),
        proxies=(("b.io", site.elsewhere.url), ("c.io", DIRECT)),
    )
    environment = {"http": site.raw.url.replace("http://", "http://me:s3cret@")}
    with upstreams(naps, mirrors, environment) as remotes:
        remotes.for_registry("a.io").manifest(Repository.of("a.io", "team/app"), "1")
        assert [(r.headers.get("Host"), r.headers.get("Proxy-Authorization")) for r in site.raw.requests] == [("a.test", LOGIN)]
        remotes.for_registry("b.io").manifest(Repository.of("b.io", "team/app"), "1")
        assert [(r.headers.get("Host"), r.headers.get("Proxy-Authorization")) for r in site.elsewhere.requests] == [("b.test", None)]
        with pytest.raises(UpstreamUnreachable, match=r"c\.test is no name that can be resolved"):
            remotes.for_registry("c.io").manifest(Repository.of("c.io", "team/app"), "1")
    assert len(site.raw.requests) == len(site.elsewhere.requests) == 1


@pytest.fixture
def secure(start_upstream: Callable[..., FakeUpstream], authority: Authority) -> FakeUpstream:
    server = start_upstream("secure", authority.server)
    server.tag("team/app:1", make_image(server.blobs, "a").descriptor)
    return server


def port(server: FakeUpstream) -> int:
    return int(server.host.rpartition(":")[2])


def test_tls_goes_through_a_tunnel_and_is_verified_to_its_end(secure: FakeUpstream, authority: Authority, naps: Naps) -> None:
    mirrors = Mirrors((("docker.io", "https://registry.test"),), ca_files=(authority.ca_file,), private=LOOPBACK)
    with ConnectProxy(port(secure)) as proxy, upstreams(naps, mirrors, {"https": f"http://me:s3cret@{proxy.host}"}) as remotes:
        assert remotes.for_registry("docker.io").manifest(APP, "1").raw
    assert proxy.asked == [("registry.test:443", LOGIN)]
    assert all(request.headers.get("Proxy-Authorization") is None for request in secure.requests)


def test_a_proxy_that_puts_its_own_certificate_in_is_told_with_the_way_to_trust_it(secure: FakeUpstream, naps: Naps) -> None:
    mirrors = Mirrors((("docker.io", "https://registry.test"),))
    with (
        ConnectProxy(port(secure)) as proxy,
        upstreams(naps, mirrors, {"https": f"http://{proxy.host}"}) as remotes,
        pytest.raises(UpstreamNotTrusted, match=r"certificate of registry\.test cannot be verified: .*issuer") as caught,
    ):
        remotes.for_registry("docker.io").manifest(APP, "1")
    assert "--ca FILE" in caught.value.remedy
    assert "openssl s_client -showcerts -connect registry.test:443" in caught.value.remedy
    assert len(proxy.asked) == 1  # asking again does not help


def test_a_certificate_for_another_name_is_no_matter_of_trust(secure: FakeUpstream, authority: Authority, naps: Naps) -> None:
    mirrors = Mirrors((("docker.io", "https://other.test"),), ca_files=(authority.ca_file,), private=LOOPBACK)
    with (
        ConnectProxy(port(secure)) as proxy,
        upstreams(naps, mirrors, {"https": f"http://{proxy.host}"}) as remotes,
        pytest.raises(UpstreamNotTrusted, match=r"other\.test") as caught,
    ):
        remotes.for_registry("docker.io").manifest(APP, "1")
    assert "name that stands in the certificate" in caught.value.remedy


@pytest.mark.parametrize(("status", "words", "times"), [(407, "wants a login", 1), (403, "does not let us reach registry.test", 6)])
def test_a_proxy_that_refuses_is_named_without_its_login(naps: Naps, status: int, words: str, *, times: int) -> None:
    mirrors = Mirrors((("docker.io", "https://registry.test"),))
    with (
        ConnectProxy(1, status) as proxy,
        upstreams(naps, mirrors, {"https": f"http://me:s3cret@{proxy.host}"}) as remotes,
        pytest.raises(UpstreamError, match=words) as caught,
    ):
        remotes.for_registry("docker.io").manifest(APP, "1")
    assert f"http://{proxy.host}" in caught.value.problem
    assert caught.value.problem.startswith("docker.io/team/app:1: ")
    assert "s3cret" not in str(caught.value)
    assert len(proxy.asked) == times


def test_a_proxy_that_nobody_runs_is_named(naps: Naps) -> None:
    with RawUpstream(object()) as gone:  # type: ignore[arg-type]
        url = gone.url
    with upstreams(naps, Mirrors((("docker.io", "https://registry.test"),)), {"https": url}) as remotes, pytest.raises(UpstreamUnreachable, match=f"the proxy {url} does not let us reach registry.test: .*refused"):
        remotes.for_registry("docker.io").manifest(APP, "1")


FILE = """\
proxies:
  quay.io: http://proxy.example.com:3128
  index.docker.io: direct
"""


def test_the_file_of_mirrors_says_it(tmp_path: Path) -> None:
    path = tmp_path / "mirrors.yaml"
    path.write_text(FILE)
    mirrors = Mirrors.load(path).with_overrides(["a.io=https://b.io"])
    assert mirrors.proxy_of("quay.io") == "http://proxy.example.com:3128"
    assert mirrors.proxy_of("docker.io") == DIRECT
    assert mirrors.proxy_of("a.io") is None


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("proxies:\n  quay.io: http://me:s3cret@proxy:1\n", 2, "login does not belong"),
        ("proxies:\n  quay.io: socks5://proxy:1\n", 2, "no base URL"),
        ("proxies:\n\n  busybox: direct\n", 3, "no registry name"),
        ("proxies: direct\n", 1, "NAME: VALUE"),
    ],
)
def test_mistakes_in_it_are_told_with_their_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = tmp_path / "mirrors.yaml"
    path.write_text(text)
    with pytest.raises(RegistryError, match=words) as caught:
        Mirrors.load(path)
    assert caught.value.problem.startswith(f"{path}:{line}: ")
    assert caught.value.remedy
    assert "s3cret" not in str(caught.value)


def test_what_a_raw_request_through_a_proxy_looks_like() -> None:
    """RawUpstream takes the path out of a whole URL, as a proxy does."""
    assert Request.of("GET", "http://a.test/v2/team/app/manifests/1").path == "/v2/team/app/manifests/1"
