"""Checks session tokens: who is signed in, and who is really acting."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

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
"""Header members that would change what the signature means, or bring a key along (RFC 7515 §4.1, RFC 8725 §3.5)."""

_MAX_TOKEN_LENGTH = 8_192
"""Session tokens are a few hundred bytes, and a kilobyte or two with a large actor."""

_MAX_INTEGER = 2**53 - 1


@dataclass(frozen=True)
class Auth:
    """Who sent a request."""

    user_id: str
    session_id: str | None
    """None only if the session is the app's own and has no id."""
    actor: Actor | None
    """Who is really acting as the user; None in a session of the user's own. Decide on this, the outermost actor,
    alone: an `act` inside it is history and must not decide access (RFC 8693 §4.1)."""
    claims: Mapping[str, Any]
    """All that the token says. Times are Unix seconds. Of an own session: what the app itself says."""

    @property
    def is_acting(self) -> bool:
        """Whether an actor is acting as the user."""
        return self.actor is not None


@dataclass(frozen=True)
class VerifiedSession(Auth):
    """Who a session token stands for: an `Auth` that always has a session id."""

    session_id: str


class Verifier:
    """Checks session tokens: signature, kind, issuer, times and, if told, the page.

    The keys are read once, so this is the way for a server; threads may share it. Nothing is fetched when the keys are
    given as a key set or as PEM.

    A valid token says who was signed in when it was minted, at most a minute ago; a session revoked since then is
    refused from the next token on.

    Args:
        issuer: Who must have issued it: the server's STAGEDOOR_PUBLIC_URL, letter for letter.
        jwks: The keys, as a key set or as `remote_jwks(server_url)`.
        public_key: Instead: one key, as PEM.
        server_url: Instead: where to fetch the keys, for `jwks=remote_jwks(server_url)`.
        authorized_parties: The pages it may have been made for, as origins: `["https://app.example.com"]`. Give it
            wherever tokens come from browsers. A token that names no page (one minted with a secret key) is then
            refused.
        clock_skew_in_seconds: How far apart the clocks may be.
        now: The time, in Unix seconds: `time.time` unless given.

    Raises:
        ValueError: the options make no sense

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
                "`issuer` is missing: give the STAGEDOOR_PUBLIC_URL of the server whose tokens are accepted."
            )
        # A text has parts too, and an empty one would let in tokens that name no page.
        if authorized_parties is not None and (
            isinstance(authorized_parties, str) or not authorized_parties or "" in authorized_parties
        ):
            raise ValueError(
                "`authorized_parties` names no page: give a list of the origins of your app, or leave it out."
            )
        if not 0 <= clock_skew_in_seconds <= 300:
            raise ValueError("`clock_skew_in_seconds` must be from 0 to 300.")
        self._issuer = issuer
        self._keys = _source(jwks, public_key, server_url)
        self._parties = None if authorized_parties is None else frozenset(authorized_parties)
        self._skew = clock_skew_in_seconds
        self._now = now

    def verify(self, token: str) -> VerifiedSession:
        """Checks a token: the `__session` cookie, or what follows `Bearer `. Raises TokenError, with a `reason`."""
        header, claims, signed, signature = _decoded(token)
        if any(name in header for name in _REFUSED_HEADERS):
            raise TokenError("token-malformed")
        alg, kid = _key_name(header)
        if header.get("typ") != "JWT" or header.get("cat") != _SESSION_TOKEN_CATEGORY:
            raise TokenError("token-wrong-kind")
        if not self._keys.find(alg, kid).matches(signed, signature):
            raise TokenError("token-invalid-signature")

        # From here on the issuer said it. Everything required is required; a comparison with anything odd is a refusal.
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
        return VerifiedSession(user_id=claims["sub"], session_id=claims["sid"], actor=actor, claims=claims)


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
    """Checks one session token: as `Verifier`, for where there is no place to keep one.

    Keys of a server are fetched once all the same; a key set or a PEM is read again each time.

    Args:
        token: The JWT: the `__session` cookie, or what follows `Bearer `.

    The others are those of `Verifier`.

    Raises:
        TokenError: its `reason` says why
        ValueError: the options make no sense

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
    """Takes a compact JWT apart (RFC 7519 §7.2); nothing in it is trusted yet."""
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
    # Deep nesting ends in a RecursionError, a number of thousands of digits in a ValueError.
    except (ValueError, RecursionError) as cause:
        raise TokenError("token-malformed") from cause
    if not isinstance(value, dict):
        raise TokenError("token-malformed")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _bytes(part: str) -> bytes:
    """One text for one value: what does not encode to the same text again (padding, spaces, loose bits) is refused."""
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
    # `True` is an int to Python.
    timed = all(type(claims.get(name)) is int and 0 <= claims[name] <= _MAX_INTEGER for name in ("exp", "iat", "nbf"))
    if not named or not timed or not isinstance(claims.get("azp", ""), str):
        raise TokenError("token-malformed")
    # Never taken for a session of the user's own because its actor cannot be read.
    act = claims.get("act")
    if "act" in claims and not (isinstance(act, dict) and isinstance(act.get("sub"), str)):
        raise TokenError("token-malformed")
    # RFC 7519 §4.1.3: a token for named recipients is refused by anyone who is none of them.
    if "aud" in claims:
        raise TokenError("token-wrong-kind")
