"""The reasons why a token is refused."""

from __future__ import annotations

from typing import Literal, TypeAlias

TokenErrorReason: TypeAlias = Literal[
    "token-malformed",
    "token-wrong-kind",
    "token-wrong-algorithm",
    "key-unknown",
    "keys-unavailable",
    "token-invalid-signature",
    "token-wrong-issuer",
    "token-wrong-party",
    "token-expired",
    "token-not-active-yet",
    "session-not-active",
]

REASONS: dict[TokenErrorReason, str] = {
    "token-malformed": "This is not a session token: it is too long, is not a valid JWT, or lacks a claim that session "
    "tokens have.",
    "token-wrong-kind": "This is a token of another kind. Session tokens come from the browser (`__session`) or from "
    "sessions.get_token.",
    "token-wrong-algorithm": "The algorithm of the token does not match the key. RS256, ES256 and EdDSA are accepted, "
    "each with its own keys.",
    "key-unknown": "None of the keys signed the token: it is from another server, or its key was removed.",
    "keys-unavailable": "The keys that verify the token could not be fetched, or cannot be used; see `__cause__`.",
    "token-invalid-signature": "The signature is not valid: the token was changed, or was signed with another key.",
    "token-wrong-issuer": "Another server issued the token. `issuer` must be exactly the STAGEDOOR_PUBLIC_URL of the "
    "server.",
    "token-wrong-party": "The page of the token (`azp`) is not in `authorized_parties`, or the token has none.",
    "token-expired": "The token has expired. Session tokens are valid for a minute: get a new one.",
    "token-not-active-yet": "The token is not valid yet. Check the clocks of both machines.",
    "session-not-active": "The session is not active.",
}
"""All reasons, with their texts."""


class TokenError(Exception):
    """The token is not valid. Treat the caller as signed out, and log the `reason`."""

    reason: TokenErrorReason

    def __init__(self, reason: TokenErrorReason) -> None:
        super().__init__(REASONS[reason])
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        return TokenError, (self.reason,)
