"""Options that say where things come from: mirrors, authorities, logins. What they mean is parsed in one place too."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import _ArgumentGroup

    from registry_snapshot.record.credentials import DockerCredentials
    from registry_snapshot.record.mirrors import Mirrors


def add_mirrors(parser: ArgumentParser) -> _ArgumentGroup:
    """Add ``--mirrors``, ``--mirror`` and ``--ca``, and return their group."""
    group = parser.add_argument_group("where things come from")
    group.add_argument("--mirrors", type=Path, metavar="FILE", help="a YAML file of mirrors for registries and downloads, of CAs, and of proxies for single registries")
    group.add_argument("--mirror", action="append", default=[], metavar="NAME=URL", help="one mirror: a registry's name or a URL prefix; may be repeated")
    group.add_argument("--ca", action="append", default=[], type=Path, metavar="FILE", help="trust this authority too; may be repeated")
    return group


def add_sign(parser: ArgumentParser) -> None:
    """Add ``--sign`` and ``--sign-x509``."""
    parser.add_argument("--sign", action="append", default=[], type=Path, metavar="KEY", help="sign with this private key (Ed25519 or ECDSA, OpenSSH or PEM), or with the one that an ssh-agent holds for this .pub file; the first one also signs the whole file, into FILE.sig; may be repeated")
    parser.add_argument("--sign-x509", type=Path, metavar="PEM", help="sign FILE.sha256 with the private key (RSA or ECDSA) in this file, whose certificates follow it there, into FILE.sha256.p7s: for whoever trusts an authority. openssl cms -verify -binary -purpose any -inform DER -in FILE.sha256.p7s -content FILE.sha256 -CAfile ca.pem verifies it")


def add_downloads(parser: ArgumentParser) -> None:
    """Add what ``add_mirrors`` adds, and what bases need besides: ``--pins`` and ``--cache``."""
    group = add_mirrors(parser)
    group.add_argument("--pins", type=Path, metavar="FILE", help="SHA-256 sums that downloads of bases must have, before all others (airseal base pin writes such a file)")
    group.add_argument("--accept-publisher-checksums", action="store_true", help="for downloads of bases that nobody has pinned, believe the checksum file that stands beside them; asked for once, as it is frozen in the cache")
    group.add_argument("--cache", type=Path, metavar="DIR", help="where everything fetched is kept (default $AIRSEAL_CACHE or ~/.cache/airseal)")


def add_logins(group: _ArgumentGroup | ArgumentParser) -> None:
    """Add ``--docker-config``."""
    group.add_argument("--docker-config", type=Path, metavar="DIR", help="where docker's config.json with the registries' logins is (default ~/.docker)")


def add_stub(parser: _ArgumentGroup | ArgumentParser) -> None:
    """Add ``--stub``."""
    parser.add_argument("--stub", type=Path, metavar="WHEEL|DIR", help="the frozen installer to seal with (default: that of this airseal, for the machine of the bundle: the wheel airseal-stub-x86_64 or -aarch64, in a checkout what make stub made)")


def add_values(group: _ArgumentGroup | ArgumentParser) -> None:
    """Add ``--set``, ``--set-file`` and ``--values``, which the verbs at a site have too."""
    group.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="a value for the recorded cluster, as a site sets it; it is not sealed; may be repeated")
    group.add_argument("--set-file", action="append", default=[], metavar="PATH=FILE", help="the same from a file: the way for secrets; may be repeated")
    group.add_argument("--values", action="append", default=[], type=Path, metavar="FILE", help="values for the recorded cluster from a YAML file; may be repeated")


def mirrors_of(arguments: Namespace) -> Mirrors:
    """Return the mirrors that the options name. Raises RegistryError."""
    from registry_snapshot.record.mirrors import Mirrors

    return Mirrors.given(arguments.mirrors, arguments.mirror, arguments.ca)


def logins_of(arguments: Namespace) -> DockerCredentials:
    """Return docker's logins; a directory that is named must hold them. Raises UsageError, RegistryError."""
    from bundler.errors import UsageError
    from registry_snapshot.record.credentials import DockerCredentials

    if arguments.docker_config is None:
        return DockerCredentials.load(None)
    path = arguments.docker_config / "config.json"
    if not path.exists():
        raise UsageError(f"--docker-config {arguments.docker_config}: there is no config.json", f"run: docker --config {arguments.docker_config} login REGISTRY")
    return DockerCredentials.load(path)
