"""Authenticates requests: the part that the helpers for FastAPI, Django and Flask share."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

from pydantic import ValidationError

from stagedoor._scopes import SAFE_METHODS, Access, Reads, are_scopes, is_scope, only_reads
from stagedoor.models import Actor
from stagedoor.token_error import TokenError
from stagedoor.verify import Auth, Verifier

RefusalCode: TypeAlias = Literal[
    "authentication_invalid", "keys_unavailable", "forbidden_while_acting", "acting_required"
]

SESSION_COOKIE = "__session"

_OVERRIDE_HEADERS = ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")
"""Headers from which frameworks and middlewares read a method override."""

_REFUSALS: dict[RefusalCode, tuple[int, str, str]] = {
    "authentication_invalid": (401, "Invalid authentication", "The request has no session."),
    "keys_unavailable": (
        503,
        "Session tokens cannot be checked now",
        "The app could not fetch the keys that it checks session tokens with. The token may be valid: retry in a few "
        "seconds.",
    ),
    "forbidden_while_acting": (
        403,
        "Not allowed while acting",
        "Only the user can do this, in their own session. You are acting as the user.",
    ),
    "acting_required": (403, "Only while acting", "Only an actor can do this, while acting as a user."),
}


class Refusal(Exception):
    """A request that a guard blocks. It has the answer: a body in Clerk's envelope, which names the reason."""

    status: int
    code: RefusalCode
    reason: str | None
    """For 401 and 503: `not-signed-in`, or the `TokenError.reason` of the refused token."""
    rule: str | None
    """The limit of the session that forbids the request: `read-only`, or `scope`."""

    def __init__(self, code: RefusalCode, cause: TokenError | None = None, rule: str | None = None) -> None:
        self.rule = rule
        self.status, self._message, text = _REFUSALS[code]
        # The text of a 503 is for the HTTP client. The token error is for developers: it mentions `__cause__`.
        self._text = text if cause is None or self.status == 503 else str(cause)
        self.code = code
        self.reason = cause.reason if cause is not None else "not-signed-in" if self.status == 401 else None
        super().__init__(self._text)

    def body(self) -> dict[str, Any]:
        """`{"errors": [{"code", "message", "long_message", "meta"}]}`"""
        known = {"reason": self.reason, "rule": self.rule}
        meta = {name: value for name, value in known.items() if value is not None}
        error = {"code": self.code, "message": self._message, "long_message": self._text, "meta": meta}
        return {"errors": [error]}

    def headers(self) -> dict[str, str]:
        """The headers of the answer: how to authenticate (RFC 9110 §11.6.1), when to retry, and no caching."""
        headers = {"Cache-Control": "no-store"}
        if self.status == 503:
            headers["Retry-After"] = "5"
        if self.status == 401:
            # RFC 6750 §3.1: no error code for a request that has no token.
            headers["WWW-Authenticate"] = "Bearer" if self.reason == "not-signed-in" else 'Bearer error="invalid_token"'
        return headers


@dataclass(frozen=True)
class OwnSession:
    """A session of the app's own login: what an app's `session` function returns.

    Args:
        user_id: The user, by the app's own id.
        session_id: The session, if it has an id.
        actor: Who is really acting as the user: an object with a `sub`. None in the user's own sessions.
        claims: Anything else the app knows about the session.
        access: `session.access` of the accepted token. With an actor and without this: `write`.
        scopes: `session.scopes` of the accepted token. None: unrestricted.

    Example:
        >>> OwnSession(user_id="customer-42", actor={"sub": "olivia@support"}).actor
        {'sub': 'olivia@support'}
    """

    user_id: str
    session_id: str | None = None
    actor: Actor | Mapping[str, Any] | None = None
    """Who is really acting as the user; None in the user's own sessions."""
    claims: Mapping[str, Any] = field(default_factory=dict)
    """Anything else the app knows about the session."""
    access: Access | None = None
    """`session.access` of the accepted token. With an actor and without this: `write`."""
    scopes: Sequence[str] | None = None
    """`session.scopes` of the accepted token. None: unrestricted."""


Told: TypeAlias = OwnSession | Mapping[str, Any] | None
"""The result of an app's `session` function: a session, as an object or a dict; None if no user is signed in."""

Incoming = TypeVar("Incoming")
SessionFunction: TypeAlias = Callable[[Incoming], Told | Awaitable[Told]]


def check_one(verifier: object, session: object) -> None:
    """Raises TypeError unless an app has either a verifier or a session function."""
    if (verifier is None) == (session is None):
        raise TypeError("Give either `verifier`, for session tokens, or `session`, for the app's own sessions.")
    if verifier is not None and not isinstance(verifier, Verifier):
        raise TypeError("`verifier` must be a stagedoor.Verifier: Verifier(issuer=…, server_url=…).")
    if session is not None and not callable(session):
        raise TypeError("`session` must be a function that takes the request and returns an OwnSession or None.")


def by_token(verifier: Verifier, authorization: str | None, cookie: str | None) -> Auth | Refusal:
    """Authenticates a request by its `Authorization` and `Cookie` headers.

    If there is a bearer token, only that counts. Otherwise every `__session` cookie is tried, because a request may
    have several. The first valid one counts, but a session with an actor takes precedence. If none is valid, the first
    one gives the reason.
    """
    scheme, _, credentials = (authorization or "").partition(" ")
    tokens = [credentials.strip()] if scheme.lower() == "bearer" else session_cookies(cookie)
    verified: list[Auth] = []
    refused: list[TokenError] = []
    for token in tokens:
        try:
            verified.append(verifier.verify(token))
        except TokenError as error:
            refused.append(error)
    if verified:
        return next((each for each in verified if each.is_acting), verified[0])
    if not refused:
        return Refusal("authentication_invalid")
    # Without keys it is unknown whether the token is valid.
    temporary = refused[0].reason == "keys-unavailable"
    refusal = Refusal("keys_unavailable" if temporary else "authentication_invalid", refused[0])
    refusal.__cause__ = refused[0]
    return refusal


def session_cookies(header: str | None) -> list[str]:
    """Returns the values of all `__session` cookies, in order, without empty values and duplicates.

    WSGI servers join several `Cookie` headers with commas. The value of a session cookie never has a comma.
    """
    values: dict[str, None] = {}
    for pair in re.split("[;,]", header or ""):
        name, _, value = (part.strip(" \t") for part in pair.partition("="))
        if name == SESSION_COOKIE:
            quoted = len(value) >= 2 and value[0] == value[-1] == '"'
            values[value[1:-1] if quoted else value] = None
    values.pop("", None)
    return list(values)


def by_session(told: object) -> Auth | Refusal:
    """Authenticates a request by the result of the app's `session` function. Raises TypeError if that is invalid."""
    if told is None:
        return Refusal("authentication_invalid")
    if isinstance(told, Mapping) and "user_id" in told and set(told) <= _OWN_SESSION_NAMES:
        told = OwnSession(**told)
    if not isinstance(told, OwnSession):
        raise TypeError(_OWN_SESSION_HINT)
    ids_are_text = _is_id(told.user_id) and (told.session_id is None or _is_id(told.session_id))
    if not ids_are_text or not isinstance(told.claims, Mapping):
        raise TypeError(_OWN_SESSION_HINT)
    # An unreadable limit is an error: the session must not count as unrestricted. An empty list is never a valid limit.
    scopes_are_limits = told.scopes is None or (are_scopes(told.scopes) and len(told.scopes) > 0)
    if told.access not in (None, "read", "write") or not scopes_are_limits:
        raise TypeError(_OWN_SESSION_HINT)
    actor = _actor_of(told.actor)
    if actor is None:
        return Auth(told.user_id, told.session_id, None, told.claims)
    scopes = None if told.scopes is None else tuple(told.scopes)
    return Auth(told.user_id, told.session_id, actor, told.claims, told.access or "write", scopes)


def assert_within_limits(found: Auth | Refusal, methods: Iterable[str], path: str, reads: Reads) -> None:
    """In a session that may only read, blocks methods except GET, HEAD and OPTIONS. Raises Refusal.

    Args:
        found: The authentication of the request.
        methods: All methods as which the request may be handled: see `methods_of`.
        path: The path of the request.
        reads: Tells which other requests only read.
    """
    if isinstance(found, Auth) and found.access == "read" and not only_reads(methods, path, reads):
        raise Refusal("forbidden_while_acting", rule="read-only")


def assert_scope(scope: object) -> None:
    """Raises TypeError if a value cannot be a scope."""
    if not is_scope(scope):
        raise TypeError(f"require_scope: {scope!r} is not a scope. Write 'invoices:send'.")


def require_scope(found: Auth | Refusal, scope: str) -> Auth:
    """Allows users, and actors whose session has the scope or is not limited to scopes. Raises Refusal."""
    auth = require_user(found)
    if auth.scopes is not None and scope not in auth.scopes:
        raise Refusal("forbidden_while_acting", rule="scope")
    return auth


_OWN_SESSION_NAMES = {"user_id", "session_id", "actor", "claims", "access", "scopes"}
_OWN_SESSION_HINT = (
    "`session` must return OwnSession(user_id=…, session_id=…, actor=…, claims=…, access=…, scopes=…) or None: ids are "
    "non-empty strings, an actor has a `sub`, and access and scopes are those of the accepted token. Omit `actor` in "
    "the user's own sessions."
)


def _is_id(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _actor_of(actor: object) -> Actor | None:
    """Reads an actor. An unreadable actor is an error, never None: the session must not count as the user's own."""
    if actor is None or isinstance(actor, Actor):
        return actor
    if not isinstance(actor, Mapping):
        raise TypeError(_OWN_SESSION_HINT)
    try:
        return Actor.model_validate(dict(actor), strict=True)
    except ValidationError as cause:
        raise TypeError(_OWN_SESSION_HINT) from cause


def require_user(found: Auth | Refusal) -> Auth:
    """Allows signed-in requests, with or without an actor. Raises Refusal."""
    if isinstance(found, Refusal):
        raise found
    return found


def forbid_acting(found: Auth | Refusal) -> Auth:
    """Allows users themselves, and blocks actors. Raises Refusal."""
    auth = require_user(found)
    if auth.is_acting:
        raise Refusal("forbidden_while_acting")
    return auth


def require_acting(found: Auth | Refusal) -> Auth:
    """Allows only requests with an actor. Raises Refusal."""
    auth = require_user(found)
    if not auth.is_acting:
        raise Refusal("acting_required")
    return auth


def read_only_while_acting(found: Auth | Refusal, methods: Iterable[str]) -> Auth:
    """Allows users, and actors only if every method is GET, HEAD or OPTIONS. Raises Refusal.

    Args:
        found: The authentication of the request.
        methods: All methods as which the request may be handled: see `methods_of`.
    """
    only_reads = all(method.upper() in SAFE_METHODS for method in methods)
    return require_user(found) if only_reads else forbid_acting(found)


def methods_of(actual: Iterable[str | None], header: Callable[[str], str | None], query: Iterable[str]) -> list[str]:
    """Returns all methods as which a request may be handled, because a middleware may override it after the guard.

    Args:
        actual: The method of the request, and its original one if a middleware has changed it.
        header: Reads a header.
        query: The values of `_method` in the query.
    """
    overridden = [*(header(name) or "" for name in _OVERRIDE_HEADERS), *query]
    named = [each.strip() for text in overridden for each in text.split(",")]
    return [*(each or "" for each in actual), *filter(None, named)]
