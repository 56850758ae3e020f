"""Verifies session tokens: who is signed in, and who is really acting."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from stagedoor._scopes import Access, limits_of
from stagedoor.keys import ALGORITHMS, JwksSource, KeySet, Pem, RemoteJwks, remote_jwks
from stagedoor.models import Actor, JsonWebKeySet
from stagedoor.token_error import TokenError, TokenErrorReason

__all__ = [
    "Auth",
    "RemoteJwks",
    "TokenError",
    "TokenErrorReason",
    "VerifiedSession",
    "Verifier",
    "remote_jwks",
    "verify_token",
]

_SESSION_TOKEN_CATEGORY = "cl_B7d4PD111AAA"
"""Clerk's category of session tokens: `cat` in the header."""

_REFUSED_HEADERS = ("crit", "b64", "zip", "enc", "jku", "jwk", "x5u", "x5c")
"""Header members that would change the meaning of the signature, or provide a key (RFC 7515 §4.1, RFC 8725 §3.5)."""

_MAX_TOKEN_LENGTH = 8_192
"""Maximum length. Session tokens are a few hundred bytes, or one to two kilobytes with a large actor."""

_MAX_INTEGER = 2**53 - 1


@dataclass(frozen=True)
class Auth:
    """The authentication of a request."""

    user_id: str
    session_id: str | None
    """None only if the session is the app's own and has no id."""
    actor: Actor | None
    """Who is really acting as the user; None in the user's own sessions. Base access decisions only on this outermost
    actor: a nested `act` is history and must not affect access (RFC 8693 §4.1)."""
    claims: Mapping[str, Any]
    """All claims of the token; times are Unix seconds. For a session of the app's own login: the app's own claims."""
    access: Access | None = None
    """What the actor may do: `read`, or `write`, which includes reading. None if there is no actor: users may do in
    their own sessions whatever your app allows them."""
    scopes: tuple[str, ...] | None = None
    """All that the session may do, as scopes of your app. None: unrestricted. Never empty."""

    @property
    def is_acting(self) -> bool:
        """Whether an actor is acting as the user."""
        return self.actor is not None


@dataclass(frozen=True)
class VerifiedSession(Auth):
    """The session of a valid token: an `Auth` that always has a session id."""

    session_id: str


class Verifier:
    """Verifies session tokens: signature, kind, issuer, times and, with `authorized_parties`, the page.

    Use it in servers, because it imports the keys only once; threads may share it. With a key set or a PEM, it sends no
    requests.

    A valid token proves who was signed in when it was minted, at most a minute ago. If the session was revoked since
    then, its next token is refused.

    Args:
        issuer: The expected issuer: exactly the server's STAGEDOOR_PUBLIC_URL.
        jwks: The keys, as a key set or as `remote_jwks(server_url)`.
        public_key: One key as PEM, instead of `jwks`.
        server_url: The server from which to fetch the keys, instead of `jwks=remote_jwks(server_url)`.
        authorized_parties: The pages that a token may be for, as origins: `["https://app.example.com"]`. Set it
            whenever tokens come from browsers. Tokens without a page (those minted with a secret key) are then refused.
        clock_skew_in_seconds: Maximum difference between the clocks, in seconds.
        now: Returns the time, in Unix seconds. Default: `time.time`.

    Raises:
        ValueError: the options are invalid

    RFC 7519 §7.2, RFC 8725, RFC 8693 §4.1

    Example:
        >>> verifier = Verifier(issuer=issuer, server_url=server_url)
        >>> auth = verifier.verify(stagedoor.sessions.get_token(session.id).jwt)
        >>> auth.user_id == user.id, auth.actor.sub
        (True, 'olivia@support')
        >>> try:
        ...     verifier.verify("eyJhbGciOiJSUzI1NiIs…")
        ... except TokenError as error:
        ...     print(f"signed out: {error.reason}")
        signed out: token-malformed
    """

    def __init__(
        self,
        *,
        issuer: str,
        jwks: Mapping[str, Any] | JsonWebKeySet | RemoteJwks | None = None,
        public_key: str | None = None,
        server_url: str | None = None,
        authorized_parties: Sequence[str] | None = None,
        clock_skew_in_seconds: float = 5,
        now: Callable[[], float] = time.time,
    ) -> None:
        if not isinstance(issuer, str) or issuer == "":
            raise ValueError(
                "`issuer` is missing: set it to the STAGEDOOR_PUBLIC_URL of the server whose tokens are accepted."
            )
        # Refuse a string, which is a sequence too, and an empty string, which would accept tokens without a page.
        if authorized_parties is not None and (
            isinstance(authorized_parties, str) or not authorized_parties or "" in authorized_parties
        ):
            raise ValueError(
                "`authorized_parties` names no page: set it to a list of the origins of your app, or omit it."
            )
        if not 0 <= clock_skew_in_seconds <= 300:
            raise ValueError("`clock_skew_in_seconds` must be from 0 to 300.")
        self._issuer = issuer
        self._keys = _source(jwks, public_key, server_url)
        self._parties = None if authorized_parties is None else frozenset(authorized_parties)
        self._skew = clock_skew_in_seconds
        self._now = now

    def verify(self, token: str) -> VerifiedSession:
        """Verifies a token: the `__session` cookie, or the text after `Bearer `. Raises TokenError with a `reason`."""
        header, claims, signed, signature = _decoded(token)
        if any(name in header for name in _REFUSED_HEADERS):
            raise TokenError("token-malformed")
        alg, kid = _key_name(header)
        if header.get("typ") != "JWT" or header.get("cat") != _SESSION_TOKEN_CATEGORY:
            raise TokenError("token-wrong-kind")
        if not self._keys.find(alg, kid).matches(signed, signature):
            raise TokenError("token-invalid-signature")

        # The token is genuine. All required claims must be present; the conditions below also refuse NaN.
        _check_session_claims(claims)
        if claims["iss"] != self._issuer:
            raise TokenError("token-wrong-issuer")
        now = self._now()
        if not now < claims["exp"] + self._skew:
            raise TokenError("token-expired")
        if not (claims["nbf"] <= now + self._skew and claims["iat"] <= now + self._skew):
            raise TokenError("token-not-active-yet")
        if self._parties is not None and claims.get("azp", "") not in self._parties:
            raise TokenError("token-wrong-party")
        if claims.get("sts", "active") != "active":
            raise TokenError("session-not-active")
        actor = Actor.model_validate(claims["act"]) if "act" in claims else None
        access, scopes = limits_of(claims)
        return VerifiedSession(
            user_id=claims["sub"],
            session_id=claims["sid"],
            actor=actor,
            claims=claims,
            access=access,
            scopes=scopes,
        )


def verify_token(
    token: str,
    *,
    issuer: str,
    jwks: Mapping[str, Any] | JsonWebKeySet | RemoteJwks | None = None,
    public_key: str | None = None,
    server_url: str | None = None,
    authorized_parties: Sequence[str] | None = None,
    clock_skew_in_seconds: float = 5,
    now: Callable[[], float] = time.time,
) -> VerifiedSession:
    """Verifies one session token, like `Verifier`, for code that cannot keep a verifier.

    A server's keys are still fetched only once; a key set or a PEM is read on each call.

    Args:
        token: The JWT: the `__session` cookie, or the text after `Bearer `.

    All other arguments are those of `Verifier`.

    Raises:
        TokenError: the token is not valid; see its `reason`
        ValueError: the options are invalid

    RFC 7519 §7.2, RFC 8725, RFC 8693 §4.1

    Example:
        >>> jwt = stagedoor.sessions.get_token(session.id).jwt
        >>> auth = verify_token(jwt, issuer=issuer, server_url=server_url)
        >>> auth.session_id == session.id, auth.is_acting
        (True, True)
    """
    verifier = Verifier(
        issuer=issuer,
        jwks=jwks,
        public_key=public_key,
        server_url=server_url,
        authorized_parties=authorized_parties,
        clock_skew_in_seconds=clock_skew_in_seconds,
        now=now,
    )
    return verifier.verify(token)


def _source(
    jwks: Mapping[str, Any] | JsonWebKeySet | RemoteJwks | None, public_key: str | None, server_url: str | None
) -> JwksSource:
    if sum(each is not None for each in (jwks, public_key, server_url)) != 1:
        raise ValueError("Give the keys once: `jwks` (a key set), `public_key` (PEM) or `server_url`.")
    if public_key is not None:
        return Pem(public_key)
    if server_url is not None:
        return remote_jwks(server_url)
    if isinstance(jwks, RemoteJwks):
        return jwks
    return KeySet(jwks.model_dump() if isinstance(jwks, JsonWebKeySet) else jwks)


def _decoded(token: object) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """Splits and decodes a compact JWT (RFC 7519 §7.2). Its parts are not verified yet."""
    if not isinstance(token, str) or len(token) > _MAX_TOKEN_LENGTH:
        raise TokenError("token-malformed")
    parts = token.split(".", 3)
    if len(parts) != 3:
        raise TokenError("token-malformed")
    header, claims, signature = parts
    return _object(header), _object(claims), f"{header}.{claims}".encode(), _bytes(signature)


def _object(part: str) -> dict[str, Any]:
    try:
        value = json.loads(_bytes(part).decode("utf-8"), parse_constant=_refuse)
    # Deep nesting raises RecursionError; a number with thousands of digits raises ValueError.
    except (ValueError, RecursionError) as cause:
        raise TokenError("token-malformed") from cause
    if not isinstance(value, dict):
        raise TokenError("token-malformed")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _bytes(part: str) -> bytes:
    """Decodes base64url. Refuses text that does not encode to the same text again (padding, spaces, unused bits)."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", part) or len(part) % 4 == 1:
        raise TokenError("token-malformed")
    decoded = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != part.encode():
        raise TokenError("token-malformed")
    return decoded


def _key_name(header: Mapping[str, Any]) -> tuple[str, str | None]:
    alg, kid = header.get("alg"), header.get("kid")
    if not isinstance(alg, str) or alg not in ALGORITHMS:
        raise TokenError("token-wrong-algorithm")
    if "kid" in header and (not isinstance(kid, str) or len(kid) > 128):
        raise TokenError("token-malformed")
    return alg, kid


def _check_session_claims(claims: Mapping[str, Any]) -> None:
    named = all(isinstance(claims.get(name), str) and claims[name] != "" for name in ("iss", "sub", "sid"))
    # In Python, `True` is an int.
    timed = all(type(claims.get(name)) is int and 0 <= claims[name] <= _MAX_INTEGER for name in ("exp", "iat", "nbf"))
    if not named or not timed or not isinstance(claims.get("azp", ""), str):
        raise TokenError("token-malformed")
    # Refuse an unreadable actor: the session must not count as the user's own.
    act = claims.get("act")
    if "act" in claims and not (isinstance(act, dict) and isinstance(act.get("sub"), str)):
        raise TokenError("token-malformed")
    # RFC 7519 §4.1.3: refuse a token with an audience, because this verifier is not in it.
    if "aud" in claims:
        raise TokenError("token-wrong-kind")
