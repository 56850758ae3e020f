"""Django: `request.auth` says who is asking, and who is really acting.

In the settings::

    MIDDLEWARE = [..., "stagedoor.django.StagedoorMiddleware"]
    STAGEDOOR = {
        "issuer": "http://127.0.0.1:4100",
        "server_url": "http://127.0.0.1:4100",
        "authorized_parties": ["http://localhost:8000"],
    }

`STAGEDOOR` has what `Verifier` takes.

Example:
    >>> from django.http import HttpRequest, JsonResponse
    >>> from stagedoor.django import auth_of, forbid_acting, require_user
    >>> @require_user
    ... def me(request: HttpRequest) -> JsonResponse:
    ...     auth = auth_of(request)
    ...     return JsonResponse({"user": auth.user_id, "acting": auth.actor.sub if auth.actor else "nobody"})
    >>> @forbid_acting
    ... def close_account(request: HttpRequest) -> JsonResponse:
    ...     return JsonResponse({})
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponseBase, JsonResponse

from stagedoor import auth as rules
from stagedoor.auth import Refusal
from stagedoor.verify import Auth, Verifier

View = TypeVar("View", bound=Callable[..., Any])


class StagedoorMiddleware:
    """Sets `request.auth`: an `Auth`, or None if nobody is signed in."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        options = getattr(settings, "STAGEDOOR", None)
        if not isinstance(options, dict):
            raise ImproperlyConfigured('The settings have no STAGEDOOR: {"issuer": …, "server_url": …} is needed.')
        self._verifier = Verifier(**options)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        authorization = request.headers.get("Authorization")
        found = rules.authenticate(self._verifier, authorization, request.COOKIES)
        request.auth = None if isinstance(found, Refusal) else found  # type: ignore[attr-defined]
        request._stagedoor_found = found  # type: ignore[attr-defined]
        return self._get_response(request)


def auth_of(request: HttpRequest) -> Auth | None:
    """Who is asking: `request.auth`, with its type. None if nobody is signed in."""
    found = _found(request)
    return None if isinstance(found, Refusal) else found


def require_user(view: View) -> View:
    """Decorates a view: lets users through, and those who act as them; else 401 `authentication_invalid`."""
    return _guarded(view, lambda request: rules.require_user(_found(request)))


def forbid_acting(view: View) -> View:
    """Decorates a view: lets users through, and nobody who acts as one: 403 `forbidden_while_acting`."""
    return _guarded(view, lambda request: rules.forbid_acting(_found(request)))


def require_acting(view: View) -> View:
    """Decorates a view: lets those through who act as a user; else 403 `acting_required`."""
    return _guarded(view, lambda request: rules.require_acting(_found(request)))


def read_only_while_acting(view: View) -> View:
    """Decorates a view: lets users through, and those who act as one if they only read; else 403
    `forbidden_while_acting`."""
    return _guarded(view, lambda request: rules.read_only_while_acting(_found(request), request.method or ""))


def _guarded(view: View, check: Callable[[HttpRequest], Auth]) -> View:
    def refused(request: HttpRequest) -> JsonResponse | None:
        try:
            check(request)
        except Refusal as refusal:
            return JsonResponse(refusal.body(), status=refusal.status, headers=refusal.headers())
        return None

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return refused(request) or view(request, *args, **kwargs)

    @wraps(view)
    async def guarded_async(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return refused(request) or await view(request, *args, **kwargs)

    return cast(View, guarded_async if iscoroutinefunction(view) else guarded)


def _found(request: HttpRequest) -> Auth | Refusal:
    found = getattr(request, "_stagedoor_found", None)
    if found is None:
        raise ImproperlyConfigured('MIDDLEWARE in the settings lacks "stagedoor.django.StagedoorMiddleware".')
    return cast("Auth | Refusal", found)
