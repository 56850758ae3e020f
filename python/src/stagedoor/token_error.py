"""Why a token is refused."""

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
    "token-malformed": "This is not a session token: it is too long, not written as a JWT must be, or lacks what every "
    "session token has.",
    "token-wrong-kind": "This is a token of another kind. Session tokens come from the browser (`__session`) or from "
    "sessions.get_token.",
    "token-wrong-algorithm": "The token is not signed with the algorithm of the key. RS256, ES256 and EdDSA are "
    "accepted, each with its own keys.",
    "key-unknown": "None of the keys has signed the token: it is of another server, or its key has been removed.",
    "keys-unavailable": "The keys to check the token with could not be fetched, or cannot be used; see `__cause__`.",
    "token-invalid-signature": "The signature is not valid: the token was changed, or someone else has made it.",
    "token-wrong-issuer": "Another server issued the token. `issuer` must be the STAGEDOOR_PUBLIC_URL of the server, "
    "letter for letter.",
    "token-wrong-party": "The token was made for another page (`azp`) than those in `authorized_parties`, or for none.",
    "token-expired": "The token has expired. Session tokens live for a minute: get a new one.",
    "token-not-active-yet": "The token is not valid yet. Are the clocks of both machines right?",
    "session-not-active": "The session is not active.",
}
"""What each reason means: the whole list."""


class TokenError(Exception):
    """A token that must not be trusted. Treat the caller as signed out, and log the `reason`."""

    reason: TokenErrorReason

    def __init__(self, reason: TokenErrorReason) -> None:
        super().__init__(REASONS[reason])
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        return TokenError, (self.reason,)
