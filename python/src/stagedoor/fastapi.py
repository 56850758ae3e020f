"""FastAPI: dependencies that say who is asking, and who is really acting.

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

from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse

from stagedoor import auth as rules
from stagedoor.auth import Refusal
from stagedoor.verify import Auth, Verifier


def install(app: FastAPI, verifier: Verifier) -> None:
    """Tells an app how session tokens are verified, and how what is refused is answered.

    Args:
        app: The app; a mounted one needs its own.
        verifier: `Verifier(issuer=…, server_url=…, authorized_parties=[…])`
    """
    app.state.stagedoor_verifier = verifier
    app.add_exception_handler(Refusal, _answer)


def _found(request: Request) -> Auth | Refusal:
    verifier = getattr(request.app.state, "stagedoor_verifier", None)
    if not isinstance(verifier, Verifier):
        raise RuntimeError(
            "This app has no verifier: call `stagedoor.fastapi.install(app, Verifier(…))` when you make it."
        )
    return rules.authenticate(verifier, request.headers.get("authorization"), request.cookies)


Found = Annotated[Auth | Refusal, Depends(_found)]

# Plain functions: FastAPI calls them in a thread, where fetching keys holds nobody up.


def current_auth(found: Found) -> Auth | None:
    """Who is asking; None if nobody is signed in."""
    return None if isinstance(found, Refusal) else found


def require_user(found: Found) -> Auth:
    """Lets users through, and those who act as them; else 401 `authentication_invalid`."""
    return rules.require_user(found)


def forbid_acting(found: Found) -> Auth:
    """Lets users through, and nobody who acts as one: 403 `forbidden_while_acting`."""
    return rules.forbid_acting(found)


def require_acting(found: Found) -> Auth:
    """Lets those through who act as a user; else 403 `acting_required`."""
    return rules.require_acting(found)


def read_only_while_acting(request: Request, found: Found) -> Auth:
    """Lets users through, and those who act as one if they only read; else 403 `forbidden_while_acting`."""
    return rules.read_only_while_acting(found, request.method)


def _answer(request: Request, refusal: Exception) -> JSONResponse:
    assert isinstance(refusal, Refusal)
    return JSONResponse(refusal.body(), refusal.status, refusal.headers())
