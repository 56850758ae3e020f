"""The client."""

from __future__ import annotations

from types import TracebackType

import httpx

from stagedoor._http import Http
from stagedoor.resources.actor_tokens import ActorTokens
from stagedoor.resources.audit import AuditEvents, RefusedRequests
from stagedoor.resources.clients import Clients
from stagedoor.resources.jwks import Jwks
from stagedoor.resources.jwt_templates import JwtTemplates
from stagedoor.resources.revocations import Revocations
from stagedoor.resources.sessions import Sessions
from stagedoor.resources.sign_in_tokens import SignInTokens
from stagedoor.resources.users import Users


class Stagedoor:
    """A client of a Stagedoor server, for backends.

    One class for both ways, as Clerk's Python SDK has it: every method has a twin whose name ends in `_async`. Use
    `with` or `async with` to have its connections closed; it may be shared by threads.

    A request is tried up to three times when there is no connection or the answer is 502, 503 or 504, if it only reads
    or makes something (`create`, with an `Idempotency-Key` of its own, so that it is made once); and whatever it is
    when it was one too many (429). Before that it waits as long as the server asks for. Nothing is ever done twice.

    Args:
        bearer_auth: `sk_…`: what `stagedoor keys create` prints. Keep it on servers. The environment's
            STAGEDOOR_SECRET_KEY unless given.
        server_url: Where the server is, with or without `/v1`. The environment's STAGEDOOR_SERVER_URL, or
            `http://127.0.0.1:4100`, unless given.
        client: Connections of your own, for a proxy, say. They stay open when this is closed.
        async_client: The same for the `_async` methods.
        timeout_ms: How long an attempt may go without hearing from the server, in milliseconds.

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

    actor_tokens: ActorTokens
    sign_in_tokens: SignInTokens
    users: Users
    sessions: Sessions
    revocations: Revocations
    jwt_templates: JwtTemplates
    clients: Clients
    jwks: Jwks
    audit_events: AuditEvents
    refused_requests: RefusedRequests

    def __init__(
        self,
        bearer_auth: str | None = None,
        server_url: str | None = None,
        *,
        client: httpx.Client | None = None,
        async_client: httpx.AsyncClient | None = None,
        timeout_ms: int = 10_000,
    ) -> None:
        http = Http(bearer_auth, server_url, client, async_client, timeout_ms)
        self._http = http
        self.actor_tokens = ActorTokens(http)
        self.sign_in_tokens = SignInTokens(http)
        self.users = Users(http)
        self.sessions = Sessions(http)
        self.revocations = Revocations(http)
        self.jwt_templates = JwtTemplates(http)
        self.clients = Clients(http)
        self.jwks = Jwks(http)
        self.audit_events = AuditEvents(http)
        self.refused_requests = RefusedRequests(http)

    def close(self) -> None:
        """Closes the connections of the methods that are not `_async`."""
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
