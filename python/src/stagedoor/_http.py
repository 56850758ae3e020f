"""Sends requests and reads answers. Only this module knows the secret key, and only this module retries."""

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
"""Default waits before the second and third attempt. `Retry-After` takes precedence."""

_HTTP_DATES = (
    r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT",
    r"[A-Z][a-z]{5,8}, [0-9]{2}-[A-Z][a-z]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT",
    r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2} [0-9]{4}",
)
"""The three forms of an HTTP date (RFC 9110 §5.6.7). `email.utils` alone would accept more."""

_PASSING = (502, 503, 504)
"""Temporary failures of the server or a proxy."""


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, and the function that reads its JSON answer."""

    method: str
    path: str
    read: Callable[[Any], T]
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    idempotency_key: str | None = None
    """Makes the request safe to retry: retries create nothing more."""


class Http:
    """Sends requests to one server with one secret key, synchronously or asynchronously."""

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
        """Sends a request, and retries it if that is safe. Raises StagedoorError."""
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
        """Returns the HTTP client of `send`, which is created when first needed."""
        if self._given_client is not None:
            return self._given_client
        with self._making:
            if self._client is None or self._client.is_closed:
                self._client = httpx.Client()
            return self._client

    def async_client(self) -> httpx.AsyncClient:
        """Returns the HTTP client of `send_async`. Each event loop has its own, because a client works only in one."""
        if self._given_async_client is not None:
            return self._given_async_client
        loop = asyncio.get_running_loop()
        with self._making:
            client = self._async_clients.get(loop)
            if client is None or client.is_closed:
                client = self._async_clients[loop] = httpx.AsyncClient()
            return client

    def close(self) -> None:
        """Closes the HTTP client of `send`, unless the caller provided it."""
        if self._client is not None:
            self._client.close()

    async def close_async(self) -> None:
        """Closes the HTTP clients of this event loop and of `send`, unless the caller provided them."""
        self.close()
        client = self._async_clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def _perform(self, step: httpx.Request | float) -> httpx.Response | httpx.RequestError | None:
        if not isinstance(step, httpx.Request):
            time.sleep(step)
            return None
        try:
            # A redirect means that server_url is wrong. Following it would turn a POST into a GET.
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
        """Yields steps: a request to send, or seconds to wait. The caller sends the outcome of each step back.

        Retries a GET, a PUT, and a creation with an idempotency key. Other requests may have been processed although
        the answer was lost. A request that was answered 429 was not processed, so it is always retried, unless the
        requested wait is longer than the timeout.
        """
        for usual_wait in (*_RETRY_WAITS_SECONDS, None):
            outcome = yield self.request(call)
            assert outcome is not None
            answer = self._read(call, outcome)
            if not isinstance(answer, StagedoorError):
                return answer
            wait = usual_wait if answer.retry_after is None else answer.retry_after
            safe = call.method in ("GET", "PUT") or call.idempotency_key is not None
            lost = answer.code == "connection_failed" or answer.status in _PASSING
            passing = answer.status == 429 or (safe and lost)
            if not passing or usual_wait is None or wait is None or wait * 1_000 > self.timeout_ms:
                raise answer
            yield float(wait)
        raise AssertionError("unreachable")

    def request(self, call: Call[Any], headers: Mapping[str, str] | None = None) -> httpx.Request:
        """Builds the HTTP request of a call, with the secret key."""
        given = {
            "authorization": f"Bearer {self._secret_key}",
            "accept": "application/json",
            "user-agent": "stagedoor-sdk-python",
            **({} if call.idempotency_key is None else {"idempotency-key": call.idempotency_key}),
            **({} if call.body is None else {"content-type": "application/json"}),
            **(headers or {}),
        }
        # Do not use the headers and cookies of the caller's HTTP client: they are for other servers.
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
            return self.no_answer(what, outcome, safe=call.method in ("GET", "PUT") or call.idempotency_key is not None)
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
        """Creates the error for a request without an answer, or with one that was too late."""
        if isinstance(cause, httpx.TimeoutException):
            maybe_done = "" if safe else "The request may have been processed: check before you try again. "
            action = f"{maybe_done}`timeout_ms` sets the timeout."
            error = failure("timeout", f"{what} was not answered within {self.timeout_ms} ms", action)
        else:
            error = failure(
                "connection_failed",
                f"{what} failed: no connection ({cause})",
                f"Is the server running at {self.origin}? `stagedoor dev` starts one. "
                "Set its URL with `server_url` or STAGEDOOR_SERVER_URL.",
            )
        # The cause's request has the secret key in a header, and tools that collect errors read causes.
        cause.request = httpx.Request("GET", self.origin)
        error.__cause__ = cause
        return error

    def __repr__(self) -> str:
        return f"<Http {self.origin}>"


def path(template: str, *ids: str) -> str:
    """Builds a path, and encodes the ids in it.

    Example:
        >>> path("/v1/users/{}/ban", "user/1")
        '/v1/users/user%2F1/ban'
    """
    for each in ids:
        # URLs resolve `.` and `..` even if they are encoded, so such an id would change the path.
        if not isinstance(each, str) or each in ("", ".", ".."):
            detail = ErrorDetail("resource_not_found", f"{each!r} is not an id", action="Pass the `id` of the object.")
            raise StagedoorError(404, [detail])
    return template.format(*(quote(each, safe="") for each in ids))


def body_of(model: type[RequestModel], request: object, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the JSON of a request that is a model, a dict or members. The server validates it."""
    if isinstance(request, BaseModel):
        given = request.model_dump(mode="json", exclude_unset=True)
    else:
        given = to_jsonable_python({**(dict(request) if isinstance(request, Mapping) else {}), **fields})
    return {name: value for name, value in given.items() if value is not None or name in model.members_with_none}


def given(**members: Any) -> dict[str, Any] | None:
    """Returns the members that are not None, or None if there are no such members."""
    return {name: value for name, value in members.items() if value is not None} or None


def new_key(key: str | None) -> str:
    """Returns the idempotency key of one call, which its retries share."""
    return uuid.uuid4().hex if key is None else key


def origin_of(server_url: str) -> str:
    """Normalizes a server's URL: removes `/v1` and trailing slashes. Raises StagedoorError `server_url_invalid`."""
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
            "Use a URL like http://127.0.0.1:4100 or https://stagedoor.example.com, without user name, query or "
            "fragment.",
        )
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return f"{url.scheme}://{host}{'' if port is None else f':{port}'}{re.sub(r'/v1$', '', url.path.rstrip('/'))}"


def refusal(what: str, response: httpx.Response, answer: object) -> StagedoorError:
    """Creates the error for the server's error answer, or for an answer that is not Stagedoor's."""
    members = answer if isinstance(answer, dict) else {}
    listed = members.get("errors")
    details = [_detail(each) for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    if not details:
        return _no_answer_of_ours(what, response, "check `server_url`, and any proxy in front of the server.")
    trace_id = members.get("clerk_trace_id") or response.headers.get("clerk-trace-id")
    return StagedoorError(
        response.status_code,
        details,
        trace_id=trace_id if isinstance(trace_id, str) else None,
        retry_after=_retry_after(response),
    )


def _no_answer_of_ours(what: str, response: httpx.Response, action: str) -> StagedoorError:
    location = response.headers.get("location")
    onward = "" if location is None else f", a redirect to {location}"
    detail = ErrorDetail(
        "response_invalid",
        f"{what} answered {response.status_code}{onward}, which is not an answer of Stagedoor",
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
    """Returns the wait of a `Retry-After` header in seconds, at least 0.

    The header has a number of seconds or an HTTP date (RFC 9110 §10.2.3). Returns None for any other value.

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
    # The oldest form has no time zone; it is UTC.
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
        meta=members,
    )


def _own_text(code: str, param_name: object) -> str | None:
    """Returns Stagedoor's own text for a code whose text on the wire is Clerk's."""
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
            "Pass `bearer_auth`: the sk_… that `stagedoor keys create` or `stagedoor dev` prints, usually from an "
            "environment variable.",
        )
    # Check the key here, because errors for an invalid header would include the header's value.
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        raise failure(
            "secret_key_invalid",
            "The secret key contains a space, a line break or another character that is not valid in a key",
            "Copy the complete key again, without anything before or after it.",
        )
    return key
