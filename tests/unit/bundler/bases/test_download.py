"""A download is the bytes that were promised or it is not there, whatever the network does."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundler.bases.download import Downloader
from bundler.errors import ChecksumMismatch, DownloadFailed
from registry_snapshot.record.destinations import Destinations
from tests.unit.bundler.bases.file_server import Site, serving
from tests.unit.bundler.reporter import Remembering

HERE = Destinations(private=("localhost", "127.0.0.0/8"))
DATA = bytes(range(256)) * 12_000
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as served:
        served.files["/kubeadm"] = DATA
        yield served


@pytest.fixture
def downloader(tmp_path: Path) -> Downloader:
    return Downloader(tmp_path, Remembering(), destinations=HERE, pause=0.001)


def test_a_file_is_kept_under_its_hash_and_fetched_once(site: Site, tmp_path: Path) -> None:
    reporter = Remembering()
    downloader = Downloader(tmp_path, reporter, destinations=HERE)
    path = downloader.file((f"{site.url}/kubeadm",), DIGEST)
    assert path == tmp_path / DIGEST
    assert path.read_bytes() == DATA
    assert reporter.bytes == {"kubeadm": len(DATA)}
    assert downloader.file((f"{site.url}/kubeadm",), DIGEST) == path
    assert site.seen == [("/kubeadm", "")]


def test_a_broken_connection_is_taken_up_where_it_ended(site: Site, downloader: Downloader) -> None:
    site.cut = [1_000_000, 500_000]
    assert downloader.file((f"{site.url}/kubeadm",), DIGEST).read_bytes() == DATA
    assert [wanted for _, wanted in site.seen] == ["", "bytes=1000000-", "bytes=1500000-"]


def test_a_killed_download_is_taken_up_by_the_next(site: Site, tmp_path: Path, downloader: Downloader) -> None:
    (tmp_path / f"{DIGEST}.part").write_bytes(DATA[:2_000_000])
    assert downloader.file((f"{site.url}/kubeadm",), DIGEST).read_bytes() == DATA
    assert site.seen == [("/kubeadm", "bytes=2000000-")]
    assert not (tmp_path / f"{DIGEST}.part").exists()


def test_a_part_that_is_whole_already_is_recognised(site: Site, tmp_path: Path, downloader: Downloader) -> None:
    (tmp_path / f"{DIGEST}.part").write_bytes(DATA)
    assert downloader.file((f"{site.url}/kubeadm",), DIGEST).read_bytes() == DATA


def test_a_server_without_ranges_begins_again(site: Site, tmp_path: Path, downloader: Downloader) -> None:
    site.ranges = False
    (tmp_path / f"{DIGEST}.part").write_bytes(b"other bytes")
    assert downloader.file((f"{site.url}/kubeadm",), DIGEST).read_bytes() == DATA


def test_wrong_bytes_are_named_and_never_kept(site: Site, tmp_path: Path, downloader: Downloader) -> None:
    site.files["/kubeadm"] = b"<html>blocked</html>"
    with pytest.raises(ChecksumMismatch) as caught:
        downloader.file((f"{site.url}/kubeadm",), DIGEST)
    got = hashlib.sha256(b"<html>blocked</html>").hexdigest()
    for words in (f"{site.url}/kubeadm", f"expected sha256 {DIGEST}", f"got      sha256 {got}", "what to do: "):
        assert words in str(caught.value)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_a_part_of_something_else_costs_one_more_try(site: Site, tmp_path: Path, downloader: Downloader) -> None:
    """The part may be left from bytes that the site has since replaced: then it is the part that is wrong."""
    (tmp_path / f"{DIGEST}.part").write_bytes(b"x" * 1000)
    assert downloader.file((f"{site.url}/kubeadm",), DIGEST).read_bytes() == DATA


def test_a_cached_file_that_rotted_is_fetched_again(site: Site, tmp_path: Path, downloader: Downloader) -> None:
    (tmp_path / DIGEST).write_bytes(b"rotten")
    assert downloader.file((f"{site.url}/kubeadm",), DIGEST).read_bytes() == DATA


def test_not_found_is_not_asked_twice(site: Site, downloader: Downloader) -> None:
    with pytest.raises(DownloadFailed, match="404 Not Found"):
        downloader.file((f"{site.url}/nothing",), DIGEST)
    assert len(site.seen) == 1


def test_a_server_in_trouble_is_asked_again(site: Site, downloader: Downloader) -> None:
    site.statuses = [503, 500, 429]
    assert downloader.file((f"{site.url}/kubeadm",), DIGEST).read_bytes() == DATA


def test_a_server_in_trouble_for_good(site: Site, tmp_path: Path) -> None:
    site.statuses = [503] * 5
    with pytest.raises(DownloadFailed, match="503 Service Unavailable"):
        Downloader(tmp_path, Remembering(), destinations=HERE, tries=2, pause=0.001).file((f"{site.url}/kubeadm",), DIGEST)
    assert len(site.seen) == 2


def test_nobody_answers(tmp_path: Path) -> None:
    downloader = Downloader(tmp_path, Remembering(), destinations=HERE, tries=2, pause=0.001)
    with pytest.raises(DownloadFailed) as caught:
        downloader.file(("http://127.0.0.1:1/kubeadm",), DIGEST)
    assert "127.0.0.1:1" in str(caught.value)
    assert caught.value.remedy


def test_another_place_stands_in(site: Site, downloader: Downloader) -> None:
    urls = (f"{site.url}/gone", f"{site.url}/kubeadm")
    assert downloader.file(urls, DIGEST).read_bytes() == DATA


def test_mirrors_are_asked_instead_for_redirects_too(site: Site, tmp_path: Path) -> None:
    def rewrite(url: str) -> str:
        return url.replace("https://dl.k8s.io", site.url).replace("https://cdn.dl.k8s.io", f"{site.url}/cdn")

    site.redirects["/v1/kubeadm"] = "https://cdn.dl.k8s.io/kubeadm"
    site.files["/cdn/kubeadm"] = DATA
    downloader = Downloader(tmp_path, Remembering(), destinations=HERE, rewrite=rewrite)
    assert downloader.file(("https://dl.k8s.io/v1/kubeadm",), DIGEST).read_bytes() == DATA


@pytest.mark.parametrize("ask", [lambda loader, url: loader.file((url,), DIGEST), lambda loader, url: loader.text(url)])
def test_no_redirect_leads_from_https_to_http(site: Site, tmp_path: Path, ask: Callable[[Downloader, str], object]) -> None:
    """A checksum decides what is believed; whoever answers in clear could be anybody."""
    with serving(tls=tmp_path) as secure:
        secure.redirects["/kubeadm"] = f"{site.url}/kubeadm"
        downloader = Downloader(tmp_path, Remembering(), destinations=HERE, ca_files=[tmp_path / "ca.pem"], tries=1)
        with pytest.raises(DownloadFailed, match="without encryption") as caught:
            ask(downloader, f"{secure.url}/kubeadm")
        assert caught.value.remedy
        assert site.seen == []


@pytest.mark.parametrize("place", ["localhost", "127.0.0.1"])
def test_no_redirect_leads_to_an_address_that_nobody_named(site: Site, tmp_path: Path, place: str) -> None:
    site.redirects["/kubeadm"] = f"http://{place}:9/latest/meta-data"
    named = Destinations(frozenset({("127.0.0.1", int(site.url.rpartition(":")[2]))}))
    with pytest.raises(DownloadFailed, match=f"{place} is at an address that is not of the internet"):
        Downloader(tmp_path, Remembering(), destinations=named, tries=1).file((f"{site.url}/kubeadm",), DIGEST)


def test_a_ring_of_redirects_ends(site: Site, downloader: Downloader) -> None:
    site.redirects["/a"] = "/a"
    with pytest.raises(DownloadFailed, match="redirects"):
        downloader.file((f"{site.url}/a",), DIGEST)


def test_a_company_s_authority_is_trusted_if_named(tmp_path: Path) -> None:
    with serving(tls=tmp_path) as site:
        site.files["/kubeadm"] = DATA
        url = f"{site.url}/kubeadm"
        with pytest.raises(DownloadFailed, match="cannot be verified") as caught:
            Downloader(tmp_path, Remembering(), destinations=HERE, tries=1).file((url,), DIGEST)
        assert "--ca" in caught.value.remedy
        trusting = Downloader(tmp_path, Remembering(), destinations=HERE, ca_files=[tmp_path / "ca.pem"])
        assert trusting.file((url,), DIGEST).read_bytes() == DATA


def test_a_small_text(site: Site, downloader: Downloader) -> None:
    site.files["/kubeadm.sha256"] = DIGEST.encode()
    site.statuses = [502]
    assert downloader.text(f"{site.url}/kubeadm.sha256") == DIGEST
    with pytest.raises(DownloadFailed, match="404"):
        downloader.text(f"{site.url}/other.sha256")
