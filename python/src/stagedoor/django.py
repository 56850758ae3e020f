"""Django: `request.auth` tells who sent a request, and who is really acting.

In the settings::

    MIDDLEWARE = [..., "stagedoor.django.StagedoorMiddleware"]
    STAGEDOOR = {
        "issuer": "http://127.0.0.1:4100",
        "server_url": "http://127.0.0.1:4100",
        "authorized_parties": ["http://localhost:8000"],
    }

`STAGEDOOR` has the arguments of `Verifier`. An app with its own login sets `{"session": "shop.auth.session_of"}`
instead: a function or its dotted name, `async` or not, that takes the request and returns an `OwnSession`, or None if
no user is signed in.

`reads` lists endpoints that only read although their method is not GET, HEAD or OPTIONS: `["POST /search"]`. Sessions
that may only read can use them.

Guards decorate function views and class-based views (`require_user(MyView.as_view())`), `async` or not, and methods of
class-based views, directly or with `method_decorator`.

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

from collections.abc import Callable, Generator
from functools import wraps
from inspect import isawaitable, signature
from typing import Any, TypeVar, cast

from asgiref.sync import async_to_sync, iscoroutinefunction
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.utils.module_loading import import_string
from django.views import View as ClassBasedView

from stagedoor import auth as rules
from stagedoor._scopes import Reads, reads_of
from stagedoor.auth import Refusal
from stagedoor.errors import StagedoorError
from stagedoor.verify import Auth, Verifier

View = TypeVar("View", bound=Callable[..., Any])

_VERIFIER_OPTIONS = tuple(signature(Verifier).parameters)
_KEY_OPTIONS = ("server_url", "jwks", "public_key")


class StagedoorMiddleware:
    """Sets `request.auth`: an `Auth`, or None if no user is signed in.

    In a session that may only read, it refuses methods except GET, HEAD and OPTIONS: 403 `forbidden_while_acting`.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        options, self._reads = _without_reads(getattr(settings, "STAGEDOOR", None))
        self._find = _finder(options)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        found = self._find(request)
        request.auth = None if isinstance(found, Refusal) else found  # type: ignore[attr-defined]
        request._stagedoor_found = found  # type: ignore[attr-defined]
        try:
            rules.assert_within_limits(found, _methods(request), request.path, self._reads)
        except Refusal as refusal:
            return _Blocked(refusal.body(), status=refusal.status, headers=refusal.headers())
        return self._get_response(request)


def auth_of(request: HttpRequest) -> Auth | None:
    """Returns who sent the request: `request.auth`, with its type. None if no user is signed in."""
    found = _found(request)
    return None if isinstance(found, Refusal) else found


def require_user(view: View) -> View:
    """Decorates a view: allows signed-in requests, with or without actor; others get 401 `authentication_invalid`."""
    return _guarded(view, lambda request: rules.require_user(_found(request)))


def forbid_acting(view: View) -> View:
    """Decorates a view: allows users themselves; actors get 403 `forbidden_while_acting`."""
    return _guarded(view, lambda request: rules.forbid_acting(_found(request)))


def require_acting(view: View) -> View:
    """Decorates a view: allows only requests with an actor; others get 403 `acting_required`."""
    return _guarded(view, lambda request: rules.require_acting(_found(request)))


def read_only_while_acting(view: View) -> View:
    """Decorates a view: allows users; actors get 403 `forbidden_while_acting` unless they only read."""
    return _guarded(view, lambda request: rules.read_only_while_acting(_found(request), _methods(request)))


def require_scope(scope: str) -> Callable[[View], View]:
    """Returns a decorator of views: allows users, and actors whose session has the scope or is not limited to scopes.

    Others get 403 `forbidden_while_acting`.

    Raises:
        TypeError: it cannot be a scope

    Example:
        >>> @require_scope("invoices:send")
        ... def send_invoice(request):
        ...     return {}
    """
    rules.assert_scope(scope)
    return lambda view: _guarded(view, lambda request: rules.require_scope(_found(request), scope))


def _methods(request: HttpRequest) -> list[str]:
    # A middleware may have changed only `request.method`.
    actual = [request.method, request.META.get("REQUEST_METHOD")]
    return rules.methods_of(actual, request.headers.get, request.GET.getlist("_method"))


class _Blocked(JsonResponse):
    """The answer to a blocked request. A caller may await it: the methods of an async class-based view are awaited."""

    def __await__(self) -> Generator[None, None, _Blocked]:
        return self
        yield


def _guarded(view: View, check: Callable[[HttpRequest], Auth]) -> View:
    if isinstance(view, type):
        name = view.__name__
        raise TypeError(
            f"A guard decorates a view, and {name} is a class: use guard({name}.as_view()), or "
            'method_decorator(guard, name="dispatch").'
        )

    def refused(args: tuple[Any, ...], kwargs: dict[str, Any]) -> JsonResponse | None:
        # The first argument of a method of a class-based view is the view, the second one the request.
        position = 1 if args and isinstance(args[0], ClassBasedView) else 0
        request = args[position] if len(args) > position else kwargs["request"]
        try:
            check(request)
        except Refusal as refusal:
            return _Blocked(refusal.body(), status=refusal.status, headers=refusal.headers())
        return None

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        return refused(args, kwargs) or view(*args, **kwargs)

    @wraps(view)
    async def guarded_async(*args: Any, **kwargs: Any) -> Any:
        return refused(args, kwargs) or await view(*args, **kwargs)

    # asgiref's function, as in Django: before Python 3.12, inspect does not detect an async class-based view.
    return cast(View, guarded_async if iscoroutinefunction(view) else guarded)


def _found(request: HttpRequest) -> Auth | Refusal:
    found = getattr(request, "_stagedoor_found", None)
    if found is None:
        raise ImproperlyConfigured('MIDDLEWARE in the settings lacks "stagedoor.django.StagedoorMiddleware".')
    return cast("Auth | Refusal", found)


def _without_reads(options: object) -> tuple[object, Reads]:
    """Returns the setting without its member `reads`, and what that says. Raises ImproperlyConfigured."""
    if not isinstance(options, dict):
        return options, reads_of(())
    rest = dict(options)
    try:
        return rest, reads_of(rest.pop("reads", ()))
    except TypeError as cause:
        raise ImproperlyConfigured(f'"reads" in the setting STAGEDOOR is not valid. {cause}') from cause


def _finder(options: object) -> Callable[[HttpRequest], Auth | Refusal]:
    """Creates the function that authenticates requests, from the setting. Raises ImproperlyConfigured."""
    if not isinstance(options, dict) or not options:
        raise ImproperlyConfigured(
            "The setting STAGEDOOR is missing or empty. Set it to a dict: "
            '{"issuer": …, "server_url": …} for session tokens, or {"session": …} for the app\'s own login.'
        )
    if "session" in options:
        return _finder_by_session(options)
    verifier = _verifier(options)
    return lambda request: rules.by_token(
        verifier, request.headers.get("Authorization"), request.META.get("HTTP_COOKIE")
    )


def _finder_by_session(options: dict[str, Any]) -> Callable[[HttpRequest], Auth | Refusal]:
    session = options["session"]
    if len(options) > 1:
        raise ImproperlyConfigured(
            'The setting STAGEDOOR has "session" and other members. Give "session" alone, or what Verifier takes.'
        )
    if isinstance(session, str):
        try:
            session = import_string(session)
        except ImportError as cause:
            raise ImproperlyConfigured(f'"session" in the setting STAGEDOOR cannot be imported: {cause}') from cause
    if not callable(session):
        raise ImproperlyConfigured(
            '"session" in the setting STAGEDOOR must be a function that takes the request, or its dotted name.'
        )

    def find(request: HttpRequest) -> Auth | Refusal:
        told = session(request)
        return rules.by_session(async_to_sync(_awaited)(told) if isawaitable(told) else told)

    return find


async def _awaited(told: Any) -> Any:
    return await told


def _verifier(options: dict[str, Any]) -> Verifier:
    unknown = [repr(each) for each in options if each not in _VERIFIER_OPTIONS]
    if unknown:
        raise ImproperlyConfigured(
            f"The setting STAGEDOOR has unknown members: {', '.join(unknown)}. "
            f"It can have: {', '.join((*_VERIFIER_OPTIONS, 'session'))}."
        )
    if "issuer" not in options:
        raise ImproperlyConfigured(
            'The setting STAGEDOOR has no "issuer". Give the STAGEDOOR_PUBLIC_URL of the server whose tokens the app '
            "accepts."
        )
    if all(options.get(name) is None for name in _KEY_OPTIONS):
        raise ImproperlyConfigured(
            'The setting STAGEDOOR names no keys. Give "server_url", where the server is; or "jwks" or "public_key".'
        )
    try:
        return Verifier(**options)
    except (TypeError, ValueError, AttributeError, StagedoorError) as cause:
        raise ImproperlyConfigured(f"The setting STAGEDOOR is not valid. {cause}") from cause
