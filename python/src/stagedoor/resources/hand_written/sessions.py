"""Methods of `Sessions` that mint tokens. The class, which is generated, inherits them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from stagedoor import models
from stagedoor._http import Call, Http, given, path
from stagedoor.errors import StagedoorError

_UNDERSTANDS = ("scope",)
"""For requests whose token is not used."""

_OVER = ("authentication_invalid", "resource_not_found")
"""Error codes that mean that the server mints no more tokens for a session."""


class HandWrittenSessions:
    """Methods of `Sessions` that mint tokens."""

    _http: Http

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
        return _can_mint(
            lambda: self._http.send(self._get_token(session_id, None, None, _UNDERSTANDS, counts_as_use=False))
        )

    async def is_active_async(self, session_id: str) -> bool:
        """As `is_active`, asynchronously."""
        call = self._get_token(session_id, None, None, _UNDERSTANDS, counts_as_use=False)
        return await _can_mint_async(self._http.send_async(call))

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
        return _can_mint(lambda: self._http.send(self._get_token(session_id, None, None, _UNDERSTANDS)))

    async def touch_async(self, session_id: str) -> bool:
        """As `touch`, asynchronously."""
        return await _can_mint_async(self._http.send_async(self._get_token(session_id, None, None, _UNDERSTANDS)))

    def get_token(
        self,
        session_id: str,
        template: str | None = None,
        *,
        expires_in_seconds: int | None = None,
        understands: Sequence[str] | None = None,
    ) -> models.SessionToken:
        """Mints a session token or, with the name of a JWT template, a token for another service.

        It counts as use of the session. The token has no page (`azp`).

        Args:
            session_id: `sess_…`
            template: The name of a JWT template.
            expires_in_seconds: 60, or the template's `lifetime`, unless given; at least 30, and never past the end
                of the session.
            understands: `["scope"]` if your app enforces the access and the scopes of the session. A limited session
                needs it.

        Raises:
            StagedoorError: `authentication_invalid` (the session has ended), `resource_not_found` (no such session, or
                no such template), `request_invalid` (the token would be too large), `scope_not_understood` (the
                session is limited, and you did not send `understands`, or the template drops the scope)

        `POST /v1/sessions/{id}/tokens` (CreateSessionToken, as at Clerk),
        `POST /v1/sessions/{id}/tokens/{template_name}` (CreateSessionTokenFromTemplate, as at Clerk)

        Example:
            >>> jwt = stagedoor.sessions.get_token(session.id, expires_in_seconds=120).jwt
            >>> for_them = stagedoor.sessions.get_token(session.id, template.name).jwt
        """
        return self._http.send(self._get_token(session_id, template, expires_in_seconds, understands))

    async def get_token_async(
        self,
        session_id: str,
        template: str | None = None,
        *,
        expires_in_seconds: int | None = None,
        understands: Sequence[str] | None = None,
    ) -> models.SessionToken:
        """As `get_token`, asynchronously."""
        return await self._http.send_async(self._get_token(session_id, template, expires_in_seconds, understands))

    def _get_token(
        self,
        session_id: str,
        template: str | None,
        expires_in_seconds: int | None,
        understands: Sequence[str] | None,
        *,
        counts_as_use: bool | None = None,
    ) -> Call[models.SessionToken]:
        tokens = path("/v1/sessions/{}/tokens", session_id)
        address = tokens if template is None else tokens + path("/{}", template)
        body = given(expires_in_seconds=expires_in_seconds, counts_as_use=counts_as_use, understands=understands)
        return Call("POST", address, models.SessionToken.model_validate, body=body)


def _can_mint(mint: Callable[[], object]) -> bool:
    """Returns whether the server still mints a token for a session."""
    try:
        mint()
    except StagedoorError as error:
        if error.code in _OVER:
            return False
        raise
    return True


async def _can_mint_async(minting: Awaitable[models.SessionToken]) -> bool:
    """As `_can_mint`, asynchronously."""
    try:
        await minting
    except StagedoorError as error:
        if error.code in _OVER:
            return False
        raise
    return True
