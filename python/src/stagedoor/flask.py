"""Flask: who is asking, and who is really acting.

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

from collections.abc import Callable
from functools import wraps
from typing import TypeVar, cast

from flask import Flask, Response, current_app, g, jsonify, request
from flask.typing import ResponseReturnValue

from stagedoor import auth as rules
from stagedoor.auth import Refusal
from stagedoor.verify import Auth, Verifier

View = TypeVar("View", bound=Callable[..., object])

_EXTENSION = "stagedoor"


def install(app: Flask, verifier: Verifier) -> None:
    """Tells an app how session tokens are verified, and how what is refused is answered.

    Args:
        app: The app.
        verifier: `Verifier(issuer=…, server_url=…, authorized_parties=[…])`
    """
    app.extensions[_EXTENSION] = verifier
    app.register_error_handler(Refusal, _answer)


def current_auth() -> Auth | None:
    """Who is asking; None if nobody is signed in. In a view that lets nobody else through, never None."""
    found = _found()
    return None if isinstance(found, Refusal) else found


def require_user(view: View) -> View:
    """Decorates a view: lets users through, and those who act as them; else 401 `authentication_invalid`."""
    return _guarded(view, lambda: rules.require_user(_found()))


def forbid_acting(view: View) -> View:
    """Decorates a view: lets users through, and nobody who acts as one: 403 `forbidden_while_acting`."""
    return _guarded(view, lambda: rules.forbid_acting(_found()))


def require_acting(view: View) -> View:
    """Decorates a view: lets those through who act as a user; else 403 `acting_required`."""
    return _guarded(view, lambda: rules.require_acting(_found()))


def read_only_while_acting(view: View) -> View:
    """Decorates a view: lets users through, and those who act as one if they only read; else 403
    `forbidden_while_acting`."""
    return _guarded(view, lambda: rules.read_only_while_acting(_found(), request.method))


def _guarded(view: View, check: Callable[[], Auth]) -> View:
    @wraps(view)
    def guarded(*args: object, **kwargs: object) -> ResponseReturnValue:
        check()
        # Views may be coroutines.
        return cast(ResponseReturnValue, current_app.ensure_sync(view)(*args, **kwargs))

    return cast(View, guarded)


def _found() -> Auth | Refusal:
    """Verified once a request, when first asked."""
    if "stagedoor_auth" not in g:
        verifier = current_app.extensions.get(_EXTENSION)
        if not isinstance(verifier, Verifier):
            raise RuntimeError(
                "This app has no verifier: call `stagedoor.flask.install(app, Verifier(…))` when you make it."
            )
        g.stagedoor_auth = rules.authenticate(verifier, request.headers.get("Authorization"), request.cookies)
    return cast("Auth | Refusal", g.stagedoor_auth)


def _answer(refusal: Refusal) -> tuple[Response, int, dict[str, str]]:
    return jsonify(refusal.body()), refusal.status, refusal.headers()
