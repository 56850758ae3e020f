"""No identity outlives its request, even if connections, contexts, threads or streamed answers live longer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import flask
import httpx
import pytest
from http_apps import FRAMEWORKS, GUARDS, Server, fastapi_app, flask_app, seen, serving, wsgi_server
from test_cookies import OPTIONS, TOKENS

import stagedoor.flask as for_flask
from stagedoor import Verifier

VERIFIER = Verifier(**OPTIONS)
BEARER = {name: ("Authorization", f"Bearer {token}") for name, token in TOKENS.items()}
CARL = ("user_carl", None)
DORA = ("user_dora", None)
ACTING = ("user_carl", "olivia@support")
NOBODY = (None, None)


def who(body: Any) -> tuple[str | None, str | None]:
    return body["user"], body.get("actor")


@pytest.fixture(params=FRAMEWORKS, scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serving(request.param, OPTIONS) as server:
        yield server


def check_a_sequence(server: Server, connection: Any) -> None:
    for headers, expected in [
        ([BEARER["own"]], CARL),
        ([], NOBODY),
        ([BEARER["acting"]], ACTING),
        ([BEARER["other"]], DORA),
        ([("Cookie", f"__session={TOKENS['acting']}")], ACTING),
        ([("Cookie", "__session=x")], NOBODY),
        ([BEARER["own"]], CARL),
        ([BEARER["expired"]], NOBODY),
    ]:
        assert who(server.ask("/current", *headers, on=connection)[1]) == expected
    # The user, then a request without a session, then an actor.
    for guard in GUARDS:
        allowed = 403 if guard == "require_acting" else 200
        assert server.ask(f"/{guard}", BEARER["own"], method="DELETE", on=connection)[0] == allowed
        assert server.ask(f"/{guard}", method="DELETE", on=connection)[0] == 401
    for guard in ("forbid_acting", "read_only_while_acting"):
        assert server.ask(f"/{guard}", BEARER["own"], method="DELETE", on=connection)[0] == 200
        assert server.ask(f"/{guard}", BEARER["acting"], method="DELETE", on=connection)[0] == 403


def test_requests_of_one_connection(server: Server) -> None:
    connection = server.connect()
    check_a_sequence(server, connection)
    connection.close()


def test_requests_at_the_same_time(server: Server) -> None:
    together = threading.Barrier(8)

    def ask_often(number: int) -> list[bool]:
        name, expected = [("own", CARL), ("acting", ACTING), ("other", DORA), (None, NOBODY)][number % 4]
        headers = [] if name is None else [BEARER[name]]
        connection = server.connect()
        together.wait()
        answers = [server.ask("/current", *headers, on=connection)[1] for _ in range(10)]
        connection.close()
        return [who(answer) == expected for answer in answers]

    with ThreadPoolExecutor(8) as pool:
        assert all(all(right) for right in pool.map(ask_often, range(8)))


def test_a_streamed_answer(server: Server) -> None:
    parts = server.lines("/stream", BEARER["acting"])
    assert who(next(parts)) == ACTING
    assert who(server.ask("/current", BEARER["own"])[1]) == CARL
    assert who(server.ask("/current")[1]) == NOBODY
    assert who(next(parts)) == ACTING
    assert list(parts) == []


@pytest.mark.parametrize("asynchronous", [False, True])
class TestFlaskContextsThatOutliveARequest:
    """Flask reuses an existing application context, and `flask.g` with it."""

    def test_in_a_synchronous_worker(self, asynchronous: bool) -> None:
        app = flask_app(asynchronous, verifier=VERIFIER)
        with wsgi_server(app, around=app.app_context()) as port:
            check_a_sequence(Server(port), None)

    def test_in_one_thread(self, asynchronous: bool) -> None:
        app = flask_app(asynchronous, verifier=VERIFIER)
        client = app.test_client()
        with app.app_context():
            for name, expected in [("own", CARL), (None, NOBODY), ("acting", ACTING), ("other", DORA), (None, NOBODY)]:
                assert who(client.get("/current", headers=dict([BEARER[name]] if name else [])).json) == expected
            assert client.delete("/forbid_acting", headers=dict([BEARER["own"]])).status_code == 200
            assert client.delete("/forbid_acting", headers=dict([BEARER["acting"]])).status_code == 403
            assert client.delete("/forbid_acting").status_code == 401


def test_flask_caches_for_one_request_and_one_app() -> None:
    app, other = (flask_app(False, verifier=VERIFIER) for _ in range(2))
    other.extensions["stagedoor"] = lambda _: {"user_id": "from-the-other-app"}
    with app.test_request_context(headers=dict([BEARER["own"]])):
        assert who(seen(for_flask.current_auth())) == CARL
        with app.test_request_context(headers=dict([BEARER["acting"]])):
            assert who(seen(for_flask.current_auth())) == ACTING
        with app.test_request_context(environ_base=flask.request.environ | {"HTTP_AUTHORIZATION": ""}):
            assert who(seen(for_flask.current_auth())) == NOBODY
        with other.app_context():
            assert who(seen(for_flask.current_auth())) == ("from-the-other-app", None)
        assert who(seen(for_flask.current_auth())) == CARL
        assert "stagedoor_auth" not in flask.g


def test_flask_verifies_once_per_request(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0
    verify = Verifier.verify

    def counted(self: Verifier, token: str) -> Any:
        nonlocal count
        count += 1
        return verify(self, token)

    monkeypatch.setattr(Verifier, "verify", counted)
    app = flask_app(False, verifier=VERIFIER)
    assert app.test_client().get("/forbid_acting", headers=dict([BEARER["own"]])).status_code == 200
    assert count == 1


def test_fastapi_in_one_event_loop() -> None:
    app = fastapi_app(verifier=VERIFIER)

    async def main() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            names = ["own", "acting", None, "other"] * 5
            asked = [client.get("/current", headers=[BEARER[name]] if name else []) for name in names]
            answers = await asyncio.gather(*asked)
        found = [who(answer.json()) for answer in answers]
        assert found == [CARL, ACTING, NOBODY, DORA] * 5

    asyncio.run(main())
