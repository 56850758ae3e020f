"""Which `__session` cookie counts: the vectors of `test/vectors`, over HTTP, in every framework."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from http_apps import FRAMEWORKS, Server, serving

from stagedoor import Verifier
from stagedoor.auth import by_token

FILE: dict[str, Any] = json.loads((Path(__file__).parents[2] / "test/vectors/session-cookies.json").read_text())
OPTIONS: dict[str, Any] = {"issuer": FILE["issuer"], "jwks": FILE["jwks"], "now": lambda: FILE["now"]}
TESTS = [(group["name"], test) for group in FILE["groups"] for test in group["tests"]]
TOKENS: dict[str, str] = FILE["tokens"]
VERIFIER = Verifier(**OPTIONS)


def filled(template: str) -> str:
    for name, token in TOKENS.items():
        template = template.replace(f"{{{name}}}", token)
    return template


@pytest.fixture(params=FRAMEWORKS, scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serving(request.param, OPTIONS) as server:
        yield server


def test_vectors(server: Server) -> None:
    connection = server.connect()
    for group, test in TESTS:
        label = f"{group}: {test['comment']}"
        headers = [("Cookie", filled(each)) for each in test["cookies"]]
        if "reason" in test:
            status, body = server.ask("/require_user", *headers, on=connection)
            assert (status, body["errors"][0]["meta"]["reason"]) == (401, test["reason"]), label
            assert server.ask("/forbid_acting", *headers, on=connection)[0] == 401, label
            continue
        expected = VERIFIER.verify(TOKENS[test["token"]])
        status, body = server.ask("/require_user", *headers, on=connection)
        actor = None if expected.actor is None else expected.actor.sub
        assert (status, body.get("user"), body.get("actor")) == (200, expected.user_id, actor), label
        blocked = server.ask("/forbid_acting", *headers, on=connection)[0]
        assert blocked == (403 if expected.is_acting else 200), label
    connection.close()


def test_a_bearer_token_takes_precedence_over_all_cookies(server: Server) -> None:
    cookies = [("Cookie", filled("__session={acting}; __session={own}"))]
    bearer = ("Authorization", f"Bearer {TOKENS['own']}")
    assert server.ask("/current", bearer, *cookies)[1]["actor"] is None
    status, body = server.ask("/require_user", ("Authorization", "Bearer x"), *cookies)
    assert (status, body["errors"][0]["meta"]["reason"]) == (401, "token-malformed")
    # Two bearer tokens are refused.
    for second in (bearer, ("Authorization", f"Bearer {TOKENS['acting']}")):
        assert server.ask("/require_user", bearer, second, *cookies)[0] == 401


def test_a_header_full_of_cookies_is_parsed_fast() -> None:
    many = "; ".join(["__session=x"] * 50_000 + [filled("__session={own}")])
    found = by_token(VERIFIER, None, many)
    assert found == VERIFIER.verify(TOKENS["own"])
