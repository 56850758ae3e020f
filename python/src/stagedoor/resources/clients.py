"""Browsers (and backends) that hold sessions."""

from __future__ import annotations

from stagedoor import models
from stagedoor._http import Call, Http, path


class Clients:
    """Browsers (and backends) that hold sessions."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def get(self, client_id: str) -> models.Client:
        """Reads a client and its active sessions.

        Raises:
            StagedoorError: `resource_not_found`

        `GET /v1/clients/{id}` (GetClient, as at Clerk)

        Example:
            >>> session.id in stagedoor.clients.get(session.client_id).session_ids
            True
        """
        return self._http.send(self._get(client_id))

    async def get_async(self, client_id: str) -> models.Client:
        """As `get`, asynchronously."""
        return await self._http.send_async(self._get(client_id))

    def _get(self, client_id: str) -> Call[models.Client]:
        return Call("GET", path("/v1/clients/{}", client_id), models.Client.model_validate)

    def verify(self, token: str) -> models.Client:
        """Verifies a `__client` cookie, and returns its client.

        Args:
            token: The cookie's value.

        Raises:
            StagedoorError: `authentication_invalid` (the cookie is not of this server, or its client is gone)

        `POST /v1/clients/verify` (VerifyClient, as at Clerk)

        Example:
            >>> try:
            ...     stagedoor.clients.verify("eyJhbGciOi…")
            ... except StagedoorError as error:
            ...     print(error.code)
            authentication_invalid
        """
        return self._http.send(self._verify(token))

    async def verify_async(self, token: str) -> models.Client:
        """As `verify`, asynchronously."""
        return await self._http.send_async(self._verify(token))

    def _verify(self, token: str) -> Call[models.Client]:
        return Call("POST", "/v1/clients/verify", models.Client.model_validate, body={"token": token})

    def get_handshake_payload(self, nonce: str) -> models.HandshakePayload:
        """Exchanges a browser's handshake nonce for the cookies to set, as Clerk's server SDKs do.

        Args:
            nonce: The query parameter `__clerk_handshake_nonce`.

        Raises:
            StagedoorError: `invalid_handshake` (the nonce is unknown or has expired)

        `GET /v1/clients/handshake_payload` (as at Clerk)

        Example:
            >>> try:
            ...     stagedoor.clients.get_handshake_payload("of-nobody")
            ... except StagedoorError as error:
            ...     print(error.code)
            invalid_handshake
        """
        return self._http.send(self._get_handshake_payload(nonce))

    async def get_handshake_payload_async(self, nonce: str) -> models.HandshakePayload:
        """As `get_handshake_payload`, asynchronously."""
        return await self._http.send_async(self._get_handshake_payload(nonce))

    def _get_handshake_payload(self, nonce: str) -> Call[models.HandshakePayload]:
        read = models.HandshakePayload.model_validate
        return Call("GET", "/v1/clients/handshake_payload", read, query={"nonce": nonce})
