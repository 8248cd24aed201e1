"""The question, asked of a real shell: yes, no, and everything that is neither."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from installer_stub.errors import HostInDoubt
from installer_stub.host.command import Command, CommandResult
from installer_stub.membership.evidence import Traces, gather, question
from tests.fakes.local_host import LocalConnection
from tests.fakes.scripted import ScriptedConnection


def traces(root: Path) -> Traces:
    return Traces(str(root / "ca.crt"), (str(root / "kubelet.conf"),), (str(root / "manifests"), str(root / "etcd")))


def test_a_blank_host_has_no_trace(tmp_path: Path) -> None:
    found = gather(LocalConnection(), traces(tmp_path))
    assert (found.traces, found.authority, found.record) == ((), None, None)


def test_what_lies_there_is_found_and_an_empty_directory_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(b"\x00\xffcertificate\n")
    (tmp_path / "kubelet.conf").write_text("")
    (tmp_path / "manifests").mkdir()
    (tmp_path / "etcd").mkdir()
    (tmp_path / "etcd" / ".hidden").touch()
    found = gather(LocalConnection(), traces(tmp_path))
    assert found.traces == (str(tmp_path / "kubelet.conf"), str(tmp_path / "etcd"))
    assert found.authority == b"\x00\xffcertificate\n"


def test_a_link_that_leads_nowhere_is_a_trace_and_a_file_in_the_way_of_a_directory_too(tmp_path: Path) -> None:
    (tmp_path / "kubelet.conf").symlink_to("gone")
    (tmp_path / "manifests").write_text("")
    found = gather(LocalConnection(), traces(tmp_path))
    assert found.traces == (str(tmp_path / "kubelet.conf"), str(tmp_path / "manifests"))


def test_what_cannot_be_looked_at_is_not_absent(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").mkdir()  # "Is a directory": there is something, and nobody can read it
    with pytest.raises(HostInDoubt, match="cannot tell whether it is in a cluster: authority"):
        gather(LocalConnection(), traces(tmp_path))


def test_a_loop_of_links_is_not_absence(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    looped = Traces(str(tmp_path / "a"), (str(tmp_path / "a" / "kubelet.conf"),), ())
    with pytest.raises(HostInDoubt, match="Too many levels"):
        gather(LocalConnection(), looped)


def test_a_missing_program_on_the_host_is_not_a_missing_cluster(tmp_path: Path) -> None:
    """As with "cannot fork": the shell goes on, and what it prints is no answer."""
    empty = tmp_path / "bin"
    empty.mkdir()
    (tmp_path / "ca.crt").write_text("x")
    with pytest.raises(HostInDoubt):
        gather(LocalConnection({"PATH": str(empty)}), traces(tmp_path))


@pytest.mark.parametrize("program", ["ls", "cat", "base64"])
def test_every_program_that_breaks_is_noticed(tmp_path: Path, program: str) -> None:
    broken = tmp_path / "bin"
    broken.mkdir()
    for name in ("ls", "cat", "head", "base64", "tr"):
        real = next(path for path in (f"/usr/bin/{name}", f"/bin/{name}") if os.access(path, os.X_OK))
        text = "#!/bin/sh\necho 'Input/output error' >&2\nexit 5\n" if name == program else f'#!/bin/sh\nexec {real} "$@"\n'
        (broken / name).write_text(text)
        (broken / name).chmod(0o755)
    (tmp_path / "ca.crt").write_text("a certificate")
    with pytest.raises(HostInDoubt):
        gather(LocalConnection({"PATH": str(broken)}), traces(tmp_path))


@pytest.mark.parametrize(
    "result",
    [
        CommandResult(254, "", "sh: 1: Cannot fork"),
        CommandResult(137, "record no\n", ""),
        CommandResult(124, "", ""),
        CommandResult(0, "", ""),
        CommandResult(0, "record no\nauthority no\nmachine-id no\nearlier no\n", ""),  # the last line is missing
        CommandResult(0, "record no\nall-asked\n", ""),  # answers are missing
        CommandResult(0, "record yes %%%\nall-asked\n", ""),
    ],
)
def test_an_answer_that_was_cut_short_is_no_answer(tmp_path: Path, result: CommandResult) -> None:
    host = ScriptedConnection().on("all-asked", result)
    with pytest.raises(HostInDoubt, match="nothing was changed"):
        gather(host, traces(tmp_path))


def test_names_are_quoted_by_construction() -> None:
    odd = Traces("/a b/$(x)'\"", (), ())
    assert "/a b/$(x)'\"" in shlex.split(question(odd).text)
    assert isinstance(question(odd), Command)
