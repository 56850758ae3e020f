"""Fixtures for tests against real servers, which test/python.test.ts starts: `npm test -- python`."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import django
import pytest
from django.conf import settings
from servers import ACTOR, ISSUER, SECRET_KEY, SERVER_URL

import stagedoor as package
from stagedoor import Stagedoor, models

# Configure Django before any of its modules reads the settings.
settings.configure(
    ALLOWED_HOSTS=["testserver", "127.0.0.1"],
    MIDDLEWARE=["stagedoor.django.StagedoorMiddleware"],
    STAGEDOOR={"issuer": ISSUER, "server_url": SERVER_URL},
    SECRET_KEY="of these tests",
)
django.setup()


@pytest.fixture(scope="session")
def stagedoor() -> Iterator[Stagedoor]:
    with Stagedoor(bearer_auth=SECRET_KEY, server_url=SERVER_URL) as client:
        yield client


@pytest.fixture
def client_of() -> Iterator[Callable[..., Stagedoor]]:
    """Creates clients that are closed after the test."""
    with ExitStack() as stack:
        yield lambda url, key="sk_test_1", **options: stack.enter_context(
            Stagedoor(bearer_auth=key, server_url=url, **options)
        )


@pytest.fixture
def user(stagedoor: Stagedoor) -> models.User:
    return stagedoor.users.create(first_name="Carl", external_id=f"customer-{os.urandom(6).hex()}")


@pytest.fixture
def accepted(stagedoor: Stagedoor, user: models.User) -> models.AcceptedActorToken:
    token = stagedoor.actor_tokens.create(user_id=user.id, actor=ACTOR)
    return stagedoor.actor_tokens.accept(token.token or "")


@pytest.fixture
def in_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGEDOOR_SERVER_URL", SERVER_URL)
    monkeypatch.setenv("STAGEDOOR_SECRET_KEY", SECRET_KEY)


@pytest.fixture(autouse=True)
def names_of_examples(request: pytest.FixtureRequest) -> None:
    """Defines the names that the examples in docstrings use."""
    if not isinstance(request.node, pytest.DoctestItem):
        return
    request.getfixturevalue("in_environment")
    stagedoor: Stagedoor = request.getfixturevalue("stagedoor")
    user: models.User = request.getfixturevalue("user")
    accepted: models.AcceptedActorToken = request.getfixturevalue("accepted")
    claims = {"role": "authenticated", "act": "{{session.actor}}"}
    names: dict[str, Any] = {
        **{name: getattr(package, name) for name in dir(package) if not name.startswith("_")},
        "asyncio": asyncio,
        "stagedoor": stagedoor,
        "server_url": SERVER_URL,
        "issuer": ISSUER,
        "user": user,
        "session": accepted.session,
        "token": stagedoor.actor_tokens.create(user_id=user.id, actor={"sub": "olivia@support"}),
        "template": stagedoor.jwt_templates.create(name=f"template-{user.id}", claims=claims),
    }
    request.getfixturevalue("doctest_namespace").update(names)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Reports each test to test/python.test.ts, which makes it a subtest."""
    if "TEST_REPORT" not in os.environ or (report.when != "call" and report.outcome == "passed"):
        return
    line = {"name": report.nodeid, "outcome": report.outcome, "text": report.longreprtext if report.failed else ""}
    with Path(os.environ["TEST_REPORT"]).open("a") as file:
        file.write(json.dumps(line) + "\n")
