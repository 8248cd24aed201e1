"""Whose signatures an operator takes: OpenSSH's file of allowed signers (ssh-keygen(1), ALLOWED SIGNERS), and what it says of an artifact.

The same file does for ``ssh-keygen -Y verify`` and for git, and says the same there and here. Where OpenSSH would pass over
a line that it does not understand, or that was not asked for, the whole file is refused here: a line of such a file is
somebody's decision. A public key alone, as a ``.pub`` file has it or in PEM, is an allowed signer too.
"""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from installer_stub.errors import SignatureError, UsageError
from installer_stub.trust.public_key import KINDS, OTHER_KIND, PublicKey
from registry_snapshot.store.bounded import MAX_SETTINGS_BYTES, TooLargeError, read_file

_FORM: Final = "a line is: NAME[,NAME...] [OPTIONS] ssh-ed25519 AAAA...; see ALLOWED SIGNERS in man ssh-keygen"
_OTHER_FILE: Final = "name a file of allowed signers, or a public key"
_PEM_BEGIN, _PEM_END = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"
_FOREIGN_KIND: Final = re.compile(r"(?:ssh|sk|ecdsa)-[a-zA-Z0-9@.-]+")
_PRINCIPALS: Final = re.compile(r'(?:"([^"]+)"|([^" \t]+))[ \t]+(.+)')
_OPTION: Final = re.compile(r'([a-zA-Z-]+)(?:="((?:\\"|[^"\\]|\\(?!"))*)")?(?:,(?=[a-zA-Z])|(?=[ \t]))')
_TIME: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?:([0-9]{2})([0-9]{2})([0-9]{2})?)?(Z|UTC)?", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Signer:
    """Somebody whose signature is taken. ``place`` is where it says so: file and line.

    ``principals`` are names or patterns of names, ``namespaces`` patterns of what the key may sign (None: anything), both as
    they are written. The key is good from ``valid_after`` to ``valid_before``, both included.
    """

    key: PublicKey
    principals: str
    place: str
    namespaces: str | None = None
    valid_after: dt.datetime | None = None
    valid_before: dt.datetime | None = None


class _Options(NamedTuple):
    namespaces: str | None = None
    valid_after: dt.datetime | None = None
    valid_before: dt.datetime | None = None


def load_allowed(path: Path) -> tuple[Signer, ...]:
    """Return the allowed signers in a file. Raises UsageError for one that cannot be read, or is none."""
    try:
        return parse_allowed(read_file(path).decode(), str(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", _OTHER_FILE) from None
    except (TooLargeError, UnicodeDecodeError):
        raise UsageError(f"{path} is no file of allowed signers: it is too large, or no text", _OTHER_FILE) from None


def parse_allowed(text: str, name: str) -> tuple[Signer, ...]:
    """Return everybody whom a file of allowed signers names, in its order; ``name`` is the file's.

    Raises UsageError, with file and line, for what OpenSSH would not read, or would read and we do not: a certificate
    authority, a key of another kind, a date that is none. And for a file in which nobody is named.
    """
    if len(text) > MAX_SETTINGS_BYTES:
        raise UsageError(f"{name} has more than {MAX_SETTINGS_BYTES} bytes, and such files have a few", _OTHER_FILE)
    signers = []
    lines = enumerate(text.split("\n"), 1)  # no splitlines(): what it takes for a line's end is inside of a line for OpenSSH
    for number, raw in lines:
        line, place = raw.removesuffix("\r").strip(" \t"), f"{name}:{number}"
        if not line or line.startswith("#"):
            continue
        try:
            signers.append(_from_pem(line, lines, place) if line.startswith("-----") else _from_line(line, place))
        except SignatureError as error:
            raise UsageError(f"{place}: {error.problem}", error.remedy) from None
    if not signers:
        raise UsageError(f"{name} names nobody", _FORM)
    return tuple(signers)


def _from_pem(line: str, lines: Iterator[tuple[int, str]], place: str) -> Signer:
    """Take a key in PEM, whose first line is ``line``, out of ``lines``. Raises UsageError, SignatureError."""
    if line != _PEM_BEGIN:
        remedy = "name the public key: ssh-keygen -y -f KEY, openssl x509 -pubkey -noout -in CERTIFICATE"
        raise UsageError(f"{place}: this is PEM, and no public key", remedy)
    taken = [line]
    for _, raw in lines:
        taken.append(raw.strip(" \t\r"))
        if taken[-1] == _PEM_END:
            key = PublicKey.from_pem("\n".join(taken).encode(errors="replace"))
            return Signer(key, key.fingerprint, place)
    raise UsageError(f"{place}: this key in PEM has no end", f"its last line is {_PEM_END}")


def _from_line(line: str, place: str) -> Signer:
    """Raises UsageError, SignatureError."""
    if _CONTROL.search(line):
        raise UsageError(f"{place}: there is a control character in it", "write the line anew")
    words = re.split(r"[ \t]+", line, maxsplit=2)
    if len(words) > 1 and _is_kind(words[0]) and words[1].startswith("AAAA"):
        key = PublicKey.parse(words[0], words[1])
        return Signer(key, words[2] if len(words) > 2 else key.fingerprint, place)
    named = _PRINCIPALS.fullmatch(line)
    if named is None:
        raise UsageError(f"{place}: names, and a key after them, are not there", _FORM)
    principals, rest = named[1] or named[2], named[3]
    options = _Options()
    if not _is_kind(re.split(r"[ \t]", rest, maxsplit=1)[0]):
        options, rest = _options(rest, place)
    words = re.split(r"[ \t]+", rest, maxsplit=2)
    if len(words) < 2:
        raise UsageError(f"{place}: there is no key in it", _FORM)
    return Signer(PublicKey.parse(words[0], words[1]), principals, place, *options)


def _is_kind(word: str) -> bool:
    """Tell whether a word is what SSH calls keys of some kind, also of one that is not taken."""
    return word in KINDS or _FOREIGN_KIND.fullmatch(word) is not None


def _options(rest: str, place: str) -> tuple[_Options, str]:
    """Return the options at the beginning of ``rest``, and what is behind them. Raises UsageError."""
    given: dict[str, str] = {}
    at = 0
    while at < len(rest) and rest[at] not in " \t":
        option = _OPTION.match(rest, at)
        if option is None:
            raise UsageError(f"{place}: what follows the names is neither a key nor options", f'{_FORM}; an option is namespaces="airseal"')
        name, value = option[1].lower(), option[2]
        if name == "cert-authority":
            remedy = "name every signer's own key; a certificate's key is taken as any other, without its certificate"
            raise UsageError(f"{place}: certificate authorities are not taken", remedy)
        if name not in {"namespaces", "valid-after", "valid-before"} or value is None or name in given:
            problem = f"the option {name[:40]} is unknown, given twice or without a value in quotes"
            raise UsageError(f"{place}: {problem}", f'options are namespaces="...", valid-after="...", valid-before="..."; {OTHER_KIND}')
        given[name], at = value.replace('\\"', '"'), option.end()
    times = {name: _time(value, f"{place}: {name}") for name, value in given.items() if name != "namespaces"}
    after, before = times.get("valid-after"), times.get("valid-before")
    if after is not None and before is not None and before <= after:
        raise UsageError(f"{place}: the key would end before it begins", "correct valid-after, valid-before")
    return _Options(given.get("namespaces"), after, before), rest[at:].lstrip(" \t")


def _time(text: str, what: str) -> dt.datetime:
    """Return a time as OpenSSH reads it: local where it does not end with Z, and then without daylight saving time.

    The latter is what ``ssh-keygen`` does; who wants to know for certain writes Z. Raises UsageError.
    """
    remedy = "write YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, and Z behind it for UTC"
    found = _TIME.fullmatch(text)
    try:
        if found is None:
            raise UsageError(f"{what}: this is no time", remedy)
        year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
        moment = dt.datetime(year, month, day, hour, minute, second, tzinfo=dt.UTC)
        if found[7] is None:
            moment = dt.datetime.fromtimestamp(time.mktime((year, month, day, hour, minute, second, 0, 0, 0)), dt.UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"{what}: there is no such time", remedy) from None
    if moment.timestamp() <= 0:
        raise UsageError(f"{what}: this was before there were computers to sign with", remedy)
    return moment
