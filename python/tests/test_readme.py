"""The code of the README, unchanged except for the address and the key."""

from __future__ import annotations

import asyncio
import re
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.http import HttpRequest
from django.test import Client, override_settings
from django.urls import path
from fastapi.testclient import TestClient
from servers import ISSUER, SECRET_KEY, SERVER_URL

from stagedoor import Stagedoor, models

TEXT = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"^(?:<!-- (.*?) -->\n)?```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def named(label: str) -> str:
    """Returns the code block below a comment, adapted to the servers of these tests."""
    [code] = [code for found, code in BLOCKS if found == label]
    return here(code)


def here(code: str) -> str:
    issuer_kept = code.replace(f'issuer="{ISSUER}"', "issuer=ISSUER").replace(
        f'"issuer": "{ISSUER}"', '"issuer": ISSUER'
    )
    return issuer_kept.replace('"http://127.0.0.1:4100"', repr(SERVER_URL)).replace('"sk_test_…"', repr(SECRET_KEY))


def run(code: str, names: dict[str, Any]) -> dict[str, Any]:
    names.setdefault("__name__", "__main__")
    names["ISSUER"] = ISSUER
    exec(compile(code, "README.md", "exec"), names)
    return names


def test_runs_from_top_to_bottom(in_environment: None, capsys: pytest.CaptureFixture[str]) -> None:
    plain = [code for label, code in BLOCKS if not label]
    assert len(plain) == 7
    names: dict[str, Any] = {}
    for code in plain:
        run(here(code), names)
    names["stagedoor"].close()
    printed = capsys.readouterr().out
    assert "olivia@support {'team': 7}" in printed
    assert "signed out: token-malformed" in printed
    assert "404 resource_not_found" in printed
    assert re.search(r"\d+ of \d+\nsess_\w+ revoked\n", printed)


@pytest.fixture
def bearer(stagedoor: Stagedoor, accepted: models.AcceptedActorToken) -> dict[str, str]:
    return {"Authorization": f"Bearer {stagedoor.sessions.get_token(accepted.session.id).jwt}"}


def check(user_id: str, me: Any, refused: Any) -> None:
    assert me == {"user": user_id, "acting": "olivia@support"}
    assert refused["errors"][0]["code"] == "forbidden_while_acting"


def test_fastapi(bearer: dict[str, str], user: models.User) -> None:
    app = run(named("app: fastapi"), {})["app"]

    async def ask(method: str) -> Any:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver", headers=bearer) as client:
            return (await client.request(method, "/me")).json()

    check(user.id, asyncio.run(ask("GET")), asyncio.run(ask("DELETE")))


def test_flask(bearer: dict[str, str], user: models.User) -> None:
    client = run(named("app: flask"), {})["app"].test_client()
    check(user.id, client.get("/me", headers=bearer).json, client.delete("/me", headers=bearer).json)


urlpatterns: list[Any] = []


def test_django(bearer: dict[str, str], user: models.User) -> None:
    settings = {k: v for k, v in run(named("settings: django"), {}).items() if k in ("MIDDLEWARE", "STAGEDOOR")}
    views = run(named("app: django"), {})
    urlpatterns[:] = [path("me", views["me"]), path("close", views["close_account"])]
    with override_settings(ROOT_URLCONF=__name__, **settings):
        client = Client(headers=bearer)
        check(user.id, client.get("/me").json(), client.delete("/close").json())


def check_own_login(stagedoor: Stagedoor, user: models.User, ask: Callable[[str, str], Any]) -> None:
    """Sends requests like a browser: before the ticket, after it, and after the end of the session."""
    assert ask("GET", "/me")["errors"][0]["meta"]["reason"] == "not-signed-in"
    token = stagedoor.actor_tokens.create(user_id=user.id, actor={"sub": "olivia@support"})
    assert ask("GET", f"/sign-in?__clerk_ticket={token.token}") == {}
    check(user.external_id or "", ask("GET", "/me"), ask("DELETE", "/me"))
    with pytest.MonkeyPatch.context() as patch:
        later = time.time() + 31 * 60
        patch.setattr(time, "time", lambda: later)
        assert "errors" in ask("GET", "/me")


def test_own_login_in_fastapi(in_environment: None, stagedoor: Stagedoor, user: models.User) -> None:
    names = run(named("own login: fastapi"), {})
    with TestClient(names["app"], base_url="http://testserver") as client:
        check_own_login(stagedoor, user, lambda method, address: client.request(method, address).json())
    names["stagedoor"].close()


def test_own_login_in_flask(in_environment: None, stagedoor: Stagedoor, user: models.User) -> None:
    names = run(named("own login: flask"), {})
    client = names["app"].test_client()
    check_own_login(stagedoor, user, lambda method, address: client.open(address, method=method).json)
    names["stagedoor"].close()


def test_own_login_in_django(
    in_environment: None, stagedoor: Stagedoor, user: models.User, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = run(named("own login: django"), {})
    module = types.ModuleType("shop.auth")
    vars(module).update(names)
    monkeypatch.setitem(sys.modules, "shop", types.ModuleType("shop"))
    monkeypatch.setitem(sys.modules, "shop.auth", module)
    settings = run(named("own login settings: django"), {})

    def me(request: HttpRequest) -> Any:
        return names["me" if request.method == "GET" else "close_account"](request)

    urlpatterns[:] = [path("sign-in", names["sign_in"]), path("me", me)]
    with override_settings(
        ROOT_URLCONF=__name__,
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        MIDDLEWARE=settings["MIDDLEWARE"],
        STAGEDOOR=settings["STAGEDOOR"],
    ):
        client = Client()
        check_own_login(stagedoor, user, lambda method, address: client.generic(method, address).json())
    names["stagedoor"].close()
