"""The helpers in the real frameworks, with tokens of a real server. All give the same answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import fastapi
import flask
import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, JsonResponse
from django.test import AsyncClient, Client, RequestFactory
from django.urls import path
from fastapi.testclient import TestClient
from local_server import closed_port
from servers import ACTOR, ISSUER, SERVER_URL

import stagedoor.django as for_django
import stagedoor.fastapi as for_fastapi
import stagedoor.flask as for_flask
from stagedoor import Auth, Stagedoor, Verifier

VERIFIER = Verifier(issuer=ISSUER, server_url=SERVER_URL)
CASES = ["current", "require_user", "forbid_acting", "require_acting", "read_only_while_acting"]


@dataclass
class Answered:
    status: int
    body: Any
    headers: dict[str, str]


Ask = Callable[..., Answered]
"""`ask("GET", "/require_user", headers=…, cookie=…)`"""


def seen(auth: Auth | None) -> dict[str, Any]:
    if auth is None:
        return {"user": None}
    actor = None if auth.actor is None else auth.actor.model_dump()
    return {"user": auth.user_id, "session": auth.session_id, "actor": actor, "acting": auth.is_acting}


def fastapi_app() -> fastapi.FastAPI:
    app = fastapi.FastAPI()
    for_fastapi.install(app, VERIFIER)

    def add(name: str, dependency: Callable[..., Auth | None]) -> None:
        def view(auth: Annotated[Auth | None, fastapi.Depends(dependency)]) -> dict[str, Any]:
            return seen(auth)

        # Not as a string, which would be resolved in this module.
        view.__annotations__["auth"] = Annotated[Auth | None, fastapi.Depends(dependency)]
        app.api_route(f"/{name}", methods=["GET", "POST"])(view)

    add("current", for_fastapi.current_auth)
    for name in CASES[1:]:
        add(name, getattr(for_fastapi, name))
    return app


def ask_fastapi() -> Ask:
    app = fastapi_app()

    def ask(method: str, address: str, headers: dict[str, str], cookie: str | None) -> Answered:
        with TestClient(app, cookies={} if cookie is None else {"__session": cookie}) as client:
            response = client.request(method, address, headers=headers)
        return Answered(response.status_code, response.json(), {k.lower(): v for k, v in response.headers.items()})

    return ask


def ask_flask(asynchronous: bool) -> Ask:
    app = flask.Flask("shop")
    for_flask.install(app, VERIFIER)

    def view() -> Any:
        return seen(for_flask.current_auth())

    async def view_async() -> Any:
        return seen(for_flask.current_auth())

    plain = view_async if asynchronous else view
    for name in CASES:
        guarded = plain if name == "current" else getattr(for_flask, name)(plain)
        app.add_url_rule(f"/{name}", endpoint=name, view_func=guarded, methods=["GET", "POST"])

    def ask(method: str, address: str, headers: dict[str, str], cookie: str | None) -> Answered:
        client = app.test_client()
        if cookie is not None:
            client.set_cookie("__session", cookie)
        response = client.open(address, method=method, headers=headers)
        return Answered(response.status_code, response.json, {k.lower(): v for k, v in response.headers.items()})

    return ask


def django_view(request: HttpRequest) -> JsonResponse:
    assert request.auth == for_django.auth_of(request)  # type: ignore[attr-defined]
    return JsonResponse(seen(for_django.auth_of(request)))


async def django_view_async(request: HttpRequest) -> JsonResponse:
    return JsonResponse(seen(for_django.auth_of(request)))


def django_urls(view: Callable[..., Any], prefix: str) -> list[Any]:
    guarded = [view, *(getattr(for_django, name)(view) for name in CASES[1:])]
    return [path(f"{prefix}{name}", each) for name, each in zip(CASES, guarded, strict=True)]


urlpatterns = [*django_urls(django_view, ""), *django_urls(django_view_async, "async/")]


def ask_django(asynchronous: bool) -> Ask:
    settings.ROOT_URLCONF = __name__

    def ask(method: str, address: str, headers: dict[str, str], cookie: str | None) -> Answered:
        client: Client | AsyncClient = AsyncClient() if asynchronous else Client()
        if cookie is not None:
            client.cookies["__session"] = cookie
        if isinstance(client, AsyncClient):

            async def sent(client: AsyncClient) -> Any:
                return await client.generic(method, f"/async{address}", headers=headers)

            response: Any = asyncio.run(sent(client))
        else:
            response = client.generic(method, address, headers=headers)
        return Answered(
            response.status_code, json.loads(response.content), {k.lower(): v for k, v in response.headers.items()}
        )

    return ask


@pytest.fixture(params=["fastapi", "flask", "flask-async", "django", "django-async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    frameworks: dict[str, Callable[[], Ask]] = {
        "fastapi": ask_fastapi,
        "flask": lambda: ask_flask(False),
        "flask-async": lambda: ask_flask(True),
        "django": lambda: ask_django(False),
        "django-async": lambda: ask_django(True),
    }
    asked = frameworks[request.param]()

    def ask(method: str, address: str, token: str | None = None, cookie: str | None = None, **headers: str) -> Answered:
        given = {} if token is None else {"Authorization": f"Bearer {token}"}
        return asked(method, address, {**given, **headers}, cookie)

    return ask


@dataclass
class Tokens:
    user_id: str
    own: str
    acting: str
    acting_session: str


@pytest.fixture(scope="module")
def tokens(stagedoor: Stagedoor) -> Tokens:
    user = stagedoor.users.create()
    own = stagedoor.sessions.create(user_id=user.id)
    ticket = stagedoor.actor_tokens.create(user_id=user.id, actor=ACTOR).token
    acting = stagedoor.actor_tokens.accept(ticket or "").session
    long = 300
    return Tokens(
        user_id=user.id,
        own=stagedoor.sessions.get_token(own.id, expires_in_seconds=long).jwt,
        acting=stagedoor.sessions.get_token(acting.id, expires_in_seconds=long).jwt,
        acting_session=acting.id,
    )


def refusal(answered: Answered) -> tuple[int, str, str | None]:
    [error] = answered.body["errors"]
    assert set(error) == {"code", "message", "long_message", "meta"}
    assert error["message"]
    assert error["long_message"].endswith(".")
    assert ("bearer" in answered.headers.get("www-authenticate", "").lower()) == (answered.status == 401)
    assert answered.headers["cache-control"] == "no-store"
    return answered.status, error["code"], error["meta"].get("reason")


def test_a_request_without_a_user_is_refused_by_every_guard(ask: Ask) -> None:
    assert ask("GET", "/current").body == {"user": None}
    for case in CASES[1:]:
        for method in ("GET", "POST"):
            assert refusal(ask(method, f"/{case}")) == (401, "authentication_invalid", "not-signed-in")


def test_the_user_passes_every_guard_but_require_acting(ask: Ask, tokens: Tokens) -> None:
    for case in ("current", "require_user", "forbid_acting", "read_only_while_acting"):
        for method in ("GET", "POST"):
            answered = ask(method, f"/{case}", tokens.own)
            assert answered.status == 200
            assert (answered.body["user"], answered.body["actor"], answered.body["acting"]) == (
                tokens.user_id,
                None,
                False,
            )
    assert refusal(ask("GET", "/require_acting", tokens.own)) == (403, "acting_required", None)


def test_an_actor_is_recognised_and_refused_what_is_forbidden(ask: Ask, tokens: Tokens) -> None:
    for method, case in [
        ("GET", "current"),
        ("POST", "require_user"),
        ("POST", "require_acting"),
        ("GET", "read_only_while_acting"),
    ]:
        answered = ask(method, f"/{case}", tokens.acting)
        assert answered.body == {
            "user": tokens.user_id,
            "session": tokens.acting_session,
            "actor": ACTOR,
            "acting": True,
        }
    for method, case in [("GET", "forbid_acting"), ("POST", "forbid_acting"), ("POST", "read_only_while_acting")]:
        assert refusal(ask(method, f"/{case}", tokens.acting)) == (403, "forbidden_while_acting", None)


def test_the_token_may_be_in_the_cookie_and_the_header_takes_precedence(ask: Ask, tokens: Tokens) -> None:
    assert ask("GET", "/require_user", cookie=tokens.acting).body["acting"] is True
    assert ask("GET", "/require_user", tokens.own, cookie=tokens.acting).body["acting"] is False
    # A bearer token counts, even an invalid one.
    assert refusal(ask("GET", "/require_user", "x", cookie=tokens.own)) == (
        401,
        "authentication_invalid",
        "token-malformed",
    )
    # Other authentication schemes are ignored.
    assert ask("GET", "/require_user", cookie=tokens.own, Authorization="Basic eDp5").body["user"] == tokens.user_id
    assert ask("GET", "/require_user", Authorization=f"bearer {tokens.own}").body["user"] == tokens.user_id


@pytest.mark.parametrize("override", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "_method"])
def test_while_acting_a_read_that_overrides_its_method_is_a_write(ask: Ask, tokens: Tokens, override: str) -> None:
    def asked(token: str, method: str, value: str) -> Answered:
        if override == "_method":
            return ask(method, f"/read_only_while_acting?a=b&_method={value}", token)
        return ask(method, "/read_only_while_acting", token, **{override: value})

    for value in ("DELETE", "delete", "PATCH", "GET, DELETE", "BREW"):
        assert refusal(asked(tokens.acting, "GET", value)) == (403, "forbidden_while_acting", None)
        assert asked(tokens.own, "GET", value).status == 200
    # The original method counts too.
    assert refusal(asked(tokens.acting, "POST", "GET")) == (403, "forbidden_while_acting", None)
    for value in ("GET", "head", ""):
        assert asked(tokens.acting, "GET", value).status == 200


def test_while_acting_a_write_stays_a_write_if_a_middleware_changes_its_method(tokens: Tokens) -> None:
    settings.ROOT_URLCONF = __name__
    request = RequestFactory().post("/read_only_while_acting", headers={"Authorization": f"Bearer {tokens.acting}"})
    request.method = "GET"
    middleware = for_django.StagedoorMiddleware(for_django.read_only_while_acting(django_view))
    assert middleware(request).status_code == 403


def test_a_refusal_has_the_reason(ask: Ask, tokens: Tokens) -> None:
    changed = tokens.own[:-10] + ("A" if tokens.own[-10] != "A" else "B") + tokens.own[-9:]
    for token, reason in [
        ("a.b.c", "token-malformed"),
        (changed, "token-invalid-signature"),
        ("eyJhbGciOiJub25lIn0.e30.AA", "token-wrong-algorithm"),
    ]:
        for given in ({"token": token}, {"cookie": token}):
            assert refusal(ask("GET", "/require_user", **given)) == (401, "authentication_invalid", reason)
            assert ask("GET", "/current", **given).body == {"user": None}


def test_a_missing_token_and_unavailable_keys_have_their_own_answers(
    ask: Ask, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = ask("GET", "/require_user")
    assert refusal(nobody) == (401, "authentication_invalid", "not-signed-in")
    assert nobody.headers["www-authenticate"] == "Bearer"
    assert ask("GET", "/require_user", "a.b.c").headers["www-authenticate"] == 'Bearer error="invalid_token"'

    nowhere = Verifier(issuer=ISSUER, server_url=closed_port())
    verify = Verifier.verify
    monkeypatch.setattr(Verifier, "verify", lambda _, token: verify(nowhere, token))
    for method, case in [("GET", "require_user"), ("POST", "forbid_acting"), ("POST", "read_only_while_acting")]:
        answered = ask(method, f"/{case}", tokens.own)
        assert refusal(answered) == (503, "keys_unavailable", "keys-unavailable")
        # The exception is for the developer; the body is for an HTTP client.
        assert "cause" not in json.dumps(answered.body)
        assert "retry in a few seconds" in answered.body["errors"][0]["long_message"]
        assert answered.headers["retry-after"] == "5"


class TestAnAppThatIsNotSetUp:
    """Raises an error that explains it, and lets no request pass."""

    def test_fastapi(self) -> None:
        app = fastapi.FastAPI()
        app.get("/", dependencies=[fastapi.Depends(for_fastapi.current_auth)])(lambda: {})
        with TestClient(app) as client, pytest.raises(RuntimeError, match="no verifier"):
            client.get("/")

    def test_flask(self) -> None:
        app = flask.Flask("shop")
        app.testing = True
        app.add_url_rule("/", view_func=for_flask.require_user(lambda: ""))
        with pytest.raises(RuntimeError, match="no verifier"):
            app.test_client().get("/")

    def test_django(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(ImproperlyConfigured, match="MIDDLEWARE"):
            for_django.require_user(django_view)(HttpRequest())
        monkeypatch.setattr(settings, "STAGEDOOR", None)
        with pytest.raises(ImproperlyConfigured, match="STAGEDOOR"):
            for_django.StagedoorMiddleware(django_view)
