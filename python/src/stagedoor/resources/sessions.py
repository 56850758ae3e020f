"""Sessions of users, and sessions of actors who act as a user."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, overload

from typing_extensions import Unpack

from stagedoor import models
from stagedoor._http import Call, Http, body_of, given, new_key, path
from stagedoor.errors import StagedoorError
from stagedoor.paging import AsyncPage, Listing, Page, read_page, read_page_async

_OVER = ("authentication_invalid", "resource_not_found")
"""Error codes that mean that the server mints no more tokens for a session."""


class Sessions:
    """Sessions of users, and sessions of actors who act as a user."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self, **filters: Unpack[models.GetSessionListQuery]) -> Page[models.Session]:
        """Lists sessions, newest first.

        Args:
            filters: `user_id`, `client_id`, `actor_sub` (sessions in which this actor acts), `status`; `limit` 1 to 500
                (10); `starting_after`
                (the `next_cursor` of a page) or `offset` (0).

        Raises:
            StagedoorError: `form_param_value_invalid`

        `GET /v1/sessions` (GetSessionList, as at Clerk)

        Example:
            >>> for session in stagedoor.sessions.list(actor_sub="olivia@support", user_id=user.id, status="active"):
            ...     print(session.actor.sub)
            olivia@support
        """
        return read_page(self._http, self._list(filters))

    async def list_async(self, **filters: Unpack[models.GetSessionListQuery]) -> AsyncPage[models.Session]:
        """As `list`, asynchronously."""
        return await read_page_async(self._http, self._list(filters))

    def _list(self, filters: models.GetSessionListQuery) -> Listing[models.Session]:
        return Listing("/v1/sessions", {**filters}, models.Session.model_validate)

    def get(self, session_id: str) -> models.Session:
        """Reads a session.

        Raises:
            StagedoorError: `resource_not_found`

        `GET /v1/sessions/{id}` (GetSession, as at Clerk)

        Example:
            >>> stagedoor.sessions.get(session.id).status
            'active'
        """
        return self._http.send(self._get(session_id))

    async def get_async(self, session_id: str) -> models.Session:
        """As `get`, asynchronously."""
        return await self._http.send_async(self._get(session_id))

    def _get(self, session_id: str) -> Call[models.Session]:
        return Call("GET", path("/v1/sessions/{}", session_id), models.Session.model_validate)

    def revoke(self, session_id: str, *, reason: str | None = None) -> models.Session:
        """Revokes a session: once the server has answered, no new token is minted for it.

        A session that has already ended is returned unchanged.

        Args:
            session_id: `sess_…`
            reason: For the audit log. At most 500 characters.

        Raises:
            StagedoorError: `resource_not_found`

        `POST /v1/sessions/{id}/revoke` (RevokeSession, as at Clerk)

        Example:
            >>> stagedoor.sessions.revoke(session.id, reason="done").status
            'revoked'
        """
        return self._http.send(self._revoke(session_id, reason))

    async def revoke_async(self, session_id: str, *, reason: str | None = None) -> models.Session:
        """As `revoke`, asynchronously."""
        return await self._http.send_async(self._revoke(session_id, reason))

    def _revoke(self, session_id: str, reason: str | None) -> Call[models.Session]:
        address = path("/v1/sessions/{}/revoke", session_id)
        return Call("POST", address, models.Session.model_validate, body=given(reason=reason))

    def revoke_all(
        self,
        request: models.RevokeAllSessionsRequestBody | models.RevokeAllSessionsRequestBodyTypedDict | None = None,
        **fields: Unpack[models.RevokeAllSessionsRequestBodyTypedDict],
    ) -> models.Revocation:
        """The kill switch: revokes all sessions and pending tokens of a user, of an actor, or of the whole server.

        Once the server has answered, no node mints or redeems anything for them, no matter how many there are.

        Args:
            request: A `models.RevokeAllSessionsRequestBody`, or a dict of the same, or its members by name:
                exactly one of `user_id`, `actor_sub`, `everything=True`; `reason` for the audit log.

        Returns:
            `not_before` (Unix ms): everything created up to then is revoked. `complete` is false if some sessions have
            not been marked yet; they are already revoked. `matched` is false if this actor has never had a token or a
            session; `similar_actor_subs` then has actors that differ only in case, white space or Unicode
            normalization.

        Raises:
            StagedoorError: `resource_not_found` (no such user), `form_param_value_invalid`

        `POST /v1/sessions/revoke_all` (Stagedoor only)

        Example:
            >>> stagedoor.sessions.revoke_all(user_id=user.id, reason="laptop stolen").revoked_sessions
            1
        """
        return self._http.send(self._revoke_all(request, fields))

    async def revoke_all_async(
        self,
        request: models.RevokeAllSessionsRequestBody | models.RevokeAllSessionsRequestBodyTypedDict | None = None,
        **fields: Unpack[models.RevokeAllSessionsRequestBodyTypedDict],
    ) -> models.Revocation:
        """As `revoke_all`, asynchronously."""
        return await self._http.send_async(self._revoke_all(request, fields))

    def _revoke_all(
        self, request: object, fields: models.RevokeAllSessionsRequestBodyTypedDict
    ) -> Call[models.Revocation]:
        body = body_of(models.RevokeAllSessionsRequestBody, request, {**fields})
        return Call("POST", "/v1/sessions/revoke_all", models.Revocation.model_validate, body=body)

    @overload
    def create(
        self,
        request: models.CreateSessionRequestBody | models.CreateSessionRequestBodyTypedDict,
        *,
        idempotency_key: str | None = None,
    ) -> models.Session: ...
    @overload
    def create(
        self, *, idempotency_key: str | None = None, **fields: Unpack[models.CreateSessionRequestBodyTypedDict]
    ) -> models.Session: ...
    def create(self, request: object = None, *, idempotency_key: str | None = None, **fields: Any) -> models.Session:
        """Starts a session as the user, without an actor or ticket: for tests, on development instances only.

        Args:
            request: A `models.CreateSessionRequestBody`, or a dict of the same, or its members by name: `user_id`.
            idempotency_key: Your own key, to retry in another process. Default: a new key per call.

        Raises:
            StagedoorError: `development_only`, `resource_not_found`, `user_banned`, `user_locked`

        `POST /v1/sessions` (createSession, as at Clerk)

        Example:
            >>> stagedoor.sessions.create(user_id=user.id).actor is None
            True
        """
        return self._http.send(self._create(request, idempotency_key, fields))

    @overload
    async def create_async(
        self,
        request: models.CreateSessionRequestBody | models.CreateSessionRequestBodyTypedDict,
        *,
        idempotency_key: str | None = None,
    ) -> models.Session: ...
    @overload
    async def create_async(
        self, *, idempotency_key: str | None = None, **fields: Unpack[models.CreateSessionRequestBodyTypedDict]
    ) -> models.Session: ...
    async def create_async(
        self, request: object = None, *, idempotency_key: str | None = None, **fields: Any
    ) -> models.Session:
        """As `create`, asynchronously."""
        return await self._http.send_async(self._create(request, idempotency_key, fields))

    def _create(self, request: object, key: str | None, fields: dict[str, Any]) -> Call[models.Session]:
        body = body_of(models.CreateSessionRequestBody, request, fields)
        read = models.Session.model_validate
        return Call("POST", "/v1/sessions", read, body=body, idempotency_key=new_key(key))

    def is_active(self, session_id: str) -> bool:
        """Returns whether a session is active: not ended, and neither its user nor its actor is banned or locked.

        It does not count as use, so the session still ends at its idle timeout. Use it in a page that polls the
        status, as the banner does. When a person uses the session, call `touch` instead.

        Raises:
            StagedoorError: the status is unknown, for example without a connection; treat the session as ended

        `POST /v1/sessions/{id}/tokens`

        Example:
            >>> stagedoor.sessions.is_active(session.id)
            True
        """
        return _goes_on(lambda: self._http.send(self._get_token(session_id, None, None, counts_as_use=False)))

    async def is_active_async(self, session_id: str) -> bool:
        """As `is_active`, asynchronously."""
        call = self._get_token(session_id, None, None, counts_as_use=False)
        return await _goes_on_async(self._http.send_async(call))

    def touch(self, session_id: str) -> bool:
        """Counts as use of a session, which restarts its idle timeout, and returns whether the session is active.

        If your app keeps its own session, call this on every request that a person sends while acting. `get_token`
        also counts as use; `is_active`, `get` and `list` do not.

        Raises:
            StagedoorError: the status is unknown, for example without a connection; treat the session as ended

        `POST /v1/sessions/{id}/tokens`

        Example:
            >>> stagedoor.sessions.touch(session.id)
            True
        """
        return _goes_on(lambda: self._http.send(self._get_token(session_id, None, None)))

    async def touch_async(self, session_id: str) -> bool:
        """As `touch`, asynchronously."""
        return await _goes_on_async(self._http.send_async(self._get_token(session_id, None, None)))

    def get_token(
        self, session_id: str, template: str | None = None, *, expires_in_seconds: int | None = None
    ) -> models.SessionToken:
        """Mints a session token or, with the name of a JWT template, a token for another service.

        It counts as use of the session. The token has no page (`azp`).

        Args:
            session_id: `sess_…`
            template: The name of a JWT template.
            expires_in_seconds: 60, or the template's `lifetime`, unless given; at least 30, and never past the end
                of the session.

        Raises:
            StagedoorError: `authentication_invalid` (the session has ended), `resource_not_found` (no such session, or
                no such template), `request_invalid` (the token would be too large)

        `POST /v1/sessions/{id}/tokens` (CreateSessionToken, as at Clerk),
        `POST /v1/sessions/{id}/tokens/{template_name}` (CreateSessionTokenFromTemplate, as at Clerk)

        Example:
            >>> jwt = stagedoor.sessions.get_token(session.id, expires_in_seconds=120).jwt
            >>> for_them = stagedoor.sessions.get_token(session.id, template.name).jwt
        """
        return self._http.send(self._get_token(session_id, template, expires_in_seconds))

    async def get_token_async(
        self, session_id: str, template: str | None = None, *, expires_in_seconds: int | None = None
    ) -> models.SessionToken:
        """As `get_token`, asynchronously."""
        return await self._http.send_async(self._get_token(session_id, template, expires_in_seconds))

    def _get_token(
        self,
        session_id: str,
        template: str | None,
        expires_in_seconds: int | None,
        *,
        counts_as_use: bool | None = None,
    ) -> Call[models.SessionToken]:
        tokens = path("/v1/sessions/{}/tokens", session_id)
        address = tokens if template is None else tokens + path("/{}", template)
        body = given(expires_in_seconds=expires_in_seconds, counts_as_use=counts_as_use)
        return Call("POST", address, models.SessionToken.model_validate, body=body)


def _goes_on(mint: Callable[[], object]) -> bool:
    """Whether the server still mints a token for a session."""
    try:
        mint()
    except StagedoorError as error:
        if error.code in _OVER:
            return False
        raise
    return True


async def _goes_on_async(minting: Awaitable[models.SessionToken]) -> bool:
    """As `_goes_on`, asynchronously."""
    try:
        await minting
    except StagedoorError as error:
        if error.code in _OVER:
            return False
        raise
    return True
