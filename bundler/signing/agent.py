"""An ssh-agent, asked two things: does it hold a key, and would it sign (draft-ietf-sshm-ssh-agent).

Keys on tokens and cards are reached this way too (``ssh-add -s``). One connection is one question, so that an agent that
was started again in between does not matter.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from typing import Final, Self

from bundler.errors import AgentError, AgentMissing, AgentRefused, KeyNotInAgent
from installer_stub.errors import SignatureError
from installer_stub.trust.public_key import PublicKey
from installer_stub.trust.wire import Reader, WireError, string

SOCKET: Final = "SSH_AUTH_SOCK"
_LIST, _KEYS, _SIGN, _SIGNED = 11, 12, 13, 14  # types of messages; 5, or anything else, is a no
_MOST_BYTES: Final = 256 * 1024  # of an answer: OpenSSH's own bound
_LIST_SECONDS: Final = 20.0
_SIGN_SECONDS: Final = 300.0  # a person may have to type a PIN, or touch something
_START: Final = "start one and load the key: eval $(ssh-agent); ssh-add KEY; or name the file with the private key"


@dataclass(frozen=True, slots=True)
class AgentKey:
    """A key that signs inside an agent, which listens at ``path``."""

    public: PublicKey
    path: str

    @classmethod
    def find(cls, public: PublicKey) -> Self:
        """Return the key of the agent that ``SSH_AUTH_SOCK`` names. Raises AgentMissing, KeyNotInAgent."""
        path = os.environ.get(SOCKET, "")
        if not path:
            raise AgentMissing(f"the key is an ssh-agent's, and {SOCKET} names none", _START)
        held = _keys(_ask(path, bytes([_LIST]), _KEYS, _LIST_SECONDS))
        if public.blob not in held:
            problem = f"the ssh-agent holds {len(held)} keys, and not {public.fingerprint}"
            raise KeyNotInAgent(problem, "load it with ssh-add KEY, or ssh-add -s LIBRARY for a token; ssh-add -l lists what is there")
        return cls(public, path)

    def sign(self, data: bytes) -> bytes:
        """Return the signature as SSH writes it; it was looked at and is one. Raises AgentMissing, AgentRefused."""
        request = bytes([_SIGN]) + string(self.public.blob) + string(data) + bytes(4)  # no flags: they choose among RSA's hashes
        reader = _ask(self.path, request, _SIGNED, _SIGN_SECONDS)
        try:
            signature = reader.string()
            reader.end()
            self.public.verify(signature, data)
        except (WireError, SignatureError):
            raise AgentRefused(f"what the ssh-agent gave is no signature by {self.public.fingerprint}", "see what agent this is: ssh-add -l") from None
        return signature


def _keys(reader: Reader) -> frozenset[bytes]:
    """Return the blobs of all keys in the answer to ``_LIST``. Raises AgentMissing."""
    try:
        return frozenset(pair[0] for pair in [(reader.string(), reader.string()) for _ in range(reader.uint32())])
    except WireError:
        raise AgentMissing("what answers as ssh-agent speaks another protocol", f"see what {SOCKET} names") from None


def _ask(path: str, request: bytes, wanted: int, seconds: float) -> Reader:
    """Return the body of the answer. Raises AgentMissing; AgentRefused for an answer of another type than ``wanted``."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
            until = time.monotonic() + seconds
            agent.settimeout(seconds)
            agent.connect(path)
            agent.sendall(string(request))
            size = int.from_bytes(_receive(agent, 4, until), "big")
            if not 0 < size <= _MOST_BYTES:
                raise AgentMissing("what answers as ssh-agent speaks another protocol", f"see what {SOCKET} names")
            answer = _receive(agent, size, until)
    except TimeoutError:
        raise AgentRefused(f"the ssh-agent did not answer within {seconds:g} s", "does it wait for somebody to confirm, or for a PIN?") from None
    except (OSError, EOFError, ValueError) as error:  # ValueError: a path with NUL
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or "it hung up"
        raise AgentMissing(f"no ssh-agent answers at {path}: {why}", _START) from None
    if answer[0] != wanted:
        raise _refused(wanted)
    return Reader(answer[1:])


def _receive(agent: socket.socket, count: int, until: float) -> bytes:
    """Raises TimeoutError, OSError, EOFError."""
    parts = bytearray()
    while len(parts) < count:
        agent.settimeout(max(until - time.monotonic(), 0.001))
        part = agent.recv(count - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def _refused(wanted: int) -> AgentError:
    if wanted == _KEYS:
        return AgentMissing("the ssh-agent does not say what keys it holds", "is it locked? ssh-add -X unlocks it")
    return AgentRefused("the ssh-agent holds the key and refused to sign", "was it confirmed, and is the token in its place? ssh-add -T KEY.pub tries it")
