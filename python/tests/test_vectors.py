"""The session tokens of `test/vectors`, valid and invalid; the TypeScript package is tested with the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stagedoor import TokenError, Verifier

FILE: dict[str, Any] = json.loads((Path(__file__).parents[2] / "test/vectors/session-tokens.json").read_text())
VERIFIER = Verifier(
    issuer=FILE["issuer"],
    jwks=FILE["jwks"],
    authorized_parties=FILE["authorizedParties"],
    clock_skew_in_seconds=FILE["clockSkewInSeconds"],
    now=lambda: FILE["now"],
)


@pytest.mark.parametrize("group", FILE["groups"], ids=lambda group: group["name"])
def test_vectors(group: dict[str, Any]) -> None:
    for vector in group["tests"]:
        label = f"{vector['id']} {vector['comment']}"
        try:
            VERIFIER.verify(vector["token"])
            said = "valid"
        except TokenError as error:
            said = error.reason
        assert said == vector.get("reason", "valid"), label
