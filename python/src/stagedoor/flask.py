"""Flask: who sent a request, and who is really acting.

Example:
    >>> from flask import Flask
    >>> from stagedoor.flask import current_auth, forbid_acting, install, require_user
    >>> app = Flask("shop")
    >>> install(app, Verifier(issuer=issuer, server_url=server_url))
    >>> @app.get("/me")
    ... @require_user
    ... def me():
    ...     auth = current_auth()
    ...     return {"user": auth.user_id, "acting": auth.actor.sub if auth.actor else "nobody"}
    >>> @app.delete("/me")
    ... @forbid_acting
    ... def close_account():
    ...     return {}
    >>> headers = {"Authorization": f"Bearer {stagedoor.sessions.get_token(session.id).jwt}"}
    >>> app.test_client().get("/me", headers=headers).json == {"user": user.id, "acting": "olivia@support"}
    True
    >>> app.test_client().delete("/me", headers=headers).json["errors"][0]["code"]
    'forbidden_while_acting'
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import wraps
from inspect import isawaitable
from typing import Any, TypeVar, cast

from flask import Flask, Request, Response, current_app, jsonify, request
from flask.typing import ResponseReturnValue

from stagedoor import auth as rules
from stagedoor._scopes import reads_of
from stagedoor.auth import Refusal, SessionFunction
from stagedoor.verify import Auth, Verifier

View = TypeVar("View", bound=Callable[..., object])

_EXTENSION = "stagedoor"
_READS = "stagedoor_reads"
_REMEMBERED = "_stagedoor_found"


def install(
    app: Flask,
    verifier: Verifier | None = None,
    *,
    session: SessionFunction[Request] | None = None,
    reads: Sequence[str] = (),
) -> None:
    """Sets how an app authenticates requests, and adds the answer to blocked requests.

    Args:
        app: The app.
        verifier: For session tokens: `Verifier(issuer=…, server_url=…, authorized_parties=[…])`
        session: For the app's own login, instead of `verifier`: a function, `async` or not, that takes the request and
            returns an `OwnSession`, or None if no user is signed in.
        reads: Endpoints that only read although their method is not GET, HEAD or OPTIONS: `["POST /search"]`. Sessions
            that may only read can use them.

    Raises:
        TypeError: not exactly one of `verifier` and `session` is given, or a pattern is invalid
    """
    rules.check_one(verifier, session)
    app.extensions[_EXTENSION] = verifier if session is None else session
    app.extensions[_READS] = reads_of(reads)
    app.register_error_handler(Refusal, _answer)


def current_auth() -> Auth | None:
    """Returns who sent the request; None if no user is signed in. Never None in a view with a guard."""
    found = _found()
    return None if isinstance(found, Refusal) else found


def require_user(view: View) -> View:
    """Decorates a view: allows signed-in requests, with or without actor; others get 401 `authentication_invalid`."""
    return _guarded(view, lambda: rules.require_user(_found()))


def forbid_acting(view: View) -> View:
    """Decorates a view: allows users themselves; actors get 403 `forbidden_while_acting`."""
    return _guarded(view, lambda: rules.forbid_acting(_found()))


def require_acting(view: View) -> View:
    """Decorates a view: allows only requests with an actor; others get 403 `acting_required`."""
    return _guarded(view, lambda: rules.require_acting(_found()))


def read_only_while_acting(view: View) -> View:
    """Decorates a view: allows users; actors get 403 `forbidden_while_acting` unless they only read."""
    return _guarded(view, lambda: rules.read_only_while_acting(_found(), _methods()))


def require_scope(scope: str) -> Callable[[View], View]:
    """Returns a decorator of views: allows users, and actors whose session has the scope or is not limited to scopes.

    Others get 403 `forbidden_while_acting`.

    Raises:
        TypeError: it cannot be a scope

    Example:
        >>> @require_scope("invoices:send")
        ... def send_invoice():
        ...     return {}
    """
    rules.assert_scope(scope)
    return lambda view: _guarded(view, lambda: rules.require_scope(_found(), scope))


def _methods() -> list[str]:
    query = request.args.getlist("_method")
    return rules.methods_of([request.method, request.environ.get("REQUEST_METHOD")], request.headers.get, query)


def _guarded(view: View, check: Callable[[], Auth]) -> View:
    @wraps(view)
    def guarded(*args: object, **kwargs: object) -> ResponseReturnValue:
        check()
        # Views may be coroutines.
        return cast(ResponseReturnValue, current_app.ensure_sync(view)(*args, **kwargs))

    return cast(View, guarded)


def _found() -> Auth | Refusal:
    """Authenticates the request when first needed, and caches the result for this request only."""
    installed: Any = current_app.extensions.get(_EXTENSION)
    if installed is None:
        raise RuntimeError(
            "This app has no verifier: call `stagedoor.flask.install(app, Verifier(…))` when you create it."
        )
    # Store it on the request, not in flask.g, because an application context may outlive the request.
    members = cast("dict[str, Any]", vars(request._get_current_object()))  # type: ignore[attr-defined]
    remembered_for, found = members.get(_REMEMBERED, (None, None))
    if remembered_for is not installed:
        found = _find(installed)
        rules.assert_within_limits(found, _methods(), request.path, current_app.extensions[_READS])
        members[_REMEMBERED] = (installed, found)
    return cast("Auth | Refusal", found)


def _find(installed: Any) -> Auth | Refusal:
    if isinstance(installed, Verifier):
        return rules.by_token(installed, request.headers.get("Authorization"), request.headers.get("Cookie"))
    told = installed(request)
    return rules.by_session(_result(told) if isawaitable(told) else told)


def _result(told: Awaitable[Any]) -> Any:
    """Waits in a separate thread, because an `async` view has an event loop in this thread."""

    async def awaited() -> Any:
        return await told

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(copy_context().run, asyncio.run, awaited()).result()


def _answer(refusal: Refusal) -> tuple[Response, int, dict[str, str]]:
    return jsonify(refusal.body()), refusal.status, refusal.headers()
