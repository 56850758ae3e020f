"""Who is asking: what the helpers for FastAPI, Django and Flask have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from stagedoor.token_error import TokenError
from stagedoor.verify import Auth, Verifier

RefusalCode: TypeAlias = Literal[
    "authentication_invalid", "keys_unavailable", "forbidden_while_acting", "acting_required"
]

SESSION_COOKIE = "__session"

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
"""RFC 9110 §9.2.1: those that ask for no change."""

_REFUSALS: dict[RefusalCode, tuple[int, str, str]] = {
    "authentication_invalid": (401, "Invalid authentication", "There is no session token with this request."),
    "keys_unavailable": (503, "Nobody can be recognised now", "The keys could not be fetched. The token may be valid."),
    "forbidden_while_acting": (
        403,
        "Not while acting",
        "This is for the user alone: nobody may do it who is acting as them.",
    ),
    "acting_required": (403, "Only while acting", "This is for somebody who is acting as a user."),
}


class Refusal(Exception):
    """A request that is not let through, and the answer to it: a body in Clerk's envelope, which says why."""

    status: int
    code: RefusalCode
    reason: str | None
    """Of a request from nobody: `not-signed-in`, or why the token was refused, as `TokenError.reason`."""

    def __init__(self, code: RefusalCode, cause: TokenError | None = None) -> None:
        self.status, self._message, text = _REFUSALS[code]
        self._text = text if cause is None else str(cause)
        self.code = code
        self.reason = cause.reason if cause is not None else "not-signed-in" if self.status == 401 else None
        super().__init__(self._text)

    def body(self) -> dict[str, Any]:
        """`{"errors": [{"code", "message", "long_message", "meta"}]}`"""
        meta = {} if self.reason is None else {"reason": self.reason}
        error = {"code": self.code, "message": self._message, "long_message": self._text, "meta": meta}
        return {"errors": [error]}

    def headers(self) -> dict[str, str]:
        """RFC 9110 §11.6.1: a 401 says how one shows who one is. No cache keeps a refusal."""
        headers = {"Cache-Control": "no-store"}
        if self.status == 503:
            headers["Retry-After"] = "5"
        if self.status == 401:
            # RFC 6750 §3.1: no error is named to who did not try.
            headers["WWW-Authenticate"] = "Bearer" if self.reason == "not-signed-in" else 'Bearer error="invalid_token"'
        return headers


def authenticate(verifier: Verifier, authorization: str | None, cookies: Mapping[str, str]) -> Auth | Refusal:
    """Who is asking: by `Authorization: Bearer …` first, else by the `__session` cookie."""
    scheme, _, credentials = (authorization or "").partition(" ")
    # A token that is shown is the one that counts: a bad one is not made good by a cookie.
    token = credentials.strip() if scheme.lower() == "bearer" else cookies.get(SESSION_COOKIE, "")
    if token == "":
        return Refusal("authentication_invalid")
    try:
        return verifier.verify(token)
    except TokenError as error:
        # That says nothing of the token: it may be good in a moment.
        passing = error.reason == "keys-unavailable"
        return Refusal("keys_unavailable" if passing else "authentication_invalid", error)


def require_user(found: Auth | Refusal) -> Auth:
    """Lets users through, and those who act as them. Raises Refusal."""
    if isinstance(found, Refusal):
        raise found
    return found


def forbid_acting(found: Auth | Refusal) -> Auth:
    """Lets users through, and nobody who acts as one. Raises Refusal."""
    auth = require_user(found)
    if auth.is_acting:
        raise Refusal("forbidden_while_acting")
    return auth


def require_acting(found: Auth | Refusal) -> Auth:
    """Lets those through who act as a user. Raises Refusal."""
    auth = require_user(found)
    if not auth.is_acting:
        raise Refusal("acting_required")
    return auth


def read_only_while_acting(found: Auth | Refusal, method: str) -> Auth:
    """Lets users through, and those who act as one if they only read (GET, HEAD, OPTIONS). Raises Refusal."""
    return require_user(found) if method in _SAFE_METHODS else forbid_acting(found)
