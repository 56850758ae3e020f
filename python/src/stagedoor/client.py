"""The client."""

from __future__ import annotations

from types import TracebackType

import httpx

from stagedoor._http import Http
from stagedoor.resources._all import Resources


class Stagedoor(Resources):
    """Client of a Stagedoor server, for backends.

    One class is both synchronous and asynchronous, as in Clerk's Python SDK: every method has a counterpart whose name
    ends in `_async`. Use `with` or `async with` to close its connections. Threads may share it.

    The client retries requests that read, and requests that create something (`create`, with an `Idempotency-Key` per
    call): up to three attempts if there is no connection or the answer is 502, 503 or 504, after the wait in
    `Retry-After`. It also retries any request after 429. It retries nothing else, so no change is made twice.

    Args:
        bearer_auth: `sk_…`, as `stagedoor keys create` prints it. Keep it on servers. Default: the environment's
            STAGEDOOR_SECRET_KEY.
        server_url: URL of the server, with or without `/v1`. Default: the environment's STAGEDOOR_SERVER_URL, or
            `http://127.0.0.1:4100`.
        client: Your own HTTP client, for example for a proxy. It stays open when this client is closed.
        async_client: The same for the `_async` methods.
        timeout_ms: Maximum time without data from the server in one attempt, in milliseconds.

    Raises:
        StagedoorError: `secret_key_missing`, `secret_key_invalid`, `server_url_invalid`

    Example:
        >>> # With STAGEDOOR_SERVER_URL and STAGEDOOR_SECRET_KEY in the environment.
        >>> with Stagedoor() as stagedoor:
        ...     token = stagedoor.actor_tokens.create(user_id=user.id, actor={"sub": "olivia@support"})
        >>> token.status
        'pending'
        >>> async def main() -> None:
        ...     async with Stagedoor() as stagedoor:
        ...         await stagedoor.actor_tokens.revoke_async(token.id)
        >>> asyncio.run(main())
    """

    def __init__(
        self,
        bearer_auth: str | None = None,
        server_url: str | None = None,
        *,
        client: httpx.Client | None = None,
        async_client: httpx.AsyncClient | None = None,
        timeout_ms: int = 10_000,
    ) -> None:
        super().__init__(Http(bearer_auth, server_url, client, async_client, timeout_ms))

    def close(self) -> None:
        """Closes the connections of the synchronous methods."""
        self._http.close()

    async def close_async(self) -> None:
        """Closes all connections."""
        await self._http.close_async()

    def __enter__(self) -> Stagedoor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Stagedoor:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close_async()

    def __repr__(self) -> str:
        return f"<Stagedoor {self._http.origin}>"
