"""One small app in each framework, on a real server, so that tests send requests as bytes."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Annotated, Any

import fastapi
import flask
import uvicorn
from django.core.asgi import get_asgi_application
from django.core.handlers.asgi import ASGIRequest
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path
from fastapi.responses import StreamingResponse
from werkzeug.serving import WSGIRequestHandler, make_server

import stagedoor.django as for_django
import stagedoor.fastapi as for_fastapi
import stagedoor.flask as for_flask
from stagedoor import Auth, Verifier

GUARDS = ["require_user", "forbid_acting", "require_acting", "read_only_while_acting"]
FRAMEWORKS = ["fastapi", "flask", "flask-async", "django", "django-async", "django-asgi"]


def seen(auth: Auth | None) -> dict[str, Any]:
    """Returns the answer of an app: who sent the request."""
    if auth is None:
        return {"user": None}
    actor = None if auth.actor is None else auth.actor.sub
    return {"user": auth.user_id, "session": auth.session_id, "actor": actor, "claims": dict(auth.claims)}


def fastapi_app(**options: Any) -> fastapi.FastAPI:
    """`/current` and one address for each guard; `/stream` answers in two parts with a pause in between."""
    app = fastapi.FastAPI()
    for_fastapi.install(app, **options)

    def add(name: str, dependency: Callable[..., Any]) -> None:
        def view(auth: Auth | None) -> dict[str, Any]:
            return seen(auth)

        # Not as a string, which FastAPI would resolve in this module.
        view.__annotations__["auth"] = Annotated[Auth | None, fastapi.Depends(dependency)]
        app.api_route(f"/{name}", methods=["GET", "POST", "DELETE"])(view)

    add("current", for_fastapi.current_auth)
    for name in GUARDS:
        add(name, getattr(for_fastapi, name))

    def stream(auth: Any) -> StreamingResponse:
        async def parts() -> Any:
            for _ in range(2):
                yield json.dumps(seen(auth)) + "\n"
                await asyncio.sleep(0.1)

        return StreamingResponse(parts())

    stream.__annotations__["auth"] = Annotated[Auth | None, fastapi.Depends(for_fastapi.current_auth)]
    app.get("/stream")(stream)
    return app


def flask_app(asynchronous: bool, **options: Any) -> flask.Flask:
    """Returns the same app in Flask."""
    app = flask.Flask("shop")
    for_flask.install(app, **options)

    def view() -> Any:
        return seen(for_flask.current_auth())

    async def view_async() -> Any:
        await asyncio.sleep(0)
        return seen(for_flask.current_auth())

    plain = view_async if asynchronous else view
    for name in ["current", *GUARDS]:
        guarded = plain if name == "current" else getattr(for_flask, name)(plain)
        app.add_url_rule(f"/{name}", endpoint=name, view_func=guarded, methods=["GET", "POST", "DELETE"])

    @app.get("/stream")
    def stream() -> Any:
        def parts() -> Iterator[str]:
            for _ in range(2):
                yield json.dumps(seen(for_flask.current_auth())) + "\n"
                time.sleep(0.1)

        return app.response_class(flask.stream_with_context(parts()))

    return app


def django_view(request: HttpRequest) -> HttpResponse:
    return JsonResponse(seen(for_django.auth_of(request)))


async def django_view_async(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0)
    return JsonResponse(seen(for_django.auth_of(request)))


def django_stream(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[str]:
        for _ in range(2):
            yield json.dumps(seen(for_django.auth_of(request))) + "\n"
            time.sleep(0.1)

    async def parts_async() -> Any:
        for _ in range(2):
            yield json.dumps(seen(for_django.auth_of(request))) + "\n"
            await asyncio.sleep(0.1)

    return StreamingHttpResponse(parts_async() if isinstance(request, ASGIRequest) else parts())


def django_urls(view: Callable[..., Any], prefix: str) -> list[Any]:
    guarded = {name: getattr(for_django, name)(view) for name in GUARDS}
    views = {"current": view, **guarded, "stream": django_stream}
    return [path(f"{prefix}{name}", each) for name, each in views.items()]


urlpatterns = [*django_urls(django_view, ""), *django_urls(django_view_async, "async/")]


@dataclass
class Server:
    """A server on a port of this machine. The addresses of its app begin with `prefix`."""

    port: int
    prefix: str = ""

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    def ask(
        self,
        address: str,
        *headers: tuple[str, str],
        method: str = "GET",
        on: http.client.HTTPConnection | None = None,
    ) -> tuple[int, Any]:
        """Sends each header unchanged, including repeated names. Returns the status, and the body's JSON."""
        connection = self.connect() if on is None else on
        connection.putrequest(method, f"{self.prefix}{address}")
        for name, value in headers:
            connection.putheader(name, value)
        connection.putheader("Content-Length", "0")
        connection.endheaders()
        response = connection.getresponse()
        text = response.read()
        if on is None:
            connection.close()
        return response.status, json.loads(text)

    def lines(self, address: str, *headers: tuple[str, str]) -> Iterator[Any]:
        """Yields the JSON of each line of an answer as it arrives."""
        connection = self.connect()
        connection.request("GET", f"{self.prefix}{address}", headers=dict(headers))
        response = connection.getresponse()
        while line := response.readline():
            yield json.loads(line)
        connection.close()


class _Quiet(WSGIRequestHandler):
    # Keep connections open for the next request.
    protocol_version = "HTTP/1.1"
    # Headers and body of an answer are written separately: the body must not wait for the client's acknowledgement.
    disable_nagle_algorithm = True

    def log(self, type: str, message: str, *args: Any) -> None:
        pass


@contextmanager
def wsgi_server(app: Any, around: AbstractContextManager[Any] | None = None) -> Iterator[int]:
    """Serves in threads. With `around`, serves one request at a time within that context. Yields the port."""
    server = make_server("127.0.0.1", 0, app, threaded=around is None, request_handler=_Quiet)

    def serve() -> None:
        with around or nullcontext():
            server.serve_forever(0.02)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def asgi_server(app: Any) -> Iterator[int]:
    """Serves with uvicorn. Yields the port."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none", loop="asyncio"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@contextmanager
def serving(framework: str, options: dict[str, Any]) -> Iterator[Server]:
    """Starts an app in a framework, on a real server.

    Args:
        framework: One of `FRAMEWORKS`.
        options: The options of `Verifier`, or `{"session": …}`.
    """
    how = options if "session" in options else {"verifier": Verifier(**options)}
    with ExitStack() as stack:
        if framework == "fastapi":
            yield Server(stack.enter_context(asgi_server(fastapi_app(**how))))
        elif framework.startswith("flask"):
            yield Server(stack.enter_context(wsgi_server(flask_app(framework == "flask-async", **how))))
        else:
            stack.enter_context(override_settings(ROOT_URLCONF=__name__, STAGEDOOR=options))
            prefix = "" if framework == "django" else "/async"
            if framework == "django-asgi":
                yield Server(stack.enter_context(asgi_server(get_asgi_application())), prefix)
            else:
                yield Server(stack.enter_context(wsgi_server(get_wsgi_application())), prefix)
