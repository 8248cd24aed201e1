"""kubectl on a master: how we look at a cluster, and now and then change it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from installer_stub.distro.paths import ADMIN_CONF
from installer_stub.distro.units import PATH
from installer_stub.errors import ClusterError, CommandFailed
from installer_stub.host.command import Command, CommandResult, Secret
from installer_stub.host.connection import Connection
from installer_stub.host.retry import retry

# Whatever its kubeconfig names: a master is asked what its own API server knows, not what another one does.
OWN_SERVER: Final = "https://127.0.0.1:6443"
_REQUEST_TIMEOUT: Final = "20s"
# An API server that answers, and cannot just now: etcd elects a leader (a master joined, left, was switched off), or too many
# ask. etcd's words: api/v3rpc/rpctypes/error.go; the API's: apimachinery's errors, retried by client-go for some requests only.
_NOT_NOW: Final = re.compile(
    r"etcdserver: (leader changed|no leader|request timed out|too many requests)"
    r"|Error from server \((ServerTimeout|Timeout|TooManyRequests|ServiceUnavailable)\)"
)
PATIENCE: Final = 30.0  # seconds; an election takes one or two, on slow disks ten
_PAUSE: Final = 1.0

Object = Mapping[str, Any]


class Kubectl:
    """kubectl with the administrator's kubeconfig, run over ``connection``, which leads to a master.

    ``patience``: for how many seconds an API server that cannot just now is asked again; 0 where other masters can be asked.
    """

    def __init__(self, connection: Connection, kubeconfig: str = ADMIN_CONF, *, patience: float = PATIENCE) -> None:
        self._connection = connection
        self._kubeconfig = kubeconfig
        self._patience = patience

    def run(
        self,
        *arguments: str,
        changes: str = "",
        stdin: bytes | Secret | None = None,
        check: bool = True,
        again: bool = True,
    ) -> CommandResult:
        """Run ``kubectl arguments``. Raises CommandFailed, as Connection does.

        With ``check``, what the API server could not do just now is asked for again, for half a minute; it may have done it all the
        same. ``again`` False is for what may not be done twice, and what runs in a container (``exec``) is never repeated.
        """
        script = f'PATH={PATH}; export PATH; exec kubectl --kubeconfig "$@"'
        command = Command.shell(script, self._kubeconfig, f"--server={OWN_SERVER}", *arguments, changes=changes, stdin=stdin)
        if not (check and again and self._patience) or "exec" in arguments:
            return self._connection.run(command, check=check)
        return retry(lambda: self._connection.run(command), CommandFailed, seconds=self._patience, pause=_PAUSE, when=lambda error: _NOT_NOW.search(error.problem) is not None)

    def script(self, text: str, *arguments: str, timeout: float | None = None) -> CommandResult:
        """Run a shell script that only looks, whose ``$1 …`` are ``arguments``, and then what kubectl needs to be told.

        The result is returned whatever its status is; after ``timeout`` seconds it is what was said by then. Raises HostUnreachable.
        """
        told = ("--kubeconfig", self._kubeconfig, f"--server={OWN_SERVER}", f"--request-timeout={_REQUEST_TIMEOUT}")
        return self._connection.run(Command.shell(f"set +e; PATH={PATH}; export PATH\n{text}", *arguments, *told), check=False, timeout=timeout)

    def get(self, *arguments: str) -> Object:
        """Return what ``kubectl get … -o json`` prints. Raises CommandFailed, ClusterError."""
        result = self.run("get", *arguments, f"--request-timeout={_REQUEST_TIMEOUT}", "--output=json")
        try:
            value = json.loads(result.stdout)
        except ValueError as error:
            raise ClusterError(f"kubectl get {' '.join(arguments)} answered no JSON: {result.stdout[:200]!r}") from error
        if not isinstance(value, dict):
            raise ClusterError(f"kubectl get {' '.join(arguments)} answered no object")
        return value

    def items(self, *arguments: str) -> tuple[Object, ...]:
        """Return the items of a list."""
        items = self.get(*arguments).get("items", [])
        return tuple(item for item in items if isinstance(item, dict))

    def api_ready(self) -> bool:
        """Tell whether this master's API server says that it is ready."""
        return self.run("get", "--raw=/readyz", "--request-timeout=5s", check=False).ok
