"""Sends requests and reads answers: the only place that knows the secret key, and the only one that tries again."""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlsplit
from weakref import WeakKeyDictionary

import httpx
from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python

from stagedoor._error_texts import ERROR_TEXTS
from stagedoor.errors import ErrorDetail, StagedoorError, failure
from stagedoor.models import RequestModel

T = TypeVar("T")

_RETRY_WAITS_SECONDS = (0.1, 0.4)
"""Before the second and third attempt; `Retry-After` goes before."""

_HTTP_DATES = (
    r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT",
    r"[A-Z][a-z]{5,8}, [0-9]{2}-[A-Z][a-z]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT",
    r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2} [0-9]{4}",
)
"""The three forms of an HTTP date (RFC 9110 §5.6.7). `email.utils` alone would take more for a date."""

_PASSING = (502, 503, 504)
"""Somebody on the way could not, or not now."""


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, and what makes its answer of the JSON that comes back."""

    method: str
    path: str
    read: Callable[[Any], T]
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    idempotency_key: str | None = None
    """Makes it safe to try again: it is made once, however often it is sent."""


class Http:
    """One server, reached with one secret key; in the calling thread, or asynchronously."""

    def __init__(
        self,
        secret_key: str | None,
        server_url: str | None,
        client: httpx.Client | None,
        async_client: httpx.AsyncClient | None,
        timeout_ms: int,
    ) -> None:
        given_key = secret_key if secret_key is not None else os.environ.get("STAGEDOOR_SECRET_KEY")
        self._secret_key = _checked_key(given_key)
        given_url = server_url if server_url is not None else os.environ.get("STAGEDOOR_SERVER_URL")
        self.origin: str = origin_of("http://127.0.0.1:4100" if given_url is None else given_url)
        self.timeout_ms: int = timeout_ms
        self._given_client = client
        self._given_async_client = async_client
        self._client: httpx.Client | None = None
        self._async_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = WeakKeyDictionary()
        self._making = threading.Lock()

    def send(self, call: Call[T]) -> T:
        """Sends a request, again if that can help. Raises StagedoorError."""
        exchange = self._exchange(call)
        step = next(exchange)
        while True:
            try:
                step = exchange.send(self._perform(step))
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]

    async def send_async(self, call: Call[T]) -> T:
        """As `send`, asynchronously."""
        exchange = self._exchange(call)
        step = next(exchange)
        while True:
            try:
                step = exchange.send(await self._perform_async(step))
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]

    def client(self) -> httpx.Client:
        """The connections of `send`, made when first needed."""
        if self._given_client is not None:
            return self._given_client
        with self._making:
            if self._client is None or self._client.is_closed:
                self._client = httpx.Client()
            return self._client

    def async_client(self) -> httpx.AsyncClient:
        """The connections of `send_async`. Each event loop has its own: none works in another."""
        if self._given_async_client is not None:
            return self._given_async_client
        loop = asyncio.get_running_loop()
        with self._making:
            client = self._async_clients.get(loop)
            if client is None or client.is_closed:
                client = self._async_clients[loop] = httpx.AsyncClient()
            return client

    def close(self) -> None:
        """Closes the connections of `send`, unless they were given."""
        if self._client is not None:
            self._client.close()

    async def close_async(self) -> None:
        """Closes all connections of this event loop, and those of `send`, unless they were given."""
        self.close()
        client = self._async_clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def _perform(self, step: httpx.Request | float) -> httpx.Response | httpx.RequestError | None:
        if not isinstance(step, httpx.Request):
            time.sleep(step)
            return None
        try:
            # A redirect is a wrong server_url, and would turn a POST into a GET.
            return self.client().send(step, auth=None, follow_redirects=False)
        except httpx.RequestError as cause:
            return cause

    async def _perform_async(self, step: httpx.Request | float) -> httpx.Response | httpx.RequestError | None:
        if not isinstance(step, httpx.Request):
            await asyncio.sleep(step)
            return None
        try:
            return await self.async_client().send(step, auth=None, follow_redirects=False)
        except httpx.RequestError as cause:
            return cause

    def _exchange(
        self, call: Call[T]
    ) -> Generator[httpx.Request | float, httpx.Response | httpx.RequestError | None, T]:
        """What is to be done, step by step: a request to send, or seconds to wait. Is told what came of it.

        A GET is tried again, and what is made with an idempotency key; anything else may have been done although its
        answer was lost. What was one request too many (429) was not: that is tried again, whatever it is, if the wait
        is not too long.
        """
        for usual_wait in (*_RETRY_WAITS_SECONDS, None):
            outcome = yield self.request(call)
            assert outcome is not None
            answer = self._read(call, outcome)
            if not isinstance(answer, StagedoorError):
                return answer
            wait = usual_wait if answer.retry_after is None else answer.retry_after
            safe = call.method == "GET" or call.idempotency_key is not None
            lost = answer.code == "connection_failed" or answer.status in _PASSING
            passing = answer.status == 429 or (safe and lost)
            if not passing or usual_wait is None or wait is None or wait * 1_000 > self.timeout_ms:
                raise answer
            yield float(wait)
        raise AssertionError("unreachable")

    def request(self, call: Call[Any], headers: Mapping[str, str] | None = None) -> httpx.Request:
        """The request of a call, with the secret key."""
        given = {
            "authorization": f"Bearer {self._secret_key}",
            "accept": "application/json",
            "user-agent": "stagedoor-sdk-python",
            **({} if call.idempotency_key is None else {"idempotency-key": call.idempotency_key}),
            **({} if call.body is None else {"content-type": "application/json"}),
            **(headers or {}),
        }
        # Built by itself: the headers and cookies of a given client are for other servers.
        return httpx.Request(
            call.method,
            f"{self.origin}{call.path}",
            params=_pairs(call.query),
            headers=given,
            content=None if call.body is None else json.dumps(call.body, allow_nan=False).encode(),
            extensions={"timeout": httpx.Timeout(self.timeout_ms / 1_000).as_dict()},
        )

    def _read(self, call: Call[T], outcome: httpx.Response | httpx.RequestError) -> T | StagedoorError:
        what = f"{call.method} {self.origin}{call.path}"
        if isinstance(outcome, httpx.RequestError):
            return self.no_answer(what, outcome, safe=call.method == "GET" or call.idempotency_key is not None)
        try:
            answer = outcome.json()
        except ValueError:
            answer = None
        if not outcome.is_success or answer is None:
            return refusal(what, outcome, answer)
        try:
            return call.read(answer)
        except (ValidationError, TypeError, KeyError) as cause:
            error = _no_answer_of_ours(what, outcome, "the server and this package may be of different versions.")
            error.__cause__ = cause
            return error

    def no_answer(self, what: str, cause: httpx.RequestError, *, safe: bool) -> StagedoorError:
        """There was no answer, or not in time."""
        if isinstance(cause, httpx.TimeoutException):
            maybe_done = "" if safe else "It may have been done all the same: look before trying again. "
            action = f"{maybe_done}`timeout_ms` says how long to wait."
            error = failure("timeout", f"{what} was not answered within {self.timeout_ms} ms", action)
        else:
            error = failure(
                "connection_failed",
                f"{what} failed: no connection ({cause})",
                f"Is the server running at {self.origin}? `stagedoor dev` starts one. "
                "Give its address as `server_url` or in STAGEDOOR_SERVER_URL.",
            )
        # Its request has the secret key in a header, and tools that collect errors look into causes.
        cause.request = httpx.Request("GET", self.origin)
        error.__cause__ = cause
        return error

    def __repr__(self) -> str:
        return f"<Http {self.origin}>"


def path(template: str, *ids: str) -> str:
    """A path with its ids encoded.

    Example:
        >>> path("/v1/users/{}/ban", "user/1")
        '/v1/users/user%2F1/ban'
    """
    for each in ids:
        # URLs resolve dots even when they are encoded: such an id would name another address.
        if not isinstance(each, str) or each in ("", ".", ".."):
            detail = ErrorDetail(
                "resource_not_found", f"{each!r} is not an id", action="Give the `id` of what is meant."
            )
            raise StagedoorError(404, [detail])
    return template.format(*(quote(each, safe="") for each in ids))


def body_of(model: type[RequestModel], request: object, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON of a request, however it was given. The server says what is wrong with it."""
    if isinstance(request, BaseModel):
        given = request.model_dump(mode="json", exclude_unset=True)
    else:
        given = to_jsonable_python({**(dict(request) if isinstance(request, Mapping) else {}), **fields})
    return {name: value for name, value in given.items() if value is not None or name in model.members_with_none}


def given(**members: Any) -> dict[str, Any] | None:
    """The members that are not None; None if there are none."""
    return {name: value for name, value in members.items() if value is not None} or None


def new_key(key: str | None) -> str:
    """The idempotency key of one call, kept for its retries."""
    return uuid.uuid4().hex if key is None else key


def origin_of(server_url: str) -> str:
    """The address of a server, without `/v1` or a slash at its end. Raises StagedoorError `server_url_invalid`."""
    try:
        url = urlsplit(server_url)
        port = url.port
    except (ValueError, TypeError, AttributeError):
        url, port = urlsplit(""), None
    odd = url.username or url.password or url.query or url.fragment
    if url.scheme not in ("http", "https") or not url.hostname or odd or re.search(r"[\s\\]", server_url):
        raise failure(
            "server_url_invalid",
            "server_url is not the address of a server",
            "Give it like http://127.0.0.1:4100 or https://stagedoor.example.com, without user name, query or "
            "fragment.",
        )
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return f"{url.scheme}://{host}{'' if port is None else f':{port}'}{re.sub(r'/v1$', '', url.path.rstrip('/'))}"


def refusal(what: str, response: httpx.Response, answer: object) -> StagedoorError:
    """The server's refusal, or something else that answered."""
    members = answer if isinstance(answer, dict) else {}
    listed = members.get("errors")
    details = [_detail(each) for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    if not details:
        return _no_answer_of_ours(what, response, "check `server_url`, and any proxy before the server.")
    trace_id = members.get("clerk_trace_id") or response.headers.get("clerk-trace-id")
    return StagedoorError(
        response.status_code,
        details,
        trace_id=trace_id if isinstance(trace_id, str) else None,
        retry_after=_retry_after(response),
    )


def _no_answer_of_ours(what: str, response: httpx.Response, action: str) -> StagedoorError:
    location = response.headers.get("location")
    onward = "" if location is None else f", sending on to {location}"
    detail = ErrorDetail(
        "response_invalid",
        f"{what} answered {response.status_code}{onward}, which is no answer of Stagedoor's",
        action=action[0].upper() + action[1:],
    )
    return StagedoorError(
        response.status_code,
        [detail],
        trace_id=response.headers.get("clerk-trace-id"),
        retry_after=_retry_after(response),
    )


def _retry_after(response: httpx.Response) -> float | None:
    return retry_after_seconds(response.headers.get("retry-after"), time.time())


def retry_after_seconds(header: str | None, now: float) -> float | None:
    """The wait that a `Retry-After` header asks for, in seconds.

    A number of seconds, or the time until an HTTP date (RFC 9110 §10.2.3), never less than 0. None for anything else.

    Example:
        >>> retry_after_seconds("Sun, 06 Nov 1994 08:49:37 GMT", 784111717.0)
        60.0
    """
    text = (header or "").strip()
    if re.fullmatch("[0-9]+", text):
        return float(text)
    if not any(re.fullmatch(form, text) for form in _HTTP_DATES):
        return None
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    # The oldest form names no time zone: it is UTC.
    return max(0.0, (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp() - now)


def _detail(error: Mapping[str, Any]) -> ErrorDetail:
    meta = error.get("meta")
    members = meta if isinstance(meta, dict) else {}
    code = str(error.get("code") or "response_invalid")
    param_name = members.get("param_name")
    said = error.get("long_message") or error.get("message")
    server_message = None if said is None else str(said)
    return ErrorDetail(
        code=code,
        message=_own_text(code, param_name) or server_message or "The request was refused",
        param_name=param_name,
        action=members.get("action"),
        server_message=server_message,
    )


def _own_text(code: str, param_name: object) -> str | None:
    """Our own words for a code whose words on the wire are Clerk's."""
    text = ERROR_TEXTS.get(code)
    if text is None or "{param_name}" not in text:
        return text
    return text.replace("{param_name}", param_name) if isinstance(param_name, str) else None


def _pairs(query: Mapping[str, Any]) -> list[tuple[str, str | int | float | bool | None]]:
    return [
        (name, str(each).lower() if isinstance(each, bool) else str(each))
        for name, value in query.items()
        for each in (value if isinstance(value, (list, tuple)) else [value])
        if each is not None
    ]


def _checked_key(key: str | None) -> str:
    if not key:
        raise failure(
            "secret_key_missing",
            "There is no secret key",
            "Pass `bearer_auth`, the sk_… that `stagedoor keys create` prints (`stagedoor dev` prints one too), "
            "usually from an environment variable.",
        )
    # Checked here because errors about a bad header quote the header.
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        raise failure(
            "secret_key_invalid",
            "The secret key holds a space, a line break or another character no key has",
            "Copy it again, whole and alone.",
        )
    return key
