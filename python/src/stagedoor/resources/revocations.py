"""A live stream of revocations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from stagedoor._events import follow_stream, follow_stream_async
from stagedoor._http import Http


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
        for event in follow_stream(self._http, _PATH, {"since": since}, _headers(last_event_id)):
            yield RevocationEvent(*event)

    async def follow_async(
        self, *, since: int | None = None, last_event_id: str | None = None
    ) -> AsyncIterator[RevocationEvent]:
        """As `follow`, asynchronously."""
        async for event in follow_stream_async(self._http, _PATH, {"since": since}, _headers(last_event_id)):
            yield RevocationEvent(*event)


_PATH = "/v1/revocations"


def _headers(last_event_id: str | None) -> dict[str, str]:
    return {} if last_event_id is None else {"last-event-id": last_event_id}
