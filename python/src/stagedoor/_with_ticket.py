"""Reads a created token, which always has its ticket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from stagedoor.errors import failure
from stagedoor.models import CreatedActorToken, CreatedSignInToken

T = TypeVar("T", CreatedActorToken, CreatedSignInToken)


def with_ticket(model: type[T]) -> Callable[[Any], T]:
    """Returns a function that reads the answer to a creation.

    For a repeated idempotency key, the server returns the first token again, but without its ticket if that token has
    been redeemed or revoked since.
    """

    def read(answer: Any) -> T:
        if isinstance(answer, dict) and "token" not in answer and answer.get("status") in ("accepted", "revoked"):
            raise failure(
                "ticket_unavailable",
                f"Token {answer.get('id')} was already created with this idempotency key and is now "
                f"{answer['status']}. Its ticket is not shown again",
                "Use a new idempotency key to create another token.",
            )
        return model.model_validate(answer)

    return read
