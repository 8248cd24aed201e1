"""Pools: urllib3's connections as we want them, to addresses that were judged and at a minimum pace."""

from __future__ import annotations

import socket
from typing import ClassVar

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import create_connection

from registry_snapshot.record.destinations import Destinations
from registry_snapshot.record.pace import PacedResponse

Pools = dict[str, type[HTTPConnectionPool]]


class _Connection(HTTPConnection):
    response_class = PacedResponse
    destinations: ClassVar[Destinations | None] = None

    def _new_conn(self) -> socket.socket:
        """Connect to the first judged address that answers. Raises what urllib3's raises, DestinationRefused."""
        if self.destinations is None:
            return super()._new_conn()
        try:
            addresses = self.destinations.addresses(self._dns_host, self.port)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        for last, address in enumerate(addresses, 1 - len(addresses)):
            try:
                return create_connection((address, self.port), self.timeout, socket_options=self.socket_options)
            except TimeoutError as error:
                if not last:
                    raise ConnectTimeoutError(self, f"Connection to {self.host} timed out.") from error
            except OSError as error:
                if not last:
                    raise NewConnectionError(self, f"Failed to establish a new connection: {error}") from error
        raise NewConnectionError(self, "it has no address")


class _SecureConnection(_Connection, HTTPSConnection):
    """The same under TLS, which names and checks the host, not the address."""


def pools(destinations: Destinations | None) -> Pools:
    """Return the pools for http and https; None for whoever a person has named already, such as a proxy."""

    class Plain(_Connection):
        pass

    class Secure(_SecureConnection):
        pass

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    Plain.destinations = Secure.destinations = destinations
    return {"http": PlainPool, "https": SecurePool}
