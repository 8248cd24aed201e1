"""Session: how one registry is asked. Logins, redirects and refusals are dealt with here; what asks sees answers.

* Whoever pulls sends GET alone (and POST to token servers): public ECR answers 401 to every HEAD, and a GET says all a HEAD would.
* Authorization goes to the origin (scheme, host, port) that stands in the base URL and to no other, and once a redirect
  has left it never again on that way, not even back: whoever was in between chose the path (CVE-2024-45336 in net/http).
* Redirects are followed inside, since a client in an air gap cannot reach a CDN. Where only a digest proves the bytes a
  redirect may lead to http; a tag's answer is believed for its origin, and may not.

Source: OCI distribution-spec, "Pull"; redirects and credentials otherwise as containerd's resolver handles them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

from registry_snapshot.errors import (
    TransferStopped,
    UpstreamError,
    UpstreamNotTrusted,
    UpstreamUnauthorized,
    UpstreamUnreachable,
)
from registry_snapshot.oci.reference import Repository
from registry_snapshot.record.answer import ERROR_BYTES, Answer, named
from registry_snapshot.record.auth import Authorizer, TokenAnswer
from registry_snapshot.record.challenge import parse_challenges
from registry_snapshot.record.credentials import Credentials
from registry_snapshot.record.retry import Attempts, Patience, TransientError, retry_after
from registry_snapshot.record.transport import Transport, host_of, origin_of

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SAME_METHOD = frozenset({307, 308})  # RFC 9110 15.4: after the others a client may ask with GET, and has sent nothing
_MAX_REDIRECTS = 10
_HUB_HOST = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class Ask:
    """One question: ``url``, and ``what`` it is for in words. ``success`` are the statuses that answer it.

    ``is_ours`` tells that the registry itself is asked, so that its login is for it. ``by_digest`` tells that the bytes
    will prove themselves, whoever sends them. ``body`` gives the pieces of what is sent, from the first, as often as it is
    called; ``headers`` have their length then. ``scope`` is what a token has to allow, None for pulling; ``read_seconds``
    are for an answer that takes longer than others.
    """

    url: str
    repository: Repository
    what: str
    headers: dict[str, str] = field(default_factory=dict)
    success: frozenset[int] = frozenset({200})
    is_ours: bool = True
    by_digest: bool = False
    method: str = "GET"
    body: Callable[[], Iterable[bytes]] | None = None
    scope: str | None = None
    read_seconds: float | None = None


class Session:
    """The registry ``name``, asked at ``base_url``. Safe for threads."""

    def __init__(
        self,
        name: str,
        base_url: str,
        transport: Transport,
        credentials: Callable[[], Credentials | None],
        *,
        patience: Patience,
        clock: Callable[[], float],
        token_servers: tuple[str, ...] = (),
    ) -> None:
        self._name = name
        self._base = base_url
        self._origin = origin_of(base_url)
        self._transport = transport
        self._patience = patience
        self._authorizer = Authorizer(
            self.login_name, credentials, self._ask_token_server, clock, base=base_url, token_servers=token_servers
        )

    @property
    def login_name(self) -> str:
        """What to give to ``docker login``: a mirror is logged in to under its own host."""
        host = host_of(self._base)
        return self._name if host == _HUB_HOST else host

    def __str__(self) -> str:
        host = host_of(self._base)
        return self._name if host in {self._name, _HUB_HOST} else f"{self._name} (mirror {host})"

    def url(self, source: str) -> str:
        """Return the URL of ``source``, a path below the base."""
        return f"{self._base}/{source}"

    def is_logged_in(self, scope: str) -> bool:
        """Tell whether an answer of late was given to a login, or a token, for ``scope``."""
        return self._authorizer.header(scope) is not None

    def attempts(self) -> Attempts:
        """Return a fresh count of tries, which waits as this registry wants it."""
        return Attempts(self._patience)

    @contextmanager
    def send(self, ask: Ask) -> Iterator[Answer]:
        """Yield an answer with one of the wanted statuses; it is let go at the end.

        Raises TransientError for what may pass (also while its body is read), UpstreamError for the rest.
        """
        with self._patience.turn():
            answer = self._answered(ask)
        try:
            yield answer
        finally:
            answer.close()

    def _answered(self, ask: Ask) -> Answer:
        try:
            answer = self._authorized(ask)
        except UpstreamUnreachable as error:
            if isinstance(error, UpstreamNotTrusted) or error.status:
                raise named(error, ask.what) from error
            raise TransientError(named(error, ask.what)) from error
        except TransientError as failure:  # the token server's
            raise TransientError(named(failure.error, ask.what), failure.wait, limited=failure.limited) from failure
        except TransferStopped:
            raise
        except UpstreamError as error:
            raise named(error, ask.what) from error
        if answer.status not in ask.success:
            try:
                raise self._refused(answer, ask.what)
            finally:
                answer.close()
        return answer

    def _authorized(self, ask: Ask) -> Answer:
        if not ask.is_ours:
            return self._follow(ask, None)
        scope = f"repository:{ask.repository.path}:pull" if ask.scope is None else ask.scope
        known = self._authorizer.header(scope)
        answer = self._follow(ask, known)
        if answer.status != 401 or origin_of(answer.url) != self._origin:
            return answer
        try:
            authorization = self._authorizer.answer(parse_challenges(answer.headers("WWW-Authenticate")), scope, known)
        except BaseException:
            answer.close()
            raise
        if authorization is None:
            return answer
        answer.drop()
        return self._follow(ask, authorization)

    def _follow(self, ask: Ask, authorization: str | None) -> Answer:
        """Return the first answer that is no redirect."""
        url, what = ask.url, ask.what
        for _ in range(_MAX_REDIRECTS + 1):
            if origin_of(url) != self._origin:
                authorization = None
            login = {} if authorization is None else {"Authorization": authorization}
            try:
                body = ask.body() if ask.body is not None else None
                answer = Answer(self._transport.send(ask.method, url, {**ask.headers, **login}, body, ask.read_seconds), url, what)
            except UpstreamError as error:
                raise error if url == ask.url else named(error, f"redirected by {self}") from error
            location = answer.header("Location")
            if answer.status not in (_REDIRECTS if ask.method in {"GET", "HEAD"} else _SAME_METHOD) or not location:
                return answer
            answer.drop()
            url = self._redirected(url, location, by_digest=ask.by_digest)
            what = f"{ask.what}: redirected by {self}"
        raise UpstreamError(f"{self} redirects more than {_MAX_REDIRECTS} times", "report it to the registry's operator")

    def _redirected(self, url: str, location: str, *, by_digest: bool) -> str:
        try:
            target = urljoin(url, location)
            scheme, host, _ = origin_of(target)
        except ValueError:
            scheme = host = ""
        if scheme not in {"http", "https"} or not host:
            raise UpstreamError(f"{self} redirects to {location[:40]!r}, which is no web address", "report it to the registry's operator")
        if scheme == "http" and urlsplit(url).scheme == "https" and not by_digest:
            raise UpstreamError(
                f"{self} redirects to {host} without encryption, where anybody could answer",
                "ask for the image by its digest, or have the registry's operator repair the redirect",
            )
        return target

    def _ask_token_server(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> TokenAnswer:
        what = f"a token from {host_of(url)}"
        answer = Answer(self._transport.send(method, url, headers, body), url, what)
        try:
            if answer.status >= 500 or answer.status in {408, 429}:
                raise self._refused(answer, what)
            return TokenAnswer(answer.status, answer.body(ERROR_BYTES), answer.header("Date"))
        finally:
            answer.close()

    def _refused(self, answer: Answer, what: str) -> Exception:
        """Return what to raise for an answer that is no success: transient or final."""
        status = answer.status
        # What others say goes no further: a redirect may have led to a place whose words are not for those who asked.
        reason = answer.reason() if origin_of(answer.url) == self._origin else ""
        said = f"{self} answered HTTP {status} for {what}{reason}"
        login = f"docker login {self.login_name}"
        wait = retry_after(answer.header("Retry-After"))
        if status in {401, 403}:
            remedy = f"if the image exists, run: {login} (as the user that builds); if not, correct its name"
            return UpstreamUnauthorized(said, remedy, status=status)
        if status == 404:
            remedy = f"correct the name or tag; a private image may look absent until you run: {login}"
            return UpstreamError(said, remedy, status=status)
        if status == 407:
            return UpstreamError(said, "put the proxy's login into HTTP_PROXY in the environment of this command", status=status)
        if status == 429:
            remedy = f"wait, log in for a higher limit ({login}), or use a mirror"
            return TransientError(UpstreamError(said, remedy, status=status), wait, limited=True)
        if status == 408 or status >= 500:
            remedy = "that registry has a problem; run again later, or use a mirror"
            return TransientError(UpstreamError(said, remedy, status=status), wait)
        return UpstreamError(said, "ask the registry's operator", status=status)
