"""One-time grants to sign in as a user, without an actor."""

from __future__ import annotations

from typing import Any, overload

from typing_extensions import Unpack

from stagedoor import models
from stagedoor._http import Call, Http, body_of, given, new_key, path
from stagedoor._with_ticket import with_ticket
from stagedoor.paging import AsyncPage, Listing, Page, read_page, read_page_async


class SignInTokens:
    """One-time grants to sign in as a user, without an actor."""

    def __init__(self, http: Http) -> None:
        self._http = http

    @overload
    def create(
        self,
        request: models.CreateSignInTokenRequestBody | models.CreateSignInTokenRequestBodyTypedDict,
        *,
        idempotency_key: str | None = None,
    ) -> models.CreatedSignInToken: ...
    @overload
    def create(
        self, *, idempotency_key: str | None = None, **fields: Unpack[models.CreateSignInTokenRequestBodyTypedDict]
    ) -> models.CreatedSignInToken: ...
    def create(
        self, request: object = None, *, idempotency_key: str | None = None, **fields: Any
    ) -> models.CreatedSignInToken:
        """Creates a sign-in token. It is like an actor token, but its session is the user's own and has no actor.

        Args:
            request: A `models.CreateSignInTokenRequestBody`, or a dict of the same, or its members by name:
                `user_id`; `expires_in_seconds` (2592000, which is 30 days).
            idempotency_key: Your own key, to retry in another process. Default: a new key per call.

        Raises:
            StagedoorError: `resource_not_found` (no such user), `user_banned`, `user_locked`, `form_param_missing`,
                `form_param_value_invalid`

        `POST /v1/sign_in_tokens` (CreateSignInToken, as at Clerk)

        Example:
            >>> stagedoor.sign_in_tokens.create(user_id=user.id, expires_in_seconds=600).status
            'pending'
        """
        return self._http.send(self._create(request, idempotency_key, fields))

    @overload
    async def create_async(
        self,
        request: models.CreateSignInTokenRequestBody | models.CreateSignInTokenRequestBodyTypedDict,
        *,
        idempotency_key: str | None = None,
    ) -> models.CreatedSignInToken: ...
    @overload
    async def create_async(
        self, *, idempotency_key: str | None = None, **fields: Unpack[models.CreateSignInTokenRequestBodyTypedDict]
    ) -> models.CreatedSignInToken: ...
    async def create_async(
        self, request: object = None, *, idempotency_key: str | None = None, **fields: Any
    ) -> models.CreatedSignInToken:
        """As `create`, asynchronously."""
        return await self._http.send_async(self._create(request, idempotency_key, fields))

    def _create(self, request: object, key: str | None, fields: dict[str, Any]) -> Call[models.CreatedSignInToken]:
        body = body_of(models.CreateSignInTokenRequestBody, request, fields)
        read = with_ticket(models.CreatedSignInToken)
        return Call("POST", "/v1/sign_in_tokens", read, body=body, idempotency_key=new_key(key))

    def list(self, **filters: Unpack[models.GetSignInTokenListQuery]) -> Page[models.SignInToken]:
        """Lists sign-in tokens, newest first, without their tickets.

        Args:
            filters: `status` (`pending`, `accepted`, `revoked`), `user_id`; `limit` 1 to 500 (10),
                `starting_after` (the `next_cursor` of a page) or `offset` (0).

        Raises:
            StagedoorError: `form_param_value_invalid`

        `GET /v1/sign_in_tokens` (Stagedoor only)

        Example:
            >>> created = stagedoor.sign_in_tokens.create(user_id=user.id)
            >>> for token in stagedoor.sign_in_tokens.list(status="pending", user_id=user.id):
            ...     stagedoor.sign_in_tokens.revoke(token.id).status
            'revoked'
        """
        return read_page(self._http, self._list(filters))

    async def list_async(self, **filters: Unpack[models.GetSignInTokenListQuery]) -> AsyncPage[models.SignInToken]:
        """As `list`, asynchronously."""
        return await read_page_async(self._http, self._list(filters))

    def _list(self, filters: models.GetSignInTokenListQuery) -> Listing[models.SignInToken]:
        return Listing("/v1/sign_in_tokens", {**filters}, models.SignInToken.model_validate)

    def revoke(self, sign_in_token_id: str, *, reason: str | None = None) -> models.SignInToken:
        """Revokes a pending sign-in token.

        Args:
            sign_in_token_id: `sit_…`
            reason: For the audit log. At most 500 characters.

        Raises:
            StagedoorError: `sign_in_token_cannot_be_revoked_code` (it is not pending), `resource_not_found`

        `POST /v1/sign_in_tokens/{id}/revoke` (RevokeSignInToken, as at Clerk)

        Example:
            >>> token = stagedoor.sign_in_tokens.create(user_id=user.id)
            >>> stagedoor.sign_in_tokens.revoke(token.id).status
            'revoked'
        """
        return self._http.send(self._revoke(sign_in_token_id, reason))

    async def revoke_async(self, sign_in_token_id: str, *, reason: str | None = None) -> models.SignInToken:
        """As `revoke`, asynchronously."""
        return await self._http.send_async(self._revoke(sign_in_token_id, reason))

    def _revoke(self, sign_in_token_id: str, reason: str | None) -> Call[models.SignInToken]:
        address = path("/v1/sign_in_tokens/{}/revoke", sign_in_token_id)
        return Call("POST", address, models.SignInToken.model_validate, body=given(reason=reason))
