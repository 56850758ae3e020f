"""Apps with their own login: the guards use the result of the app's own `session` function."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import fastapi
import flask
import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from fastapi.testclient import TestClient
from http_apps import FRAMEWORKS, GUARDS, Server, fastapi_app, flask_app, serving
from test_cookies import OPTIONS, TOKENS

import stagedoor.django as for_django
import stagedoor.fastapi as for_fastapi
import stagedoor.flask as for_flask
from stagedoor import OwnSession, Verifier, models

KEPT: dict[str, Any] = {
    "carl": OwnSession(user_id="carl", session_id="s1", claims={"plan": "pro"}),
    "carl-without-session-id": OwnSession(user_id="carl"),
    "dict": {"user_id": "carl"},
    "acting": OwnSession(user_id="carl", session_id="s2", actor={"sub": "olivia@support"}),
    "acting-model": OwnSession(user_id="carl", session_id="s2", actor=models.Actor(sub="olivia@support")),
    "acting-dict": {"user_id": "carl", "session_id": "s2", "actor": {"sub": "olivia@support", "team": 7}},
}
"""The sessions of an app, by the value of its cookie."""

WRONG: dict[str, Any] = {
    "actor-without-sub": OwnSession(user_id="carl", actor={}),
    "actor-with-a-number": OwnSession(user_id="carl", actor={"sub": 7}),
    "actor-as-text": {"user_id": "carl", "actor": "olivia"},
    "actor-as-empty-text": {"user_id": "carl", "actor": ""},
    "actor-as-false": {"user_id": "carl", "actor": False},
    "actor-as-list": {"user_id": "carl", "actor": ["olivia"]},
    "actor-by-another-name": {"user_id": "carl", "act": {"sub": "olivia"}},
    "no-user": {"session_id": "s1"},
    "empty-user": OwnSession(user_id=""),
    "user-as-number": {"user_id": 7},
    "empty-session-id": OwnSession(user_id="carl", session_id=""),
    "session-id-as-number": {"user_id": "carl", "session_id": 7},
    "claims-as-text": {"user_id": "carl", "claims": "x"},
    "nothing-in-it": {},
    "text": "carl",
    "false": False,
    "true": True,
    "number": 0,
    "tuple": ("carl",),
}


def session_of(request: Any) -> Any:
    """Reads the cookie `my_session` of a request, in any of the frameworks."""
    cookies = request.COOKIES if hasattr(request, "COOKIES") else request.cookies
    name = cookies.get("my_session")
    if name == "broken":
        raise ValueError("the session store is down")
    return {**KEPT, **WRONG}.get(name)


async def session_of_async(request: Any) -> Any:
    await asyncio.sleep(0)
    return session_of(request)


SERVERS: list[tuple[str, Any]] = [
    (framework, session) for framework in FRAMEWORKS for session in (session_of, session_of_async)
]
# Django's settings accept a dotted name too.
SERVERS += [(framework, "test_own_sessions.session_of") for framework in FRAMEWORKS if framework.startswith("django")]


@pytest.fixture(params=SERVERS, ids=lambda param: f"{param[0]}-{getattr(param[1], '__name__', 'name')}")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    framework, session = request.param
    with serving(framework, {"session": session}) as server:
        yield server


def cookie(name: str) -> tuple[str, str]:
    return ("Cookie", f"theme=dark; my_session={name}")


def test_the_guards_work_the_same(server: Server) -> None:
    connection = server.connect()

    def ask(address: str, *headers: tuple[str, str], method: str = "GET") -> tuple[int, Any]:
        return server.ask(address, *headers, method=method, on=connection)

    own = {"user": "carl", "session": "s1", "actor": None, "claims": {"plan": "pro"}}
    assert ask("/current") == (200, {"user": None})
    assert ask("/current", cookie("carl")) == (200, own)
    bare: dict[str, Any] = {"user": "carl", "session": None, "actor": None, "claims": {}}
    assert ask("/current", cookie("carl-without-session-id")) == ask("/current", cookie("dict")) == (200, bare)
    for name in ("acting", "acting-model", "acting-dict"):
        acting = {"user": "carl", "session": "s2", "actor": "olivia@support", "claims": {}}
        assert ask("/current", cookie(name)) == (200, acting)
        for address, method, status in [
            ("/require_user", "POST", 200),
            ("/forbid_acting", "POST", 403),
            ("/require_acting", "POST", 200),
            ("/read_only_while_acting", "GET", 200),
            ("/read_only_while_acting", "POST", 403),
        ]:
            assert ask(address, cookie(name), method=method)[0] == status, (name, address, method)
    for guard in GUARDS:
        assert ask(f"/{guard}", cookie("carl"), method="POST")[0] == (403 if guard == "require_acting" else 200)
        status, body = ask(f"/{guard}", method="POST")
        assert (status, body["errors"][0]["meta"]["reason"]) == (401, "not-signed-in")
    # Session tokens are ignored here.
    token = ("Authorization", f"Bearer {TOKENS['own']}")
    assert ask("/require_user", token, ("Cookie", f"__session={TOKENS['own']}"))[0] == 401
    connection.close()


@pytest.mark.parametrize("framework", ["fastapi", "flask", "flask-async", "django"])
@pytest.mark.parametrize("name", [*WRONG, "broken"])
def test_an_invalid_session_is_an_error_and_never_counts_as_the_users_own(framework: str, name: str) -> None:
    expected = ValueError if name == "broken" else TypeError
    session = session_of_async if framework == "flask-async" else session_of
    with pytest.raises(expected):
        if framework == "fastapi":
            TestClient(fastapi_app(session=session)).post("/forbid_acting", headers=dict([cookie(name)]))
        elif framework == "django":
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(settings, "STAGEDOOR", {"session": session})
                request = HttpRequest()
                request.COOKIES["my_session"] = name
                for_django.StagedoorMiddleware(lambda _: pytest.fail("reached"))(request)
        else:
            app = flask_app(framework == "flask-async", session=session)
            app.testing = True
            app.test_client(use_cookies=False).post("/forbid_acting", headers=dict([cookie(name)]))


def test_verifier_and_session_exclude_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    verifier = Verifier(**OPTIONS)
    for options in [
        {},
        {"verifier": verifier, "session": session_of},
        {"session": "x"},
        {"verifier": session_of},
        {"verifier": {"issuer": "x"}},
    ]:
        with pytest.raises(TypeError):
            for_fastapi.install(fastapi.FastAPI(), **options)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            for_flask.install(flask.Flask("shop"), **options)  # type: ignore[arg-type]
    for setting, said in [
        ({"session": session_of, **OPTIONS}, "and other members"),
        ({"session": "no.such.module"}, "cannot be imported"),
        ({"session": "test_own_sessions.no_such_function"}, "cannot be imported"),
        ({"session": None}, "must be a function"),
        ({"session": 7}, "must be a function"),
    ]:
        monkeypatch.setattr(settings, "STAGEDOOR", setting)
        with pytest.raises(ImproperlyConfigured, match=said):
            for_django.StagedoorMiddleware(lambda _: pytest.fail("reached"))
