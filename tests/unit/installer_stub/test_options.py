"""Hosts are read as users write them for ssh; nonsense is refused before anything is connected to."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

import pytest

from installer_stub.commands import install
from installer_stub.errors import UsageError
from installer_stub.host.model import Host, Role
from installer_stub.options import (
    InstallOptions,
    Verb,
    parse_access,
    parse_host,
    parse_host_keys,
    parse_validity,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.2", ("10.0.0.2", 22, "root")),
        ("admin@10.0.0.2", ("10.0.0.2", 22, "admin")),
        ("admin@m1.site.local:2222", ("m1.site.local", 2222, "admin")),
        ("M1", ("m1", 22, "root")),
        ("fd00::2", ("fd00::2", 22, "root")),
        ("[fd00::2]", ("fd00::2", 22, "root")),
        ("first.last@[fd00::2]:2022", ("fd00::2", 2022, "first.last")),
    ],
)
def test_hosts(text: str, expected: tuple[str, int, str]) -> None:
    address, port, user = expected
    assert parse_host(text, Role.NODE, user="root", port=22) == Host(address, Role.NODE, port, user)


@pytest.mark.parametrize(
    "text",
    ["", "@h", "a b@h", "h:", "h:0", "h:65536", "h:x", "10.0.0", "10.0.0.256", "-oProxyCommand=x", "a@-h", "h;reboot", "[fd00::2", "[::1]x", "$(id)"],
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_host(text, Role.NODE, user="root", port=22)


def parse(verb: str, *arguments: str) -> InstallOptions:
    parser = ArgumentParser()
    install.define(parser, verb)
    namespace = parser.parse_args(arguments)
    namespace.verb = verb
    return install.parse(namespace)


def test_a_command_line_becomes_options() -> None:
    options = parse(
        "install", "--node", "10.0.0.5", "--master", "10.0.0.2,m2:2222", "--node", "a@10.0.0.6", "--user", "ops", "-k", "--yes", "--pod-cidr", "10.1.0.0/16"
    )
    assert options.verb is Verb.INSTALL
    assert [host.address for host in options.masters] == ["10.0.0.2", "m2"]
    assert options.nodes == (Host("10.0.0.5", Role.NODE, 22, "ops"), Host("10.0.0.6", Role.NODE, 22, "a"))
    assert options.hosts == options.masters + options.nodes
    assert (options.ask_pass, options.ask_become_pass, options.yes, options.json) == (True, False, True, False)
    assert (options.pod_cidr, options.service_cidr) == ("10.1.0.0/16", None)
    assert options.kubeconfig == Path("kubeconfig")
    assert parse("reset", "--master", "m").verb is Verb.RESET
    assert parse("reset", "--node", "n").nodes == (Host("n", Role.NODE),)
    assert parse("install", "--node", "n", "--via", "m").via == (Host("m", Role.MASTER),)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no master"),
        (["--node", "a"], "no master"),
        (["--master", "a", "--node", "b,A"], "a is named twice"),
        (["--master", "a", "--pod-cidr", "10.0.0.1/8"], "--pod-cidr: 10.0.0.1/8 has host bits set"),
        (["--master", "a", "--pod-cidr", "10.0.0.0/8"], "overlap"),
        (["--master", "a", "--port", "ssh"], "'ssh' is not a port"),
    ],
)
def test_contradictions_are_refused(arguments: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse("install", *arguments)


@pytest.mark.parametrize(("text", "seconds"), [("365", 365 * 86400), ("90d", 90 * 86400), ("12h", 43200), ("10m", 600)])
def test_how_long_certificates_live_is_a_number_of_days_or_less(text: str, seconds: int) -> None:
    assert parse_validity(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "9m", "-1", "3651", "1y", "999999999", "1 d"])
def test_a_life_that_no_host_could_renew_in_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_validity(text)


@pytest.mark.parametrize(
    ("endpoint", "names", "url", "sans"),
    [
        (None, (), None, ()),
        ("10.0.0.9", (), "https://10.0.0.9:6443", ("10.0.0.9",)),
        ("API.site.example:8443", ("10.0.0.9,10.0.0.9",), "https://api.site.example:8443", ("api.site.example", "10.0.0.9")),
        ("[fd00::9]:443", (), "https://[fd00::9]:443", ("fd00::9",)),
        (None, ("a.example", "*.b.example"), None, ("a.example", "*.b.example")),
    ],
)
def test_a_site_s_own_way_to_the_api(endpoint: str | None, names: tuple[str, ...], url: str | None, sans: tuple[str, ...]) -> None:
    access = parse_access(endpoint, names)
    assert (access.endpoint.url if access.endpoint else None) == url
    assert access.sans == sans


@pytest.mark.parametrize(("endpoint", "name"), [("https://x", ""), ("a b", ""), ("10.0.0.300", ""), ("h:0", ""), ("", ""), (None, "a/b"), (None, "*.*.x")])
def test_what_is_no_address_of_an_api_is_refused(endpoint: str | None, name: str) -> None:
    with pytest.raises(UsageError):
        parse_access(endpoint, (name,))


def test_endpoint_and_names_come_from_the_command_line() -> None:
    options = parse("install", "--master", "10.0.0.2", "--endpoint", "10.0.0.9", "--san", "a.example", "--san", "b.example")
    assert options.access.sans == ("10.0.0.9", "a.example", "b.example")
    assert parse("reset", "--master", "10.0.0.2").access.endpoint is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.168.1.2=10.0.0.2", ("192.168.1.2", "10.0.0.2", 22, "root")),
        ("ops@jump.site:2222=10.0.0.2", ("jump.site", "10.0.0.2", 2222, "ops")),
        ("[fd00::2]:2222=fd01::2", ("fd00::2", "fd01::2", 2222, "root")),
        ("10.0.0.2=10.0.0.2", ("10.0.0.2", "", 22, "root")),
    ],
)
def test_a_host_that_others_reach_at_another_address(text: str, expected: tuple[str, str, int, str]) -> None:
    host = parse_host(text, Role.MASTER, user="root", port=22)
    assert (host.address, host.internal, host.port, host.user) == expected


@pytest.mark.parametrize("text", ["10.0.0.2=", "10.0.0.2=name", "10.0.0.2=10.0.0.3:22", "=10.0.0.2"])
def test_what_is_no_internal_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_host(text, Role.MASTER, user="root", port=22)


PRINT = "SHA256:" + "a" * 43


def test_host_keys_from_the_command_line_and_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# of the site\n\n10.0.0.3={PRINT}\n  10.0.0.2={PRINT[:-1]}b\n")
    found = dict(parse_host_keys([f"10.0.0.2={PRINT}", f"[FD00::1]={PRINT}"], file))
    assert found == {"10.0.0.2": {PRINT, f"{PRINT[:-1]}b"}, "fd00::1": {PRINT}, "10.0.0.3": {PRINT}}


@pytest.mark.parametrize("text", ["", "10.0.0.2", f"={PRINT}", PRINT, f"10.0.0.2={PRINT}=", "10.0.0.2=MD5:aa:bb", f"10.0.0.2={PRINT[:-1]}", f"a={PRINT}\nb", "# x"])
def test_what_is_no_fingerprint_is_said(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not ADDRESS=SHA256"):
        parse_host_keys([text], None)
    if text and not text.startswith("#"):
        (tmp_path / "keys").write_text(text)
        with pytest.raises(UsageError, match="is not ADDRESS=SHA256"):
            parse_host_keys([], tmp_path / "keys")


@pytest.mark.parametrize("name", ["missing", "", "binary"])
def test_a_file_of_host_keys_that_cannot_be_read_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read"):
        parse_host_keys([], tmp_path / name)
