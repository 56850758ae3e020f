"""The method of `Acting` that follows a stream. The class, which is generated, inherits it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from stagedoor import models
from stagedoor._events import ServerSentEvent, follow_stream, follow_stream_async
from stagedoor._http import Http


@dataclass(frozen=True)
class ActingEvent:
    """One event of the stream."""

    event: str
    """`ready`, `begun`, `changed`, `ended` or `heartbeat`."""
    data: dict[str, Any]
    """For `ended`: `session_id`, `status`, `ended_at`; for `ready` and `heartbeat`: `at`. Times are Unix
    milliseconds."""
    acting: models.Acting | None
    """For `begun` and `changed`: the session."""


class HandWrittenActing:
    """The method of `Acting` that follows a stream."""

    _http: Http

    def follow(self) -> Iterator[ActingEvent]:
        """Follows who is acting until the connection ends.

        First comes `ready`, then `begun`, `changed` and `ended`, and a `heartbeat` every five seconds. Read `list`
        after `ready`, and apply later events to that list. An event may be sent twice. After an interruption, follow
        again.

        Raises:
            StagedoorError: `too_many_streams`; `connection_failed` and `timeout`, also later

        `GET /v1/acting/stream` (Stagedoor only)

        Example:
            >>> for event in stagedoor.acting.follow():
            ...     if event.event == "ready":
            ...         _ = stagedoor.sessions.revoke(session.id)
            ...     if event.event == "ended":
            ...         break
            >>> event.data["status"]
            'revoked'
        """
        for event in follow_stream(self._http, _PATH, {}, {}):
            yield _event(event)

    async def follow_async(self) -> AsyncIterator[ActingEvent]:
        """As `follow`, asynchronously."""
        async for event in follow_stream_async(self._http, _PATH, {}, {}):
            yield _event(event)


_PATH = "/v1/acting/stream"


def _event(event: ServerSentEvent) -> ActingEvent:
    acting = models.Acting.model_validate(event.data) if event.event in ("begun", "changed") else None
    return ActingEvent(event.event, event.data, acting)
