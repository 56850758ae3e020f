"""The audit log: what was done or refused, by whom, and as which user."""

from __future__ import annotations

from typing_extensions import Unpack

from stagedoor import models
from stagedoor._http import Http
from stagedoor.paging import AsyncPage, Listing, Page, read_page, read_page_async


class AuditEvents:
    """The audit log: what was done or refused, by whom, and as which user."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self, **filters: Unpack[models.GetAuditEventListQuery]) -> Page[models.AuditEvent]:
        """Reads the audit log, newest first. Iterate over the page to get all events.

        Args:
            filters: `action`, `outcome` (`done`, `refused`), `code`, `user_id`, `session_id`, `actor_token_id`, `actor_sub`,
                `principal_id`, `trace_id`; `after` and `before` in Unix milliseconds; `before_seq`; `limit` 1 to 500
                (10); `starting_after` (the `next_cursor` of a page) or `offset` (0).

        Raises:
            StagedoorError: `form_param_value_invalid`

        `GET /v1/audit_events` (Stagedoor only)

        Example:
            >>> [event.action for event in stagedoor.audit_events.list(actor_token_id=token.id)]
            ['actor_token.create']
        """
        return read_page(self._http, self._list(filters))

    async def list_async(self, **filters: Unpack[models.GetAuditEventListQuery]) -> AsyncPage[models.AuditEvent]:
        """As `list`, asynchronously."""
        return await read_page_async(self._http, self._list(filters))

    def _list(self, filters: models.GetAuditEventListQuery) -> Listing[models.AuditEvent]:
        return Listing("/v1/audit_events", {**filters}, models.AuditEvent.model_validate)


class RefusedRequests:
    """Refused requests that named nothing known to the server. They are counted, not stored one by one."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self, **filters: Unpack[models.GetRefusedRequestsListQuery]) -> Page[models.RefusedRequests]:
        """Counts refused requests per minute, address and code, newest minute first.

        Args:
            filters: `limit` 1 to 500 (10); `starting_after` (the `next_cursor` of a page) or `offset` (0).

        Raises:
            StagedoorError: `form_param_value_invalid`

        `GET /v1/refused_requests` (Stagedoor only)

        Example:
            >>> all(entry.count > 0 for entry in stagedoor.refused_requests.list(limit=100))
            True
        """
        return read_page(self._http, self._list(filters))

    async def list_async(
        self, **filters: Unpack[models.GetRefusedRequestsListQuery]
    ) -> AsyncPage[models.RefusedRequests]:
        """As `list`, asynchronously."""
        return await read_page_async(self._http, self._list(filters))

    def _list(self, filters: models.GetRefusedRequestsListQuery) -> Listing[models.RefusedRequests]:
        return Listing("/v1/refused_requests", {**filters}, models.RefusedRequests.model_validate)
