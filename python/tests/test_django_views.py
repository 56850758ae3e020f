"""Django: guards around every kind of view, behind WSGI and ASGI, and errors in the setting."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, JsonResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from servers import ISSUER, SERVER_URL
from test_cookies import OPTIONS, TOKENS

import stagedoor.django as for_django
from stagedoor.django import auth_of, forbid_acting, read_only_while_acting, require_acting, require_user

GUARDS: dict[str, Callable[[Any], Any]] = {
    "require_user": require_user,
    "forbid_acting": forbid_acting,
    "require_acting": require_acting,
    "read_only_while_acting": read_only_while_acting,
}


def answer(request: HttpRequest) -> JsonResponse:
    auth = auth_of(request)
    return JsonResponse({"user": auth and auth.user_id})


async def answer_async(request: HttpRequest) -> JsonResponse:
    await asyncio.sleep(0)
    return answer(request)


class CallableView:
    def __call__(self, request: HttpRequest) -> JsonResponse:
        return answer(request)


class Sync(View):
    def get(self, request: HttpRequest) -> JsonResponse:
        return answer(request)

    def post(self, request: HttpRequest) -> JsonResponse:
        return answer(request)


class Async(View):
    async def get(self, request: HttpRequest) -> JsonResponse:
        return await answer_async(request)

    async def post(self, request: HttpRequest) -> JsonResponse:
        return await answer_async(request)


def on_dispatch(guard: Callable[[Any], Any], base: type[View]) -> Any:
    guarded: Any = method_decorator(guard, name="dispatch")(type("Guarded", (base,), {}))
    return guarded.as_view()


def on_methods(guard: Callable[[Any], Any], base: type[View], decorate: Callable[[Any], Any]) -> Any:
    methods = {name: decorate(guard)(vars(base)[name]) for name in ("get", "post")}
    guarded: Any = type("Guarded", (base,), methods)
    return guarded.as_view()


def own_dispatch(guard: Callable[[Any], Any], base: type[View]) -> Any:
    """Decorates a view's own `dispatch` directly."""

    class Guarded(base):  # type: ignore[misc,valid-type]
        @guard
        def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            return super().dispatch(request, *args, **kwargs)

    return Guarded.as_view()


KINDS: dict[str, Callable[[Callable[[Any], Any]], Any]] = {
    "function": lambda guard: guard(answer),
    "async-function": lambda guard: guard(answer_async),
    "partial": lambda guard: guard(cast(Any, partial)(answer)),
    "async-partial": lambda guard: guard(cast(Any, partial)(answer_async)),
    "callable": lambda guard: guard(CallableView()),
    "class": lambda guard: guard(Sync.as_view()),
    "async-class": lambda guard: guard(Async.as_view()),
    "dispatch": lambda guard: on_dispatch(guard, Sync),
    "async-dispatch": lambda guard: on_dispatch(guard, Async),
    "own-dispatch": lambda guard: own_dispatch(guard, Sync),
    "async-own-dispatch": lambda guard: own_dispatch(guard, Async),
    "method-decorator": lambda guard: on_methods(guard, Sync, method_decorator),
    "method": lambda guard: on_methods(guard, Sync, lambda guard: guard),
    "async-method": lambda guard: on_methods(guard, Async, lambda guard: guard),
    "twice": lambda guard: require_user(guard(Sync.as_view())),
    "async-twice": lambda guard: require_user(guard(Async.as_view())),
    "class-and-dispatch": lambda guard: require_user(on_dispatch(guard, Async)),
}

urlpatterns = [path(f"{kind}/{name}", make(guard)) for kind, make in KINDS.items() for name, guard in GUARDS.items()]


def ask(asgi: bool, method: str, address: str, token: str | None) -> tuple[int, Any]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    if not asgi:
        response: Any = Client().generic(method, address, headers=headers)
        return response.status_code, json.loads(response.content)

    async def main() -> Any:
        return await AsyncClient().generic(method, address, headers=headers)

    response = asyncio.run(main())
    return response.status_code, json.loads(response.content)


@pytest.mark.parametrize("asgi", [False, True], ids=["wsgi", "asgi"])
@pytest.mark.parametrize("kind", KINDS)
def test_guards(kind: str, asgi: bool) -> None:
    with override_settings(ROOT_URLCONF=__name__, STAGEDOOR=OPTIONS):
        for name in GUARDS:
            for token, method, allowed in [
                ("own", "GET", name != "require_acting"),
                ("own", "POST", name != "require_acting"),
                ("acting", "GET", name != "forbid_acting"),
                ("acting", "POST", name in ("require_user", "require_acting")),
            ]:
                status, body = ask(asgi, method, f"/{kind}/{name}", TOKENS[token])
                assert status == (200 if allowed else 403), (kind, name, token, method)
                assert body == {"user": "user_carl"} if allowed else body["errors"]
            status, body = ask(asgi, "POST", f"/{kind}/{name}", None)
            assert (status, body["errors"][0]["code"]) == (401, "authentication_invalid")


def test_a_class_is_not_accepted_as_a_view() -> None:
    for guard in GUARDS.values():
        with pytest.raises(TypeError, match=r"guard\(Sync\.as_view\(\)\)"):
            guard(Sync)


class TestTheSetting:
    def wrong(self, monkeypatch: pytest.MonkeyPatch, setting: object) -> str:
        monkeypatch.setattr(settings, "STAGEDOOR", setting)
        with pytest.raises(ImproperlyConfigured) as caught:
            for_django.StagedoorMiddleware(lambda _: pytest.fail("reached"))
        assert "STAGEDOOR" in str(caught.value)
        return str(caught.value)

    @pytest.mark.parametrize("setting", [None, {}, [], "", "http://127.0.0.1:4100", (("issuer", "x"),), 7])
    def test_missing_or_of_another_type(self, monkeypatch: pytest.MonkeyPatch, setting: object) -> None:
        assert "missing or empty" in self.wrong(monkeypatch, setting)

    @pytest.mark.parametrize(
        ("setting", "said"),
        [
            ({"server_url": SERVER_URL}, 'no "issuer"'),
            ({"issuer": ISSUER}, "names no keys"),
            ({"issuer": ISSUER, "server_url": None}, "names no keys"),
            ({"issuer": "", "server_url": SERVER_URL}, "`issuer` is missing"),
            ({"issuer": None, "server_url": SERVER_URL}, "`issuer` is missing"),
            ({"issuer": ISSUER, "server_url": "localhost"}, "not the address of a server"),
            ({"issuer": ISSUER, "server_url": 7}, "not the address of a server"),
            ({"issuer": ISSUER, "server_url": SERVER_URL, "jwks": {"keys": []}}, "Give the keys once"),
            ({"issuer": ISSUER, "jwks": 7}, "not a key set"),
            ({"issuer": ISSUER, "public_key": "x"}, "not a public key as PEM"),
            ({"issuer": ISSUER, "server_url": SERVER_URL, "authorized_parties": "http://a"}, "authorized_parties"),
            ({"issuer": ISSUER, "server_url": SERVER_URL, "clock_skew_in_seconds": "5"}, "is not valid"),
            ({"issuer": ISSUER, "server_url": SERVER_URL, "clock_skew_in_seconds": 900}, "from 0 to 300"),
            ({"issuer": ISSUER, "serverURL": SERVER_URL}, "unknown members: 'serverURL'"),
            ({"ISSUER": ISSUER, 7: SERVER_URL}, "unknown members: 'ISSUER', 7"),
        ],
    )
    def test_wrong_members(self, monkeypatch: pytest.MonkeyPatch, setting: object, said: str) -> None:
        assert said in self.wrong(monkeypatch, setting)
