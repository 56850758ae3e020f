"""One-time grants to act as a user."""

from __future__ import annotations

from typing import Any, overload

from typing_extensions import Unpack

from stagedoor import models
from stagedoor._http import Call, Http, body_of, given, new_key, path
from stagedoor._with_ticket import with_ticket
from stagedoor.paging import AsyncPage, Listing, Page, read_page, read_page_async


class ActorTokens:
    """One-time grants to act as a user."""

    def __init__(self, http: Http) -> None:
        self._http = http

    @overload
    def create(
        self,
        request: models.CreateActorTokenRequestBody | models.CreateActorTokenRequestBodyTypedDict,
        *,
        idempotency_key: str | None = None,
    ) -> models.CreatedActorToken: ...
    @overload
    def create(
        self, *, idempotency_key: str | None = None, **fields: Unpack[models.CreateActorTokenRequestBodyTypedDict]
    ) -> models.CreatedActorToken: ...
    def create(
        self, request: object = None, *, idempotency_key: str | None = None, **fields: Any
    ) -> models.CreatedActorToken:
        """Creates an actor token: a one-time grant to act as a user.

        Its `token` (the ticket) is redeemed once, in a browser by opening `url` or in a backend with `accept`. Only
        this answer has the ticket and the URL.

        Args:
            request: A `models.CreateActorTokenRequestBody`, or a dict of the same, or its members by name:
                `user_id`; `actor`, any JSON object with a string `sub`; seconds in `expires_in_seconds` (3600) and
                `session_max_duration_in_seconds` (1800); `reason` for the audit log.
            idempotency_key: Your own key, to retry in another process. Default: a new key per call.

        Raises:
            StagedoorError: `resource_not_found` (no such user), `user_banned`, `user_locked`, `actor_banned`,
                `form_param_missing`, `form_param_value_invalid`, `form_param_type_invalid`; `ticket_unavailable` (your
                idempotency key created it before, and it has been redeemed or revoked since)

        `POST /v1/actor_tokens` (CreateActorToken, as at Clerk)

        Example:
            >>> request = models.CreateActorTokenRequestBody(
            ...     user_id=user.id,
            ...     actor=models.CreateActorTokenActor(sub="olivia@support"),
            ...     expires_in_seconds=600,
            ...     session_max_duration_in_seconds=900,
            ... )
            >>> stagedoor.actor_tokens.create(request=request).status
            'pending'
            >>> stagedoor.actor_tokens.create(user_id=user.id, actor={"sub": "olivia@support", "team": 7}).actor
            Actor(sub='olivia@support', team=7)
        """
        return self._http.send(self._create(request, idempotency_key, fields))

    @overload
    async def create_async(
        self,
        request: models.CreateActorTokenRequestBody | models.CreateActorTokenRequestBodyTypedDict,
        *,
        idempotency_key: str | None = None,
    ) -> models.CreatedActorToken: ...
    @overload
    async def create_async(
        self, *, idempotency_key: str | None = None, **fields: Unpack[models.CreateActorTokenRequestBodyTypedDict]
    ) -> models.CreatedActorToken: ...
    async def create_async(
        self, request: object = None, *, idempotency_key: str | None = None, **fields: Any
    ) -> models.CreatedActorToken:
        """As `create`, asynchronously."""
        return await self._http.send_async(self._create(request, idempotency_key, fields))

    def _create(self, request: object, key: str | None, fields: dict[str, Any]) -> Call[models.CreatedActorToken]:
        body = body_of(models.CreateActorTokenRequestBody, request, fields)
        read = with_ticket(models.CreatedActorToken)
        return Call("POST", "/v1/actor_tokens", read, body=body, idempotency_key=new_key(key))

    def list(self, **filters: Unpack[models.GetActorTokenListQuery]) -> Page[models.ActorToken]:
        """Lists actor tokens, newest first, without their tickets.

        Args:
            filters: `status` (`pending`, `accepted`, `revoked`), `user_id`, `actor_sub`; `limit` 1 to 500 (10);
                `starting_after` (the `next_cursor` of a page) or `offset` (0).

        Raises:
            StagedoorError: `form_param_value_invalid`

        `GET /v1/actor_tokens` (Stagedoor only)

        Example:
            >>> for token in stagedoor.actor_tokens.list(status="pending", user_id=user.id):
            ...     print(token.actor.sub)
            olivia@support
        """
        return read_page(self._http, self._list(filters))

    async def list_async(self, **filters: Unpack[models.GetActorTokenListQuery]) -> AsyncPage[models.ActorToken]:
        """As `list`, asynchronously."""
        return await read_page_async(self._http, self._list(filters))

    def _list(self, filters: models.GetActorTokenListQuery) -> Listing[models.ActorToken]:
        return Listing("/v1/actor_tokens", {**filters}, models.ActorToken.model_validate)

    def get(self, actor_token_id: str) -> models.ActorToken:
        """Reads an actor token, without its ticket.

        Raises:
            StagedoorError: `resource_not_found`

        `GET /v1/actor_tokens/{id}` (Stagedoor only)

        Example:
            >>> stagedoor.actor_tokens.get(token.id).status
            'pending'
        """
        return self._http.send(self._get(actor_token_id))

    async def get_async(self, actor_token_id: str) -> models.ActorToken:
        """As `get`, asynchronously."""
        return await self._http.send_async(self._get(actor_token_id))

    def _get(self, actor_token_id: str) -> Call[models.ActorToken]:
        return Call("GET", path("/v1/actor_tokens/{}", actor_token_id), models.ActorToken.model_validate)

    def revoke(self, actor_token_id: str, *, reason: str | None = None) -> models.ActorToken:
        """Revokes a pending actor token. If it was already redeemed, revoke its session with `sessions.revoke`.

        Args:
            actor_token_id: `act_…`
            reason: For the audit log. At most 500 characters.

        Raises:
            StagedoorError: `actor_token_cannot_be_revoked_code` (it is not pending), `resource_not_found`

        `POST /v1/actor_tokens/{id}/revoke` (RevokeActorToken, as at Clerk)

        Example:
            >>> stagedoor.actor_tokens.revoke(token.id, reason="no longer needed").status
            'revoked'
        """
        return self._http.send(self._revoke(actor_token_id, reason))

    async def revoke_async(self, actor_token_id: str, *, reason: str | None = None) -> models.ActorToken:
        """As `revoke`, asynchronously."""
        return await self._http.send_async(self._revoke(actor_token_id, reason))

    def _revoke(self, actor_token_id: str, reason: str | None) -> Call[models.ActorToken]:
        address = path("/v1/actor_tokens/{}/revoke", actor_token_id)
        return Call("POST", address, models.ActorToken.model_validate, body=given(reason=reason))

    def accept(
        self, ticket: str, *, actor_sub: str | None = None, idempotency_key: str | None = None
    ) -> models.AcceptedActorToken:
        """Redeems a ticket in a backend, without a browser: for apps that keep their own login.

        A ticket can be redeemed once. If an answer is lost, the client repeats the request with the same key.

        Args:
            ticket: An actor token's `token`.
            actor_sub: The actor you expect: the person who is signed in to your app. A ticket for another actor is
                refused, and stays pending.
            idempotency_key: Your own key, to repeat a redemption in another process. Default: a new key per call.

        Returns:
            The session that has begun, and its first session token (60 seconds; more with `sessions.get_token`).

        Raises:
            StagedoorError: `ticket_invalid_code`, `ticket_expired_code`, `actor_token_already_used_code`,
                `actor_token_revoked_code`, `actor_token_subject_not_found`, `user_banned`, `user_locked`,
                `actor_banned`, `actor_mismatch` (the ticket is for a different actor)

        `POST /v1/actor_tokens/accept` (Stagedoor only)

        Example:
            >>> accepted = stagedoor.actor_tokens.accept(token.token, actor_sub="olivia@support")
            >>> accepted.session.actor.sub
            'olivia@support'
            >>> accepted.session.user_id == accepted.user.id
            True
        """
        return self._http.send(self._accept(ticket, actor_sub, idempotency_key))

    async def accept_async(
        self, ticket: str, *, actor_sub: str | None = None, idempotency_key: str | None = None
    ) -> models.AcceptedActorToken:
        """As `accept`, asynchronously."""
        return await self._http.send_async(self._accept(ticket, actor_sub, idempotency_key))

    def _accept(self, ticket: str, actor_sub: str | None, key: str | None) -> Call[models.AcceptedActorToken]:
        read = models.AcceptedActorToken.model_validate
        body = given(ticket=ticket, actor_sub=actor_sub)
        return Call("POST", "/v1/actor_tokens/accept", read, body=body, idempotency_key=new_key(key))
