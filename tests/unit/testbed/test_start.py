"""What a container runs before it is a machine, for each kind of site."""

from __future__ import annotations

import pytest

from tests.testbed.start import Dns, Site, boot_script


@pytest.mark.parametrize(
    ("dns", "line"),
    [("none", ": > /etc/resolv.conf"), ("stub", "nameserver 127.0.0.53"), ("site", "nameserver 10.78.1.1 ")],
)
def test_resolv_conf_is_what_the_site_has(dns: Dns, line: str) -> None:
    assert line in boot_script(Site(dns), "10.78.1.1")


def test_dockers_own_is_left_alone_unless_asked() -> None:
    assert "resolv.conf" not in boot_script(Site(), "10.78.1.1")
    assert "ip route del default" not in boot_script(Site(), "10.78.1.1")
    assert "ip route del default" in boot_script(Site(default_route=False), "10.78.1.1")


def test_init_is_the_last_word() -> None:
    assert boot_script(Site("none", default_route=False), "10.78.1.1").endswith(
        "ip route del default\nexec /sbin/init\n"
    )
