"""What the framework helpers do in sessions that may only read, or have scopes."""

from __future__ import annotations

from typing import Annotated, Any

import fastapi
import flask
import pytest
from django.http import HttpRequest, JsonResponse
from django.test import RequestFactory, override_settings
from fastapi.testclient import TestClient

import stagedoor.django as for_django
import stagedoor.fastapi as for_fastapi
import stagedoor.flask as for_flask
from stagedoor import Auth, OwnSession, TokenError
from stagedoor._scopes import limits_of, reads_of

ACTOR = {"sub": "olivia"}
KEPT = {
    "own": OwnSession(user_id="carl", access="read"),
    "unlimited": OwnSession(user_id="carl", actor=ACTOR),
    "read": OwnSession(user_id="carl", actor=ACTOR, access="read"),
    "scoped": OwnSession(user_id="carl", actor=ACTOR, access="write", scopes=["invoices:read"]),
    "sender": OwnSession(user_id="carl", actor=ACTOR, scopes=["invoices:read", "invoices:send"]),
}
READS = ["POST /search", "POST|PUT /reports/*"]
PATHS = ["any", "search", "reports/7", "reports/7/delete", "searches"]
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def session_of(request: Any) -> Any:
    return KEPT.get(request.headers.get("X-Session", ""))


def shown(auth: Auth | None) -> dict[str, Any]:
    return {} if auth is None else {"access": auth.access, "scopes": None if auth.scopes is None else list(auth.scopes)}


def ask_fastapi(method: str, path: str, headers: dict[str, str]) -> tuple[int, Any]:
    app = fastapi.FastAPI()
    for_fastapi.install(app, session=session_of, reads=READS)

    def view(auth: Any) -> dict[str, Any]:
        return shown(auth)

    def send(auth: Any) -> dict[str, Any]:
        return shown(auth)

    view.__annotations__["auth"] = Annotated[Auth | None, fastapi.Depends(for_fastapi.current_auth)]
    send.__annotations__["auth"] = Annotated[Auth, fastapi.Depends(for_fastapi.require_scope("invoices:send"))]
    for each in PATHS:
        app.api_route(f"/{each}", methods=METHODS)(view)
    app.api_route("/send", methods=METHODS)(send)
    answer = TestClient(app).request(method, path, headers=headers)
    return answer.status_code, answer.json()


def ask_flask(method: str, path: str, headers: dict[str, str]) -> tuple[int, Any]:
    app = flask.Flask("shop")
    for_flask.install(app, session=session_of, reads=READS)

    def view() -> Any:
        return shown(for_flask.current_auth())

    def send() -> Any:
        return shown(for_flask.current_auth())

    for each in PATHS:
        app.add_url_rule(f"/{each}", endpoint=each, view_func=view, methods=METHODS)
    guarded = for_flask.require_scope("invoices:send")(send)
    app.add_url_rule("/send", endpoint="send", view_func=guarded, methods=METHODS)
    answer = app.test_client().open(path, method=method, headers=headers)
    return answer.status_code, answer.json


@for_django.require_scope("invoices:send")
def django_send(request: HttpRequest) -> JsonResponse:
    return JsonResponse(shown(for_django.auth_of(request)))


def ask_django(method: str, path: str, headers: dict[str, str]) -> tuple[int, Any]:
    import json

    def respond(request: HttpRequest) -> JsonResponse:
        return django_send(request) if request.path == "/send" else JsonResponse(shown(for_django.auth_of(request)))

    with override_settings(STAGEDOOR={"session": session_of, "reads": READS}):
        named: dict[str, Any] = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
        answer: Any = for_django.StagedoorMiddleware(respond)(RequestFactory().generic(method, path, **named))
    return answer.status_code, json.loads(answer.content)


FRAMEWORKS = {"fastapi": ask_fastapi, "flask": ask_flask, "django": ask_django}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_sessions_that_may_only_read(framework: str) -> None:
    ask = FRAMEWORKS[framework]
    for method in METHODS:
        status, body = ask(method, "/any", {"X-Session": "read"})
        reading = method in ("GET", "OPTIONS")
        assert status == (200 if reading else 403), method
        if not reading:
            assert body["errors"][0]["code"] == "forbidden_while_acting"
            assert body["errors"][0]["meta"] == {"rule": "read-only"}
        for name in ("own", "unlimited", "scoped"):
            assert ask(method, "/any", {"X-Session": name})[0] == 200, (method, name)
    for method, path, expected in [
        ("POST", "/search", 200),
        ("POST", "/search?q=1", 200),
        ("PUT", "/reports/7", 200),
        ("PUT", "/search", 403),
        ("DELETE", "/reports/7", 403),
        ("POST", "/reports/7/delete", 403),
        ("POST", "/searches", 403),
        ("POST", "/any?x=/search", 403),
    ]:
        assert ask(method, path, {"X-Session": "read"})[0] == expected, (method, path)
    overridden = {"X-Session": "read", "X-HTTP-Method-Override": "DELETE"}
    assert ask("GET", "/any", overridden)[0] == 403
    assert ask("POST", "/search", overridden)[0] == 403
    assert ask("GET", "/any?_method=DELETE", {"X-Session": "read"})[0] == 403


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_scopes(framework: str) -> None:
    ask = FRAMEWORKS[framework]
    for name, access, scopes in [
        ("own", None, None),
        ("unlimited", "write", None),
        ("read", "read", None),
        ("sender", "write", ["invoices:read", "invoices:send"]),
    ]:
        assert ask("GET", "/any", {"X-Session": name}) == (200, {"access": access, "scopes": scopes})
    for name, status in [("own", 200), ("unlimited", 200), ("sender", 200), ("scoped", 403), ("nobody", 401)]:
        assert ask("POST", "/send", {"X-Session": name})[0] == status, name
    assert ask("POST", "/send", {"X-Session": "scoped"})[1]["errors"][0]["meta"] == {"rule": "scope"}


WRONG_ACCESS: list[Any] = ["admin", "act:read", "", True, 1, {}, ["read"]]
WRONG_SCOPES: list[Any] = [[], "a", [""], ["a", "a"], ["act:write"], ["a b"], [1], {}, True]


@pytest.mark.parametrize(
    "limits",
    [
        *({"access": access} for access in WRONG_ACCESS),
        *({"scopes": scopes} for scopes in WRONG_SCOPES),
    ],
)
def test_an_unreadable_limit_is_an_error(limits: dict[str, Any]) -> None:
    from stagedoor.auth import by_session

    with pytest.raises(TypeError):
        by_session({"user_id": "carl", "actor": ACTOR, **limits})


def test_the_claim() -> None:
    assert limits_of({"act": ACTOR}) == ("write", None)
    assert limits_of({"scope": ["x"]}) == (None, None)
    assert limits_of({"act": ACTOR, "scope": "act:write a b"}) == ("write", ("a", "b"))
    with pytest.raises(TokenError):
        limits_of({"act": ACTOR, "scope": "act:write\n"})


def test_patterns_and_scopes_must_be_valid() -> None:
    for wrong in ("POST /search", ["search"], [""], ["!POST /x"], ["POST /x?y"], [7]):
        with pytest.raises(TypeError):
            reads_of(wrong)  # type: ignore[arg-type]
    for scope in ("", "act:write", "a b", "A"):
        for module in (for_fastapi, for_flask, for_django):
            with pytest.raises(TypeError):
                module.require_scope(scope)
    only_reads = reads_of(["POST /reports/**"])
    assert only_reads("POST", "/reports/a/b")
    for path in ("/reports/../x", "/reports//x", "/reports/x;y", "/reports/%2e", "/reports\\x", "/reports/x\n", "/x"):
        assert not only_reads("POST", path), path
