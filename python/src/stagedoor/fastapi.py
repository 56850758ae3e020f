"""FastAPI: dependencies that tell who sent a request, and who is really acting.

Example:
    >>> from typing import Annotated
    >>> from fastapi import Depends, FastAPI
    >>> from fastapi.testclient import TestClient
    >>> from stagedoor.fastapi import forbid_acting, install, require_user
    >>> app = FastAPI()
    >>> install(app, Verifier(issuer=issuer, server_url=server_url))
    >>> @app.get("/me")
    ... def me(auth: Annotated[Auth, Depends(require_user)]) -> dict[str, str]:
    ...     return {"user": auth.user_id, "acting": auth.actor.sub if auth.actor else "nobody"}
    >>> @app.delete("/me", dependencies=[Depends(forbid_acting)])
    ... def close_account() -> None: ...
    >>> client = TestClient(app, headers={"Authorization": f"Bearer {stagedoor.sessions.get_token(session.id).jwt}"})
    >>> client.get("/me").json() == {"user": user.id, "acting": "olivia@support"}
    True
    >>> client.delete("/me").json()["errors"][0]["code"]
    'forbidden_while_acting'
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import isawaitable
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from stagedoor import auth as rules
from stagedoor._scopes import reads_of
from stagedoor.auth import Refusal, SessionFunction
from stagedoor.verify import Auth, Verifier


def install(
    app: FastAPI,
    verifier: Verifier | None = None,
    *,
    session: SessionFunction[Request] | None = None,
    reads: Sequence[str] = (),
) -> None:
    """Sets how an app authenticates requests, and adds the answer to blocked requests.

    Args:
        app: The app. A mounted app needs its own call.
        verifier: For session tokens: `Verifier(issuer=…, server_url=…, authorized_parties=[…])`
        session: For the app's own login, instead of `verifier`: a function, `async` or not, that takes the request and
            returns an `OwnSession`, or None if no user is signed in.
        reads: Endpoints that only read although their method is not GET, HEAD or OPTIONS: `["POST /search"]`. Sessions
            that may only read can use them.

    Raises:
        TypeError: not exactly one of `verifier` and `session` is given, or a pattern is invalid
    """
    rules.check_one(verifier, session)
    app.state.stagedoor = verifier if session is None else session
    app.state.stagedoor_reads = reads_of(reads)
    app.add_exception_handler(Refusal, _answer)


async def _found(request: Request) -> Auth | Refusal:
    found = await _find(request)
    rules.assert_within_limits(found, _methods(request), request.url.path, request.app.state.stagedoor_reads)
    return found


async def _find(request: Request) -> Auth | Refusal:
    installed: Any = getattr(request.app.state, "stagedoor", None)
    if installed is None:
        raise RuntimeError(
            "This app has no verifier: call `stagedoor.fastapi.install(app, Verifier(…))` when you create it."
        )
    # In a thread: fetching keys, or reading the app's session, must not block the event loop.
    if isinstance(installed, Verifier):
        headers = request.headers
        # An HTTP/2 client may send each cookie in a separate header.
        cookie = "; ".join(headers.getlist("cookie"))
        authorization = ", ".join(headers.getlist("authorization"))
        return await run_in_threadpool(rules.by_token, installed, authorization, cookie)
    told = await run_in_threadpool(installed, request)
    return rules.by_session(await told if isawaitable(told) else told)


Found = Annotated[Auth | Refusal, Depends(_found)]


def current_auth(found: Found) -> Auth | None:
    """Returns who sent the request; None if no user is signed in."""
    return None if isinstance(found, Refusal) else found


def require_user(found: Found) -> Auth:
    """Allows signed-in requests, with or without an actor; others get 401 `authentication_invalid`."""
    return rules.require_user(found)


def forbid_acting(found: Found) -> Auth:
    """Allows users themselves; actors get 403 `forbidden_while_acting`."""
    return rules.forbid_acting(found)


def require_acting(found: Found) -> Auth:
    """Allows only requests with an actor; others get 403 `acting_required`."""
    return rules.require_acting(found)


def read_only_while_acting(request: Request, found: Found) -> Auth:
    """Allows users; actors get 403 `forbidden_while_acting` unless they only read."""
    return rules.read_only_while_acting(found, _methods(request))


def require_scope(scope: str) -> Callable[..., Auth]:
    """Returns a dependency: allows users, and actors whose session has the scope or is not limited to scopes.

    Others get 403 `forbidden_while_acting`.

    Raises:
        TypeError: it cannot be a scope

    Example:
        >>> from fastapi import Depends
        >>> may_send = Depends(require_scope("invoices:send"))
    """
    rules.assert_scope(scope)

    def dependency(found: Found) -> Auth:
        return rules.require_scope(found, scope)

    return dependency


def _methods(request: Request) -> list[str]:
    return rules.methods_of([request.method], request.headers.get, request.query_params.getlist("_method"))


def _answer(request: Request, refusal: Exception) -> JSONResponse:
    assert isinstance(refusal, Refusal)
    return JSONResponse(refusal.body(), refusal.status, refusal.headers())
