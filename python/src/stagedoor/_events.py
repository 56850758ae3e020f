"""Streams of server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import httpx

from stagedoor._http import Call, Http, refusal


class ServerSentEvent(NamedTuple):
    """One event of a stream."""

    event: str
    id: str | None
    data: dict[str, Any]


def follow_stream(http: Http, path: str, query: dict[str, Any], headers: dict[str, str]) -> Iterator[ServerSentEvent]:
    """Yields the events of a stream until the server ends it.

    Raises:
        StagedoorError: `connection_failed` and `timeout`, also later, if the server sends nothing any more
    """
    call, request = _request(http, path, query, headers)
    reader = _Reader()
    try:
        response = http.client().send(request, stream=True, auth=None, follow_redirects=False)
        try:
            if response.headers.get("content-type") != "text/event-stream":
                response.read()
                raise refusal(_what(http, call), response, json_of(response))
            for line in response.iter_lines():
                if (event := reader.read(line)) is not None:
                    yield event
        finally:
            response.close()
    except httpx.RequestError as cause:
        raise http.no_answer(_what(http, call), cause, safe=True) from cause


async def follow_stream_async(
    http: Http, path: str, query: dict[str, Any], headers: dict[str, str]
) -> AsyncIterator[ServerSentEvent]:
    """As `follow_stream`, asynchronously."""
    call, request = _request(http, path, query, headers)
    reader = _Reader()
    try:
        response = await http.async_client().send(request, stream=True, auth=None, follow_redirects=False)
        try:
            if response.headers.get("content-type") != "text/event-stream":
                await response.aread()
                raise refusal(_what(http, call), response, json_of(response))
            async for line in response.aiter_lines():
                if (event := reader.read(line)) is not None:
                    yield event
        finally:
            await response.aclose()
    except httpx.RequestError as cause:
        raise http.no_answer(_what(http, call), cause, safe=True) from cause


def _request(http: Http, path: str, query: dict[str, Any], headers: dict[str, str]) -> tuple[Call[None], httpx.Request]:
    call = Call("GET", path, lambda _: None, query=query)
    return call, http.request(call, {"accept": "text/event-stream", **headers})


def _what(http: Http, call: Call[None]) -> str:
    return f"{call.method} {http.origin}{call.path}"


class _Reader:
    """Parses events (https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation)."""

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}

    def read(self, line: str) -> ServerSentEvent | None:
        if line != "":
            name, _, value = line.partition(":")
            self._fields[name] = value.removeprefix(" ")
            return None
        fields, self._fields = self._fields, {}
        if "event" not in fields or "data" not in fields:
            return None
        return ServerSentEvent(fields["event"], fields.get("id"), json.loads(fields["data"]))


def json_of(response: httpx.Response) -> object:
    """Returns the body of an answer that is read; None if it is not JSON."""
    with suppress(ValueError):
        return response.json()
    return None
