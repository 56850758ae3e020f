"""The code of the README, as it stands there but for the address and the key."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.test import Client, override_settings
from django.urls import path
from servers import ISSUER, SECRET_KEY, SERVER_URL

from stagedoor import Stagedoor, models

TEXT = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"^(?:<!-- (.*?) -->\n)?```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def named(label: str) -> str:
    """The block below a comment, for the servers of these tests."""
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
