"""The public keys that verify session tokens."""

from __future__ import annotations

from stagedoor import models
from stagedoor._http import Call, Http


class Jwks:
    """The public keys that verify session tokens."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def get(self) -> models.JsonWebKeySet:
        """Reads the public keys as a key set (RFC 7517).

        To verify tokens, prefer `server_url` of `verify_token`, which needs no secret key and handles key rotation.

        Raises:
            StagedoorError: `clerk_key_invalid`

        `GET /v1/jwks` (GetJWKS, as at Clerk)

        Example:
            >>> {key.alg for key in stagedoor.jwks.get().keys}
            {'RS256'}
        """
        return self._http.send(self._get())

    async def get_async(self) -> models.JsonWebKeySet:
        """As `get`, asynchronously."""
        return await self._http.send_async(self._get())

    def _get(self) -> Call[models.JsonWebKeySet]:
        return Call("GET", "/v1/jwks", models.JsonWebKeySet.model_validate)
