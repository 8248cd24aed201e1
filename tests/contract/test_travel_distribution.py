"""A cluster image through the real distribution, behind TLS and a login: pushed with its recording, sealed elsewhere into the same file."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from bundler.cli import run
from installer_stub.bundle.reader import Bundle
from tests.conformance.distribution import PASSWORD, USER, Tls, basic
from tests.contract.test_push_distribution import Start, program, start
from tests.testbed.certificates import Authority
from tests.unit.bundler.travel.workshop import PROOF, Builder, Machine

__all__ = ["program", "start"]


def test_a_file_is_sealed_from_a_registry_alone(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    authority = Authority(tmp_path / "ca")
    authority.issue(tmp_path / "tls", ["127.0.0.1"])
    registry = start(tls=Tls(tmp_path / "tls" / "tls.crt", tmp_path / "tls" / "tls.key"), auth=basic)
    mirrors = tmp_path / "mirrors.yaml"  # loopback is asked in cleartext unless it is told otherwise
    mirrors.write_text(f"registries: {{'{registry.name}': '{registry.url}'}}\nca: [{authority.certificate}]\n")
    way = ("--mirrors", str(mirrors), "--docker-config", str(tmp_path / "docker"))
    name = f"{registry.name}/team/shop:1.4.0"
    builder = Builder(tmp_path / "builder")
    builder.build()
    builder.record()
    builder.rehearse()
    assert builder.airseal("push", "shop:1.4.0", name, *way[:2]) == 1
    assert f"airseal login {registry.name}" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.StringIO(PASSWORD))
    assert run(["login", registry.name, "-u", USER, "--password-stdin", *way]) == 0
    assert builder.airseal("push", "shop:1.4.0", name, *way, "--json") == 0
    pushed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (pushed["event"], pushed["recording"], pushed["there"]) == ("pushed", True, 0)
    assert builder.airseal("seal", "shop:1.4.0", "-o", str(tmp_path / "here.run")) == 0
    site = Machine(tmp_path / "site")
    assert site.airseal("seal", name, "-o", str(tmp_path / "there.run"), *way) == 0
    assert (tmp_path / "here.run").read_bytes() == (tmp_path / "there.run").read_bytes()
    with Bundle.open(tmp_path / "there.run") as bundle:
        bundle.verify()
        assert bundle.receipt == PROOF


def test_a_later_recording_of_the_same_image_is_the_one_that_is_pulled(start: Start, tmp_path: Path) -> None:
    registry = start()
    builder = Builder(tmp_path / "builder")
    builder.build()
    builder.record()
    name = f"{registry.name}/team/shop:1.4.0"
    assert builder.airseal("push", "shop:1.4.0", name) == 0
    builder.record(time=1.8e9)
    assert builder.airseal("push", "shop:1.4.0", name) == 0
    site = Machine(tmp_path / "site")
    assert site.airseal("pull", name, "--with-snapshot") == 0
    assert site.recorded_at() == 1.8e9
