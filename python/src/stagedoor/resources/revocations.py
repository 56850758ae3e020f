"""A live stream of revocations."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx

from stagedoor._http import Call, Http, refusal


@dataclass(frozen=True)
class RevocationEvent:
    """One event of the stream."""

    event: str
    """`session-revoked`, `sessions-revoked-before`, `current` or `heartbeat`."""
    id: str | None
    """Position of this event: pass it as `last_event_id` to resume after it."""
    data: dict[str, Any]
    """For `session-revoked`: `sid`, `sub`, `actor_sub`, `reason`, `at`; for `sessions-revoked-before`: `sub`,
    `actor_sub`, `everything`, `not_before`. Times are Unix milliseconds."""


class Revocations:
    """A live stream of revocations."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def follow(self, *, since: int | None = None, last_event_id: str | None = None) -> Iterator[RevocationEvent]:
        """Follows revocations, for apps that must refuse a revoked token before it expires.

        First come recent revocations, then `current`, then new revocations, and a `heartbeat` every five seconds. The
        iterator ends when the server ends the stream; resume with the last `id`. An event may be sent twice.

        Args:
            since: Start with revocations since this time, in Unix milliseconds. Default: since the oldest session token
                that can still be valid was minted.
            last_event_id: Resume after the event with this `id`.

        Raises:
            StagedoorError: `connection_failed` and `timeout`, also later, if the server sends nothing any more

        `GET /v1/revocations` (Stagedoor only)

        Example:
            >>> _ = stagedoor.sessions.revoke(session.id)
            >>> for event in stagedoor.revocations.follow():
            ...     if event.event == "session-revoked" and event.data["sid"] == session.id:
            ...         break
            >>> event.data["reason"]
            'revoked'
        """
        call, request = self._follow(since, last_event_id)
        reader = _Reader()
        try:
            response = self._http.client().send(request, stream=True, auth=None, follow_redirects=False)
            try:
                if response.headers.get("content-type") != "text/event-stream":
                    response.read()
                    raise refusal(self._what(call), response, _json(response))
                for line in response.iter_lines():
                    if (event := reader.read(line)) is not None:
                        yield event
            finally:
                response.close()
        except httpx.RequestError as cause:
            raise self._http.no_answer(self._what(call), cause, safe=True) from cause

    async def follow_async(
        self, *, since: int | None = None, last_event_id: str | None = None
    ) -> AsyncIterator[RevocationEvent]:
        """As `follow`, asynchronously."""
        call, request = self._follow(since, last_event_id)
        reader = _Reader()
        try:
            response = await self._http.async_client().send(request, stream=True, auth=None, follow_redirects=False)
            try:
                if response.headers.get("content-type") != "text/event-stream":
                    await response.aread()
                    raise refusal(self._what(call), response, _json(response))
                async for line in response.aiter_lines():
                    if (event := reader.read(line)) is not None:
                        yield event
            finally:
                await response.aclose()
        except httpx.RequestError as cause:
            raise self._http.no_answer(self._what(call), cause, safe=True) from cause

    def _follow(self, since: int | None, last_event_id: str | None) -> tuple[Call[None], httpx.Request]:
        call = Call("GET", "/v1/revocations", lambda _: None, query={"since": since})
        headers = {"accept": "text/event-stream"}
        if last_event_id is not None:
            headers["last-event-id"] = last_event_id
        return call, self._http.request(call, headers)

    def _what(self, call: Call[None]) -> str:
        return f"{call.method} {self._http.origin}{call.path}"


class _Reader:
    """Parses events (https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation)."""

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}

    def read(self, line: str) -> RevocationEvent | None:
        if line != "":
            name, _, value = line.partition(":")
            self._fields[name] = value.removeprefix(" ")
            return None
        fields, self._fields = self._fields, {}
        if "event" not in fields or "data" not in fields:
            return None
        return RevocationEvent(fields["event"], fields.get("id"), json.loads(fields["data"]))


def _json(response: httpx.Response) -> object:
    with suppress(ValueError):
        return response.json()
    return None
