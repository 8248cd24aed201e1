"""A builder's key in an ssh-agent: the real one signs, and one that does not is told from one that is not there."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from bundler.errors import AgentMissing, AgentRefused, KeyNotInAgent, SigningError
from bundler.signing import agent
from bundler.signing.keys import load_signer, sign_digest
from installer_stub.trust.public_key import PublicKey
from installer_stub.trust.sshsig import encode
from installer_stub.trust.wire import string
from tests.unit.bundler.signing.test_keys import nobody
from tests.unit.installer_stub.trust.openssh import KINDS, MESSAGE, Pair, keygen, make, takes


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory whose name is short enough for a socket."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def real(short: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A running ssh-agent, without keys."""
    path = short / "agent"
    nobody_confirms = os.environ | {"SSH_ASKPASS": "/bin/false", "SSH_ASKPASS_REQUIRE": "force"}
    with subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE, env=nobody_confirms) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()  # it says where it listens, and does
            monkeypatch.setenv(agent.SOCKET, str(path))
            yield path
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Pair]:
    return {kind: make(tmp_path_factory.mktemp("keys"), kind) for kind in KINDS}


@pytest.fixture(scope="module")
def pair(pairs: Mapping[str, Pair]) -> Pair:
    return pairs["ssh-ed25519"]


def add(*words: str | Path) -> None:
    subprocess.run(["ssh-add", *words], check=True, capture_output=True)


@contextmanager
def speaking(directory: Path, monkeypatch: pytest.MonkeyPatch, *answers: bytes) -> Iterator[list[bytes]]:
    """Something that listens as an agent, and says one of ``answers`` to each connection, whatever it is asked."""
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "other"))
        listener.listen()
        monkeypatch.setenv(agent.SOCKET, str(directory / "other"))

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    heard.append(connection.recv(65536))
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield heard
        thread.join(10)


def held(pair: Pair) -> bytes:
    """An agent's answer: this key, and no other."""
    return string(b"\x0c\0\0\0\1" + string(PublicKey.parse(*pair.line.split()).blob) + string(b"comment"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_agent_signs_and_ssh_keygen_takes_it(real: Path, pairs: Mapping[str, Pair], kind: str, tmp_path: Path) -> None:
    for each in pairs.values():
        add(each.path)
    key = load_signer(pairs[kind].pub, nobody)
    assert key.public.text == pairs[kind].line
    assert takes(tmp_path, encode(sign_digest(key, hashlib.sha512(MESSAGE).digest())))


def test_a_public_key_in_pem_means_the_agent_too(real: Path, pairs: Mapping[str, Pair], tmp_path: Path) -> None:
    pair = pairs["ecdsa-sha2-nistp256"]
    add(pair.path)
    pem = tmp_path / "key.pem"
    pem.write_bytes(keygen("-e", "-m", "PKCS8", "-f", pair.pub).stdout)
    assert load_signer(pem, nobody).public.text == pair.line


def test_no_agent(pair: Pair, monkeypatch: pytest.MonkeyPatch, short: Path) -> None:
    monkeypatch.delenv(agent.SOCKET, raising=False)
    with pytest.raises(AgentMissing, match="SSH_AUTH_SOCK names none") as caught:
        load_signer(pair.pub, nobody)
    assert "ssh-add" in caught.value.remedy
    (short / "file").touch()
    for path in (short / "nothing", short / "file", short / ("long" * 40)):
        monkeypatch.setenv(agent.SOCKET, str(path))
        with pytest.raises(AgentMissing, match="no ssh-agent answers"):
            load_signer(pair.pub, nobody)


def test_an_agent_without_the_key(real: Path, pairs: Mapping[str, Pair], pair: Pair) -> None:
    with pytest.raises(KeyNotInAgent, match="holds 0 keys"):
        load_signer(pair.pub, nobody)
    add(pairs["ecdsa-sha2-nistp256"].path)
    with pytest.raises(KeyNotInAgent, match="holds 1 keys, and not SHA256:"):
        load_signer(pair.pub, nobody)


def test_an_agent_that_lost_the_key_or_went_away_in_between(real: Path, pair: Pair) -> None:
    add(pair.path)
    key = load_signer(pair.pub, nobody)
    add("-D")
    with pytest.raises(AgentRefused, match="refused to sign"):
        key.sign(b"x")
    real.unlink()
    with pytest.raises(AgentMissing, match="No such file"):
        key.sign(b"x")


def test_an_agent_whose_owner_says_no(real: Path, pair: Pair) -> None:
    add("-c", pair.path)  # to be confirmed, and nobody does
    key = load_signer(pair.pub, nobody)
    with pytest.raises(AgentRefused, match="refused to sign"):
        sign_digest(key, bytes(64))


def test_what_answers_may_be_anything(pair: Pair, short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        b"": "hung up",
        b"\0\0": "hung up",
        b"HTTP/1.1 400 Bad Request\r\n": "another protocol",
        string(b""): "another protocol",
        b"\x7f\xff\xff\xff": "another protocol",
        string(b"\x05"): "does not say what keys it holds",
        string(b"\x0c\xff\xff\xff\xff"): "another protocol",
        string(b"\x0c"): "another protocol",
    }
    with speaking(short, monkeypatch, *answers):
        for why in answers.values():
            with pytest.raises(AgentMissing, match=why):
                load_signer(pair.pub, nobody)


def test_what_is_signed_is_looked_at(pair: Pair, short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [
        string(b"\x0e"),
        string(b"\x0e" + string(b"nonsense")),
        string(b"\x0e" + string(string(b"ssh-ed25519") + string(bytes(64)))),
        string(b"\x0e" + string(string(b"ssh-ed25519") + string(bytes(64))) + b"more"),
    ]
    with speaking(short, monkeypatch, held(pair), *answers) as heard:
        key = load_signer(pair.pub, nobody)
        for _ in answers:
            with pytest.raises(AgentRefused, match="gave is no signature by SHA256:"):
                key.sign(b"data")
    assert heard[1] == string(b"\x0d" + string(key.public.blob) + string(b"data") + bytes(4))


def test_one_that_never_answers(pair: Pair, short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "_LIST_SECONDS", 0.1)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(short / "silent"))
        listener.listen()
        monkeypatch.setenv(agent.SOCKET, str(short / "silent"))
        with pytest.raises(SigningError, match=r"did not answer within 0\.1 s"):
            load_signer(pair.pub, nobody)


def test_nothing_is_left_open(real: Path, pair: Pair) -> None:
    add(pair.path)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counted, not used
    key = load_signer(pair.pub, nobody)
    for _ in range(5):
        key.sign(b"x")
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
