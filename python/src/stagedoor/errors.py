"""What the client raises."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ErrorDetail:
    """One refusal of an answer; a request with three wrong fields has three."""

    code: str
    """One of `models.ErrorCode`; or of the client's own, when no server answered."""
    message: str
    """What is wrong, as a sentence: in our own words for a code whose words on the wire are Clerk's."""
    param_name: str | None = None
    """The field it is about, as the wire names it: `user_id`, `actor.sub`."""
    action: str | None = None
    """What to do about it."""
    server_message: str | None = None
    """The words of the wire, if a server sent them."""


class StagedoorError(Exception):
    """The only error the client raises: the server's refusals, and failures on the way to it.

    `code` is what to decide on; `str(error)` is for people. Codes of failures that no server answered with:
    `secret_key_missing`, `secret_key_invalid`, `server_url_invalid`, `connection_failed`, `timeout`,
    `response_invalid`.
    The secret key is in none of its members. Every code of the server: docs/reference/errors.md.

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
    """Code of the first refusal."""
    errors: Sequence[ErrorDetail]
    """Every refusal."""
    trace_id: str | None
    """Names this request in the server's log and audit log; None if there was no answer."""
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
        """The field the first refusal is about."""
        return self.errors[0].param_name

    @property
    def action(self) -> str | None:
        """What to do about the first refusal."""
        return self.errors[0].action

    def __reduce__(self) -> tuple[object, ...]:
        # Errors travel between processes; the usual way would call __init__ with the text alone.
        return _restored, (self.status, self.errors, self.trace_id, self.retry_after)


def failure(code: str, message: str, action: str) -> StagedoorError:
    """A failure that no server answered with."""
    return StagedoorError(0, [ErrorDetail(code, message, action=action)])


def _sentence(detail: ErrorDetail) -> str:
    ended = detail.message if re.search(r"[.!?]$", detail.message) else f"{detail.message}."
    return ended if detail.action is None else f"{ended} {detail.action}"


def _restored(
    status: int, errors: Sequence[ErrorDetail], trace_id: str | None, retry_after: float | None
) -> StagedoorError:
    return StagedoorError(status, errors, trace_id=trace_id, retry_after=retry_after)
