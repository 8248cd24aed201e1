"""Hosts that do what the stub's words for the site registry's certificates say, with the stub's own code, in memory."""

from __future__ import annotations

import datetime as dt
import shlex
import shutil
import subprocess
from argparse import ArgumentParser
from pathlib import Path

from installer_stub.commands import host_registry
from installer_stub.host.command import Command, CommandResult
from installer_stub.phases.registry_authority import CERTIFICATE
from installer_stub.pki import authority, registry, succession
from installer_stub.pki.leaf import Leaf
from installer_stub.pki.registry import RegistryFiles
from installer_stub.plan.model import REGISTRY_AUTHORITY, REGISTRY_CERTIFICATE, REGISTRY_KEY, Plan
from tests.fakes.plans import scripted_hosts
from tests.fakes.scripted import ScriptedConnection, succeeded

CLUSTER_KEY = "/etc/kubernetes/pki/ca.key"
SECOND_KEY = "/var/lib/airseal/authority/ca.key"


class RegistryHost:
    """Gives one ScriptedConnection its answers. ``root`` is where its stub's files lie while a word runs."""

    def __init__(self, connection: ScriptedConnection, root: Path) -> None:
        self.shown: bytes | None = None  # what the running registry shows (DER)
        self._connection = connection
        self.clock = int(dt.datetime.now(dt.UTC).timestamp())
        self._root = root
        files = ("ca.crt", "ca.key", "succession.pem", "next/ca.crt", "next/ca.key", "next/succession.pem")
        self._paths = {f"{REGISTRY_AUTHORITY}/{file}": root / "ca" / file for file in files}
        self._paths |= {REGISTRY_CERTIFICATE: root / "r.crt", REGISTRY_KEY: root / "r.key"}
        connection.on("date \\+%s", self._look).on("airseal host ", self._word).on("chmod 0700", self._make_room).on("^rm -rf", self._remove)

    def _look(self, command: Command) -> CommandResult:
        """Run the look itself on copies of the files."""
        shell, option, script, name, *files = shlex.split(command.text)
        shutil.rmtree(self._root, ignore_errors=True)
        copies = [self._root / f"{number}{Path(file).suffix}" for number, file in enumerate(files)]
        self._root.mkdir(parents=True)
        for file, copy in zip(files, copies, strict=True):
            if file in self._connection.files:
                copy.write_bytes(self._connection.files[file])
        done = subprocess.run([shell, option, script, name, *map(str, copies)], capture_output=True, text=True, check=True)
        return succeeded("\n".join([str(self.clock), *done.stdout.split()[1:]]))

    def _word(self, command: Command) -> CommandResult:
        shutil.rmtree(self._root, ignore_errors=True)
        for path, file in self._paths.items():
            if path in self._connection.files:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(self._connection.files[path])
        parser = ArgumentParser()
        host_registry.define(parser.add_subparsers(dest="word"))
        arguments = parser.parse_args(shlex.split(command.text)[2:])
        directory, now = self._paths[CERTIFICATE].parent, dt.datetime.fromtimestamp(self.clock, dt.UTC)
        files = RegistryFiles(directory, self._paths[REGISTRY_CERTIFICATE], self._paths[REGISTRY_KEY])
        match arguments.word:
            case "new-authority":
                (succession.prepare if arguments.next else authority.make)(directory, now)
            case "switch-authority":
                succession.switch(directory)
                registry.issue_again(files, now)
            case "renew-registry":
                registry.renew(files, now, shown=lambda: self.shown, restart=self._restart)
            case _:
                registry.issue(files, arguments.ip, arguments.dns, dt.timedelta(days=registry.DAYS), now)
        for path, file in self._paths.items():
            self._connection.files.pop(path, None)
            if file.exists():
                self._connection.files[path] = file.read_bytes()
        return succeeded()

    def _restart(self) -> None:
        self.shown = Leaf.parse(self._paths[REGISTRY_CERTIFICATE].read_bytes()).der

    def _make_room(self, command: Command) -> CommandResult:
        for path in [each for each in self._connection.files if each.startswith(f"{REGISTRY_AUTHORITY}/next/")]:
            del self._connection.files[path]
        self._connection.files.pop(shlex.split(command.text)[-1], None)
        return succeeded()

    def _remove(self, command: Command) -> CommandResult:
        for name in shlex.split(command.text)[2:]:
            for path in [each for each in self._connection.files if each == name or each.startswith(f"{name}/")]:
                del self._connection.files[path]
        return succeeded()


def registry_hosts(plan: Plan, root: Path) -> dict[str, ScriptedConnection]:
    """Return blank hosts of ``plan``."""
    hosts = scripted_hosts(plan)
    for address, connection in hosts.items():
        RegistryHost(connection, root / address)
    return hosts
