"""The errors that the client raises."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ErrorDetail:
    """One error of an answer. A request with three wrong fields gets three."""

    code: str
    """One of `models.ErrorCode`, or one of the client's own codes if the server did not answer."""
    message: str
    """The problem, as a sentence. Where the text on the wire is Clerk's, this is Stagedoor's own text."""
    param_name: str | None = None
    """The invalid field, by its wire name: `user_id`, `actor.sub`."""
    action: str | None = None
    """What to do next."""
    server_message: str | None = None
    """The text on the wire, if the server answered."""
    meta: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """More about it, by wire names, if the server sent it: the rules that refused, and what would help."""


class StagedoorError(Exception):
    """The only error that the client raises: for errors that the server returns, and for requests without an answer.

    Use `code` in your code; `str(error)` is for people. Codes of failures without an answer of the server:
    `secret_key_missing`, `secret_key_invalid`, `server_url_invalid`, `connection_failed`, `timeout`,
    `response_invalid`.
    No member contains the secret key. Every code of the server: docs/reference/errors.md.

    Example:
        >>> try:
        ...     stagedoor.actor_tokens.revoke("act_2f8d")
        ... except StagedoorError as error:
        ...     print(error.status, error.code)
        404 resource_not_found
    """

    status: int
    """HTTP status of the answer; 0 if there was none."""
    code: str
    """Code of the first error."""
    errors: Sequence[ErrorDetail]
    """Every error of the answer."""
    trace_id: str | None
    """Identifies this request in the server's log and audit log; None if there was no answer."""
    retry_after: float | None
    """How long the server asks to wait before the next request, in seconds."""

    def __init__(
        self,
        status: int,
        errors: Sequence[ErrorDetail],
        *,
        trace_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(" ".join(_sentence(each) for each in errors))
        self.status = status
        self.code = errors[0].code
        self.errors = errors
        self.trace_id = trace_id
        self.retry_after = retry_after

    @property
    def param_name(self) -> str | None:
        """The invalid field of the first error."""
        return self.errors[0].param_name

    @property
    def action(self) -> str | None:
        """What to do about the first error."""
        return self.errors[0].action

    @property
    def meta(self) -> Mapping[str, Any]:
        """More about the first error: `error.meta["needs"]` of `acting_refused` says what would help."""
        return self.errors[0].meta

    def __reduce__(self) -> tuple[object, ...]:
        # Errors are pickled between processes. By default, pickle would call __init__ with the text only.
        return _restored, (self.status, self.errors, self.trace_id, self.retry_after)


def failure(code: str, message: str, action: str) -> StagedoorError:
    """Creates the error for a failure without an answer of the server."""
    return StagedoorError(0, [ErrorDetail(code, message, action=action)])


def _sentence(detail: ErrorDetail) -> str:
    ended = detail.message if re.search(r"[.!?]$", detail.message) else f"{detail.message}."
    return ended if detail.action is None else f"{ended} {detail.action}"


def _restored(
    status: int, errors: Sequence[ErrorDetail], trace_id: str | None, retry_after: float | None
) -> StagedoorError:
    return StagedoorError(status, errors, trace_id=trace_id, retry_after=retry_after)
