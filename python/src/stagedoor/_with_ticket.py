"""What creating a token gives: always with its ticket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from stagedoor.errors import failure
from stagedoor.models import CreatedActorToken, CreatedSignInToken

T = TypeVar("T", CreatedActorToken, CreatedSignInToken)


def with_ticket(model: type[T]) -> Callable[[Any], T]:
    """Reads the answer to a creation.

    The server repeats an answer for the same idempotency key, but not the ticket of a token that has been redeemed or
    revoked in the meantime.
    """

    def read(answer: Any) -> T:
        if isinstance(answer, dict) and "token" not in answer and answer.get("status") in ("accepted", "revoked"):
            raise failure(
                "ticket_unavailable",
                f"Token {answer.get('id')} was created with this idempotency key before, and is {answer['status']} "
                "now. Its ticket is not shown again",
                "Use a new idempotency key to create another token.",
            )
        return model.model_validate(answer)

    return read
