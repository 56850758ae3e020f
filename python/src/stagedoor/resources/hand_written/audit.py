"""The method of `AuditEvents` that downloads a file. The class, which is generated, inherits it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
from typing_extensions import Unpack

from stagedoor import models
from stagedoor._events import json_of
from stagedoor._http import Call, Http, refusal


class HandWrittenAuditEvents:
    """The method of `AuditEvents` that downloads a file."""

    _http: Http

    def download(self, **query: Unpack[models.ExportAuditEventsQuery]) -> Iterator[str]:
        """Downloads audit events line by line, newest first: JSON Lines, or CSV whose cells are no formulas.

        It sends as many requests as needed. CSV has one header line. A line break inside a cell of CSV ends a line too.

        Args:
            query: `format` (`jsonl`, `csv`), the filters of `list`, `starting_after` (a `seq`).

        Raises:
            StagedoorError: `form_param_value_invalid`; `connection_failed` and `timeout`, also later

        `GET /v1/audit_events/export` (Stagedoor only)

        Example:
            >>> for line in stagedoor.audit_events.download(format="csv", actor_token_id=token.id):
            ...     print(line.split(",")[3])
            action
            actor_token.create
        """
        cursor = query.get("starting_after")
        is_first = True
        while is_first or cursor is not None:
            call, request = self._export(query, cursor)
            try:
                response = self._http.client().send(request, stream=True, auth=None, follow_redirects=False)
                try:
                    if response.status_code != 200:
                        response.read()
                        raise refusal(self._what(call), response, json_of(response))
                    for number, line in enumerate(response.iter_lines()):
                        if number > 0 or is_first or query.get("format") != "csv":
                            yield line
                finally:
                    response.close()
            except httpx.RequestError as cause:
                raise self._http.no_answer(self._what(call), cause, safe=True) from cause
            cursor = response.headers.get(_CURSOR)
            is_first = False

    async def download_async(self, **query: Unpack[models.ExportAuditEventsQuery]) -> AsyncIterator[str]:
        """As `download`, asynchronously."""
        cursor = query.get("starting_after")
        is_first = True
        while is_first or cursor is not None:
            call, request = self._export(query, cursor)
            try:
                response = await self._http.async_client().send(request, stream=True, auth=None, follow_redirects=False)
                try:
                    if response.status_code != 200:
                        await response.aread()
                        raise refusal(self._what(call), response, json_of(response))
                    number = 0
                    async for line in response.aiter_lines():
                        if number > 0 or is_first or query.get("format") != "csv":
                            yield line
                        number += 1
                finally:
                    await response.aclose()
            except httpx.RequestError as cause:
                raise self._http.no_answer(self._what(call), cause, safe=True) from cause
            cursor = response.headers.get(_CURSOR)
            is_first = False

    def _export(self, query: models.ExportAuditEventsQuery, cursor: str | None) -> tuple[Call[None], httpx.Request]:
        call = Call("GET", "/v1/audit_events/export", lambda _: None, query={**query, "starting_after": cursor})
        return call, self._http.request(call, {"accept": "*/*"})

    def _what(self, call: Call[None]) -> str:
        return f"{call.method} {self._http.origin}{call.path}"


_CURSOR = "stagedoor-next-cursor"
