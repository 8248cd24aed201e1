"""One look: the script is run by a real shell against a kubectl that answers as the real one did (v1.36.3), then read."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from installer_stub.errors import ClusterError
from installer_stub.host.command import Command, CommandResult
from installer_stub.kube.kubectl import Kubectl
from installer_stub.quiet.look import WHOLE, look
from installer_stub.quiet.traces import LEADER, traces
from tests.fakes.scripted import ScriptedConnection, failed
from tests.unit.installer_stub.quiet.things import deployment, stamp

# In place of kubectl: says which kinds there are, and prints what lies in files for each kind of question.
_KUBECTL = """#!/bin/sh
here=${0%/*}
for argument; do
    case $argument in
    api-resources) cat "$here/kinds"; [ ! -e "$here/away" ] || { cat "$here/away" >&2; exit 1; }; exit 0 ;;
    --output=json) cat "$here/whole"; exit 0 ;;
    events) cat "$here/events"; exit 0 ;;
    --output=jsonpath*) echo "$@" > "$here/asked"; cat "$here/lines"; exit 0 ;;
    esac
done
exit 3
"""


def line(kind: str, name: str, *, api: str = "v1", leader: str = "", labels: str = "\t\t\t", status: str = "", owners: str = "") -> str:
    return "\t".join((api, kind, "shop", name, f"u-{name}", "77", "3", stamp(0), "", owners, f"{stamp(1)}/,{stamp(9)}/status,", leader, labels, status))


@pytest.fixture
def host(tmp_path: Path) -> Path:
    program = tmp_path / "kubectl"
    program.write_text(_KUBECTL)
    program.chmod(0o755)
    kinds = [*WHOLE, "configmaps", "secrets", "events", "events.events.k8s.io", "databases.db.example.org"]
    (tmp_path / "kinds").write_text("".join(f"{each}\n" for each in kinds))
    (tmp_path / "whole").write_text(json.dumps({"items": [deployment()]}))
    (tmp_path / "lines").write_text("")
    (tmp_path / "events").write_text("e1\tshop\thelper\n")
    return tmp_path


def connection(host: Path) -> ScriptedConnection:
    """Run the command's own text, with the fake's directory in front of the PATH that it sets."""

    def run(command: Command) -> CommandResult:
        text = command.text.replace("PATH=/usr/local/sbin", f"PATH={host}:/usr/local/sbin")
        done = subprocess.run(["/bin/sh", "-c", text], capture_output=True, text=True, check=False, env=os.environ)
        return CommandResult(done.returncode, done.stdout, done.stderr)

    return ScriptedConnection().on("api-resources", run)


def taken(host: Path) -> Any:
    return look(Kubectl(connection(host)))


def test_a_look_has_what_travels_whole_and_a_line_of_everything_else(host: Path) -> None:
    status = json.dumps({"phase": "two", "message": "a\tb\u0085c\nd", "conditions": [{"type": "Ready", "status": "False"}]}, ensure_ascii=False)
    status = status.replace("\u0085", "\u0085")
    rows = [
        line("Database", "main", api="db.example.org/v1", status=status, owners="Fleet/u-1,"),
        line("Secret", "sh.helm.release.v1.web.v2", labels="helm\tweb\t2\tdeployed"),
        line("ConfigMap", "lock", leader='{"holderIdentity":"a"}'),
    ]
    (host / "lines").write_text("\n".join(rows) + "\n")
    found = taken(host)
    assert [item["kind"] for item in found.objects] == ["Deployment", "Database", "Secret", "ConfigMap"]
    database, secret, lock = found.objects[1:]
    assert database["status"]["message"] == "a\tb\u0085c\nd"
    assert database["metadata"]["ownerReferences"] == [{"kind": "Fleet", "uid": "u-1"}]
    assert secret["metadata"]["labels"] == {"owner": "helm", "name": "web", "version": "2", "status": "deployed"}
    assert lock["metadata"]["annotations"][LEADER] == '{"holderIdentity":"a"}'
    assert traces(found.objects)["u-main"].written is not None
    assert [each.name for each in found.glimpses] == ["helper"]
    assert found.now > 1_700_000_000
    assert found.doubt == ""


def test_secrets_settings_and_custom_resources_are_asked_for_by_lines_alone_and_events_apart(host: Path) -> None:
    taken(host)
    asked = (host / "asked").read_text()
    kinds = next(word for word in asked.split() if "configmaps" in word)
    assert sorted(kinds.split(",")) == ["configmaps", "databases.db.example.org", "secrets"]
    assert "data" not in asked.replace("databases", "").replace("metadata", "")


def test_an_api_that_is_away_is_a_doubt_and_hides_nothing_else(host: Path) -> None:
    (host / "away").write_text("Warning: v1 Endpoints is deprecated\nE1126 22:45:01.98 20547 memcache.go:287] Unhandled\nerror: unable to retrieve the complete list of server APIs: metrics.k8s.io/v1beta1\n")
    found = taken(host)
    assert [item["kind"] for item in found.objects] == ["Deployment"]
    assert found.doubt.startswith("error: unable to retrieve")


@pytest.mark.parametrize(("file", "text"), [("whole", "no json"), ("whole", "{}"), ("lines", "two\tfields\n"), ("events", "one\n")])
def test_what_cannot_be_read_is_an_error(host: Path, file: str, text: str) -> None:
    (host / file).write_text(text)
    with pytest.raises(ClusterError, match="cannot be read"):
        taken(host)


def test_an_api_server_that_does_not_answer_is_an_error() -> None:
    silent = ScriptedConnection().on("api-resources", failed(1, "The connection to the server 127.0.0.1:6443 was refused"))
    with pytest.raises(ClusterError, match="was refused"):
        look(Kubectl(silent))
