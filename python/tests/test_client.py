"""The client, against a real server; and against servers that behave badly."""

from __future__ import annotations

import asyncio
import inspect
import json
import math
import os
import pickle
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx
import pytest
from local_server import Answer, Asked, closed_port, server_of
from pydantic import ValidationError
from servers import ACTOR, ISSUER, RUN, SECRET_KEY, SERVER_URL

from stagedoor import Stagedoor, StagedoorError, models, verify_token

PHONE = f"+1555{int(RUN, 16) % 10_000_000:07}"

ClientOf = Callable[..., Stagedoor]
"""`client_of(url, key)`: a client that is closed after the test."""

BAPI = json.loads((Path(__file__).parents[2] / "openapi/bapi.json").read_text())


class TestActorTokens:
    def test_are_asked_for_by_model_by_dict_and_by_name(self, stagedoor: Stagedoor, user: models.User) -> None:
        tokens = [
            stagedoor.actor_tokens.create(
                request=models.CreateActorTokenRequestBody(
                    user_id=user.id, actor=models.CreateActorTokenActor(sub="o"), expires_in_seconds=600
                )
            ),
            stagedoor.actor_tokens.create({"user_id": user.id, "actor": {"sub": "o"}, "expires_in_seconds": 600}),
            stagedoor.actor_tokens.create(
                user_id=user.id, actor=models.CreateActorTokenActor(sub="o"), expires_in_seconds=600, reason=None
            ),
        ]
        for token in tokens:
            assert token.actor == models.Actor(sub="o")
            read = stagedoor.actor_tokens.get(token.id)
            assert (read.expires_at or 0) - read.created_at == 600_000
            assert read.token is None

    def test_keep_the_actor_value_for_value(self, stagedoor: Stagedoor, user: models.User) -> None:
        odd = {**ACTOR, "_private": 1, "model_dump": 2, "copy": [], "json": {"json": 1}, "": "", "n": 1.5, "user id": 3}
        for actor in (odd, models.CreateActorTokenActor.model_validate(odd)):
            token = stagedoor.actor_tokens.create(user_id=user.id, actor=actor)
            assert token.actor.model_dump() == odd
            accepted = stagedoor.actor_tokens.accept(token.token or "")
            assert accepted.session.actor is not None
            assert accepted.session.actor.model_dump() == odd
            auth = verify_token(accepted.token.jwt, issuer=ISSUER, server_url=SERVER_URL)
            assert auth.actor is not None
            assert auth.actor.model_dump() == odd
            assert auth.claims["act"] == odd

    def test_are_revoked_while_they_are_pending(self, stagedoor: Stagedoor, user: models.User) -> None:
        token = stagedoor.actor_tokens.create(user_id=user.id, actor=ACTOR)
        assert stagedoor.actor_tokens.revoke(token.id, reason="not needed").status == "revoked"
        [event] = stagedoor.audit_events.list(ticket_id=token.id, action="actor_token.revoke").data
        assert event.reason == "not needed"
        assert event.actor is not None
        assert event.actor.model_dump() == ACTOR
        assert event.principal.type == "secret_key"
        assert event.user_agent == "stagedoor-sdk-python"
        with pytest.raises(StagedoorError, match=r"its status is revoked.*nothing left to revoke") as caught:
            stagedoor.actor_tokens.revoke(token.id)
        assert (caught.value.status, caught.value.code) == (400, "actor_token_cannot_be_revoked_code")

    def test_are_redeemed_once(self, stagedoor: Stagedoor, user: models.User) -> None:
        ticket = stagedoor.actor_tokens.create(user_id=user.id, actor=ACTOR).token or ""
        assert stagedoor.actor_tokens.accept(ticket).session.status == "active"
        with pytest.raises(StagedoorError) as caught:
            stagedoor.actor_tokens.accept(ticket)
        assert caught.value.code == "actor_token_already_used_code"

    def test_do_not_show_their_ticket_when_they_are_printed(self, stagedoor: Stagedoor, user: models.User) -> None:
        token = stagedoor.actor_tokens.create(user_id=user.id, actor=ACTOR)
        assert token.token
        assert token.token not in repr(token) + str(token)
        accepted = stagedoor.actor_tokens.accept(token.token)
        assert accepted.token.jwt not in repr(accepted)
        assert "tkt" not in repr(models.AcceptActorTokenRequestBody(ticket="tkt"))


class TestUsers:
    def test_are_made_with_metadata_value_for_value_and_read(self, stagedoor: Stagedoor) -> None:
        metadata = {"snake_case": 1, "camelCase": {"inner_one": [True]}}
        created = stagedoor.users.create(
            external_id=f"customer-1-{RUN}",
            email_address=[f"ada-{RUN}@example.com"],
            phone_number=[PHONE],
            first_name="Ada",
            public_metadata=metadata,
        )
        user = stagedoor.users.get(created.id)
        assert user == created
        assert user.email_addresses[0].email_address == f"ada-{RUN}@example.com"
        assert user.email_addresses[0].verification.status == "verified"
        assert user.phone_numbers[0].phone_number == PHONE
        assert user.public_metadata == metadata

    def test_are_changed_as_told_and_cleared_with_none(self, stagedoor: Stagedoor) -> None:
        user = stagedoor.users.create(first_name="Ada", last_name="L", locale="en-GB", public_metadata={"a": 1})
        changed = stagedoor.users.update(user.id, first_name="Grace", last_name=None, public_metadata={"b": 2})
        assert (changed.first_name, changed.last_name, changed.public_metadata) == ("Grace", None, {"b": 2})
        by_model = stagedoor.users.update(
            user.id, models.UpdateUserRequestBody(first_name=None, username=f"grace-{RUN}")
        )
        assert (by_model.first_name, by_model.username, by_model.public_metadata) == (None, f"grace-{RUN}", {"b": 2})
        assert by_model.locale == "en-GB", "what is not given is not sent"
        merged = stagedoor.users.update_metadata(user.id, public_metadata={"b": None, "c_d": {"e": 3}})
        assert merged.public_metadata == {"c_d": {"e": 3}}

    def test_are_found_or_made_however_many_ask_at_once(self, stagedoor: Stagedoor) -> None:
        def find(_: int) -> models.User:
            return stagedoor.users.find_or_create(
                external_id=f"customer-7-{RUN}", first_name="Ada", email_address=[f"a7-{RUN}@x.org"]
            )

        with ThreadPoolExecutor(8) as pool:
            assert len({user.id for user in pool.map(find, range(8))}) == 1
        assert stagedoor.users.find_or_create(external_id=f"customer-7-{RUN}", first_name="Other").first_name == "Ada"
        with pytest.raises(StagedoorError) as caught:
            stagedoor.users.find_or_create(external_id=f"customer-8-{RUN}", email_address=[f"a7-{RUN}@x.org"])
        assert caught.value.code == "form_identifier_exists"
        with pytest.raises(ValueError, match="external_id"):
            stagedoor.users.find_or_create(first_name="Ada")

    def test_are_banned_locked_and_deleted(self, stagedoor: Stagedoor, user: models.User) -> None:
        assert stagedoor.users.ban(user.id).banned
        with pytest.raises(StagedoorError) as caught:
            stagedoor.actor_tokens.create(user_id=user.id, actor=ACTOR)
        assert (caught.value.status, caught.value.code) == (403, "user_banned")
        assert not stagedoor.users.unban(user.id).banned
        assert stagedoor.users.lock(user.id).locked
        assert not stagedoor.users.unlock(user.id).locked
        assert stagedoor.users.delete(user.id).deleted
        with pytest.raises(StagedoorError, match="No user was found"):
            stagedoor.users.get(user.id)


class TestSessions:
    def test_go_on_until_they_are_over(
        self, client_of: ClientOf, stagedoor: Stagedoor, user: models.User, accepted: models.AcceptedActorToken
    ) -> None:
        session = accepted.session
        assert stagedoor.sessions.is_active(session.id)
        stagedoor.users.lock(user.id)
        assert not stagedoor.sessions.is_active(session.id)
        stagedoor.users.unlock(user.id)
        assert stagedoor.sessions.is_active(session.id)
        assert stagedoor.sessions.get(session.id).abandon_at == session.abandon_at, "asking does not count as use"
        assert stagedoor.sessions.touch(session.id)
        assert stagedoor.sessions.get(session.id).abandon_at > session.abandon_at
        stagedoor.sessions.revoke(session.id)
        assert not stagedoor.sessions.is_active(session.id)
        assert not stagedoor.sessions.touch(session.id)
        assert not stagedoor.sessions.is_active("sess_nobody")
        stranger = client_of(SERVER_URL, f"sk_test_{'0' * 32}")
        with pytest.raises(StagedoorError) as caught:
            stranger.sessions.is_active(session.id)
        assert caught.value.code == "clerk_key_invalid"

    def test_are_minted_for_as_long_as_asked(self, stagedoor: Stagedoor, accepted: models.AcceptedActorToken) -> None:
        for seconds, life in ((None, 60), (120, 120)):
            jwt = stagedoor.sessions.get_token(accepted.session.id, expires_in_seconds=seconds).jwt
            claims = verify_token(jwt, issuer=ISSUER, server_url=SERVER_URL).claims
            assert claims["exp"] - claims["iat"] == life

    def test_all_end_at_once(self, stagedoor: Stagedoor, user: models.User) -> None:
        for _ in range(3):
            token = stagedoor.actor_tokens.create(user_id=user.id, actor={"sub": f"kill-me-{RUN}"})
            stagedoor.actor_tokens.accept(token.token or "")
        revocation = stagedoor.sessions.revoke_all(actor_sub=f"kill-me-{RUN}", reason="stolen")
        assert (revocation.revoked_sessions, revocation.complete, revocation.matched) == (3, True, True)
        misspelt = stagedoor.sessions.revoke_all(actor_sub=f"Kill-Me-{RUN}")
        assert (misspelt.matched, misspelt.similar_actor_subs) == (False, [f"kill-me-{RUN}"])
        assert [each.status for each in stagedoor.sessions.list(actor_sub=f"kill-me-{RUN}")] == ["revoked"] * 3
        with pytest.raises(StagedoorError) as caught:
            stagedoor.sessions.revoke_all()
        assert caught.value.status == 422


class TestLists:
    def test_go_on_through_every_page(self, stagedoor: Stagedoor) -> None:
        for index in range(7):
            stagedoor.users.create(external_id=f"list-{RUN}-{index}")
        ids = [f"list-{RUN}-{index}" for index in range(7)]
        page = stagedoor.users.list(external_id=ids, order_by="+created_at", limit=3)
        assert (len(page.data), page.total_count) == (3, 7)
        assert [user.external_id for user in page] == ids
        assert [user.external_id for user in page] == ids, "twice the same"
        second = page.next_page()
        assert second is not None
        assert [user.external_id for user in second.data] == ids[3:6]
        assert [user.external_id for user in stagedoor.users.list(external_id=ids, offset=5)] == ids[1::-1]
        assert stagedoor.users.count(external_id=ids) == 7
        assert list(stagedoor.users.list(external_id=["nobody"])) == []

        async def walk() -> list[str | None]:
            async with Stagedoor(bearer_auth=SECRET_KEY, server_url=SERVER_URL) as client:
                found = await client.users.list_async(external_id=ids, order_by="+created_at", limit=3)
                assert len(found.data) == 3
                return [user.external_id async for user in found]

        assert asyncio.run(walk()) == ids

    def test_skip_nothing_when_what_they_are_filtered_by_changes(self, stagedoor: Stagedoor, user: models.User) -> None:
        sub = f"loop-{RUN}"

        def begin(count: int) -> None:
            for _ in range(count):
                token = stagedoor.actor_tokens.create(user_id=user.id, actor={"sub": sub})
                stagedoor.actor_tokens.accept(token.token or "")

        begin(25)
        seen: list[str] = []
        for session in stagedoor.sessions.list(actor_sub=sub, status="active"):
            seen.append(session.id)
            stagedoor.sessions.revoke(session.id)
        assert len(set(seen)) == 25

        begin(12)
        users = [stagedoor.users.create(last_name=sub).id for _ in range(12)]

        async def walk() -> None:
            async with Stagedoor(bearer_auth=SECRET_KEY, server_url=SERVER_URL) as client:
                async for each in await client.sessions.list_async(actor_sub=sub, status="active"):
                    await client.sessions.revoke_async(each.id)
                async for found in await client.users.list_async(name_query=sub, order_by="last_name", limit=5):
                    users.remove(found.id)
                    await client.users.delete_async(found.id)

        asyncio.run(walk())
        assert stagedoor.sessions.list(actor_sub=sub, status="active").data == []
        assert users == []

    def test_find_or_create_one_user_for_all_spellings_of_an_id(self, stagedoor: Stagedoor) -> None:
        spellings = [f" caf\u00e9-{RUN}", f"cafe\u0301-{RUN} ", f"caf\u00e9-{RUN}"]
        assert len({stagedoor.users.find_or_create(external_id=each).id for each in spellings * 2}) == 1

        async def again() -> str:
            async with Stagedoor(bearer_auth=SECRET_KEY, server_url=SERVER_URL) as client:
                return (await client.users.find_or_create_async(external_id=spellings[1])).id

        assert asyncio.run(again()) == stagedoor.users.list(external_id=[spellings[0]]).data[0].id

    def test_take_up_a_list_at_a_cursor(self, stagedoor: Stagedoor) -> None:
        name = f"cursor-{RUN}"
        ids = [stagedoor.users.create(first_name=name).id for _ in range(5)][::-1]
        page = stagedoor.users.list(name_query=name, limit=2)
        assert page.next_cursor is not None
        rest = stagedoor.users.list(name_query=name, starting_after=page.next_cursor)
        assert ([found.id for found in rest], rest.next_cursor) == (ids[2:], None)
        second = page.next_page()
        assert second is not None
        assert (second.total_count, [found.id for found in second.data]) == (5, ids[2:4])

    def test_give_a_user_once_whom_a_change_moves_to_the_end(self, stagedoor: Stagedoor) -> None:
        name = f"moving-{RUN}"
        for _ in range(5):
            stagedoor.users.create(first_name=name)
        seen: list[str] = []
        for found in stagedoor.users.list(name_query=name, order_by="updated_at", limit=2):
            seen.append(found.id)
            stagedoor.users.update(found.id, last_name="changed")
        assert len(seen) == len(set(seen)) == 5

    def test_of_the_audit_log_miss_nothing_that_comes_meanwhile(self, stagedoor: Stagedoor, user: models.User) -> None:
        for index in range(6):
            stagedoor.users.update(user.id, first_name=f"Carl {index}")
        seen: list[int] = []
        for event in stagedoor.audit_events.list(user_id=user.id, limit=2):
            seen.append(event.seq)
            assert len(seen) < 20
            stagedoor.users.update(user.id, first_name=f"Later {len(seen)}")
        assert len(seen) == 7
        assert seen == sorted(set(seen), reverse=True)

    def test_take_page_after_page_of_a_hundred_unless_told(self) -> None:
        asked: list[str] = []

        def answer(request: Asked) -> Answer:
            asked.append(request.path)
            limit = int(httpx.URL(request.path).params.get("limit", 10))
            return Answer(body={"data": [TEMPLATE] * limit, "total_count": 210})

        with server_of(answer) as url, Stagedoor(bearer_auth="sk_test_1", server_url=url) as client:
            assert len(list(client.jwt_templates.list())) == 210
        asked_for = [httpx.URL(each).params for each in asked]
        assert [(params.get("limit"), params.get("offset")) for params in asked_for] == [
            (None, None),
            ("100", "10"),
            ("100", "110"),
        ]


class TestOperations:
    def test_every_operation_of_the_contract_has_a_method_in_both_ways(
        self, client_of: ClientOf, stagedoor: Stagedoor
    ) -> None:
        """Each method is called, sync and async; what is sent is compared with the contract."""
        expected = {f"{method.upper()} {template}" for template, methods in BAPI["paths"].items() for method in methods}
        for way in ("sync", "async"):
            sent: set[str] = set()

            def answer(request: Asked, sent: set[str] = sent) -> Answer:
                sent.add(f"{request.method} {request.path.partition('?')[0]}")
                return Answer(401, {"errors": [{"code": "clerk_key_invalid", "message": "no"}]})

            with server_of(answer) as url:
                for resource, name, method in methods_of(client_of(url), way):
                    call_anyhow(method, f"{resource}.{name}")
            shaped = {re.sub(r"/x(?=/|$)", "/{}", each) for each in sent}
            assert shaped == {re.sub(r"\{\w+\}", "{}", each) for each in expected}, way

    def test_both_ways_have_the_same_signature(self, stagedoor: Stagedoor) -> None:
        pairs = {
            f"{resource}.{name}": (
                method,
                dict((n, m) for _, n, m in methods_of(stagedoor, "async", resource))[f"{name}_async"],
            )
            for resource in RESOURCES
            for _, name, method in methods_of(stagedoor, "sync", resource)
        }
        assert len(pairs) > 30
        for name, (method, twin) in pairs.items():
            assert inspect.signature(method).parameters == inspect.signature(twin).parameters, name
            assert "Example:" in (method.__doc__ or ""), name


RESOURCES = [name for name in Stagedoor.__annotations__ if not name.startswith("_")]


def methods_of(client: Stagedoor, way: str, only: str | None = None) -> list[tuple[str, str, Callable[..., Any]]]:
    return [
        (resource, name, getattr(getattr(client, resource), name))
        for resource in RESOURCES
        if only in (None, resource)
        for name in dir(getattr(client, resource))
        if not name.startswith("_") and name.endswith("_async") == (way == "async")
    ]


def call_anyhow(method: Callable[..., Any], name: str) -> None:
    """With `x` for everything that is needed."""
    needed = [
        p for p in inspect.signature(method).parameters.values() if p.default is p.empty and p.kind != p.VAR_KEYWORD
    ]
    more: dict[str, Any] = {"external_id": "x"} if "find_or_create" in name else {}
    args = ["x"] * len(needed)
    calls: list[Callable[[], Any]] = [lambda: method(*args, **more)]
    if "get_token" in name:
        calls.append(lambda: method("x", "x"))

    async def awaited(result: Any) -> None:
        if inspect.isasyncgen(result):
            await anext(result)
        else:
            await result

    for call in calls:
        with pytest.raises(StagedoorError) as caught:
            result = call()
            if inspect.isgenerator(result):
                next(result)
            elif name.endswith("_async"):
                asyncio.run(awaited(result))
        assert caught.value.code == "clerk_key_invalid", name


TEMPLATE = {
    "object": "jwt_template",
    "id": "jtmp_1",
    "name": "one",
    "claims": {"a_b": {"c": "{{user.id}}"}},
    "lifetime": 60,
    "allowed_clock_skew": 5,
    "custom_signing_key": False,
    "signing_algorithm": "RS256",
    "created_at": 1,
    "updated_at": 1,
}


class TestAnswers:
    def test_may_say_more_than_this_version_knows(self, client_of: ClientOf) -> None:
        later = {**TEMPLATE, "signing_algorithm": "ML-DSA-65", "added_later": {"x": [1]}}
        with server_of(lambda _: Answer(body=later)) as url:
            template = client_of(url).jwt_templates.get("jtmp_1")
        assert template.signing_algorithm == "ML-DSA-65"
        assert template.model_dump() == later

    def test_that_are_something_else_are_said_to_be(self, client_of: ClientOf) -> None:
        for status, headers, body in [
            (200, {"content-type": "text/html"}, "<h1>Welcome</h1>"),
            (502, {"content-type": "text/html"}, "<h1>Bad gateway</h1>"),
            (301, {"location": "https://elsewhere.example.com/"}, ""),
            (400, {}, '{"error":"no"}'),
            (400, {}, '{"errors":[]}'),
            (400, {}, '{"errors":5}'),
            (500, {}, "null"),
            (200, {}, '{"object":"user"}'),
            (200, {}, "[]"),
        ]:
            answer = Answer(status, body, headers)
            with server_of(lambda _, answer=answer: answer) as url:  # type: ignore[misc]
                with pytest.raises(StagedoorError, match=r"answered \d+") as caught:
                    client_of(url).users.create()
            assert (caught.value.status, caught.value.code) == (status, "response_invalid")


class TestErrors:
    def test_say_what_is_wrong_where_and_what_to_do(self, client_of: ClientOf, stagedoor: Stagedoor) -> None:
        with pytest.raises(StagedoorError) as caught:
            stagedoor.actor_tokens.create(user_id="user_1", actor={})
        error = caught.value
        assert (error.status, error.code, error.param_name) == (422, "form_param_missing", "actor.sub")
        assert str(error) == "actor.sub must be included."
        assert re.fullmatch("[0-9a-f]{32}", error.trace_id or "")
        with pytest.raises(StagedoorError, match=r"Secret Key is invalid\..*stagedoor keys create") as caught:
            client_of(SERVER_URL, "sk_test_of_nobody").users.list()
        assert "stagedoor keys create" in (caught.value.action or "")

    def test_name_every_wrong_field(self, stagedoor: Stagedoor) -> None:
        with pytest.raises(StagedoorError) as caught:
            stagedoor.actor_tokens.create(userId="user_1")  # type: ignore[call-overload]
        found = sorted(f"{each.code} {each.param_name}" for each in caught.value.errors)
        assert found == ["form_param_missing actor", "form_param_missing user_id", "form_param_unknown userId"], found

    def test_of_a_model_come_when_it_is_made(self) -> None:
        with pytest.raises(ValidationError, match="expire_in_seconds"):
            models.CreateActorTokenRequestBody(  # type: ignore[call-arg]
                user_id="u", actor=models.CreateActorTokenActor(sub="o"), expire_in_seconds=60
            )
        with pytest.raises(ValidationError, match="sub"):
            models.CreateActorTokenActor()  # type: ignore[call-arg]

    def test_refuse_ids_that_would_name_another_address(self, stagedoor: Stagedoor, client_of: ClientOf) -> None:
        nowhere = client_of(closed_port())
        nothing: Any
        for nothing in ("", ".", "..", None):
            with pytest.raises(StagedoorError, match="is not an id") as caught:
                nowhere.users.delete(nothing)
            assert (caught.value.status, caught.value.code) == (404, "resource_not_found")
        for odd in ("../sessions", "a/b?c#d", "a b", "%2e%2e"):
            with pytest.raises(StagedoorError, match=r"No user was found|Resource not found\.") as caught:
                stagedoor.users.get(odd)
            assert caught.value.code == "resource_not_found"

    def test_travel_between_processes(self, stagedoor: Stagedoor) -> None:
        with pytest.raises(StagedoorError) as caught:
            stagedoor.users.get("user_nobody")
        again = pickle.loads(pickle.dumps(caught.value))
        assert (again.code, again.trace_id, str(again)) == (caught.value.code, caught.value.trace_id, str(caught.value))

    def test_say_what_a_client_needs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("STAGEDOOR_SECRET_KEY", raising=False)
        for key in ("", None):
            with pytest.raises(StagedoorError, match="stagedoor keys create") as caught:
                Stagedoor(bearer_auth=key)
            assert (caught.value.status, caught.value.code) == (0, "secret_key_missing")
        with pytest.raises(StagedoorError) as caught:
            Stagedoor(bearer_auth="sk_test_hush\n")
        assert caught.value.code == "secret_key_invalid"
        assert "hush" not in repr(caught.value)
        for url in ("localhost:4100", "ftp://a", "http://user:pass@a", "http://a?b", "", "http://a:b", "http:// a"):
            with pytest.raises(StagedoorError) as caught:
                Stagedoor(bearer_auth="sk_test_1", server_url=url)
            assert caught.value.code == "server_url_invalid", url


class TestSecretKey:
    def test_is_not_shown_however_the_client_is_looked_at(self) -> None:
        client = Stagedoor(bearer_auth="sk_test_hush", server_url=SERVER_URL)
        for look in (repr(client), str(client), repr(vars(client)), repr(client.users), repr(vars(client.users))):
            assert "hush" not in look

    def test_is_in_no_error_and_no_cause_of_one(self, client_of: ClientOf) -> None:
        with server_of(lambda _: Answer(401, {"errors": [{"code": "clerk_key_invalid", "message": "no"}]})) as refusing:
            for url in (refusing, closed_port(), refusing.replace("http:", "https:")):
                with pytest.raises(StagedoorError) as caught:
                    client_of(url, "sk_test_hush").users.create()
                error: BaseException | None = caught.value
                while error is not None:
                    assert "hush" not in repr(error) + repr(vars(error))
                    if isinstance(error, httpx.RequestError):
                        assert "hush" not in str(error.request.headers.raw)
                    error = error.__cause__


class TestEnvironment:
    def test_has_the_address_and_the_key_unless_they_are_given(self, in_environment: None) -> None:
        with Stagedoor() as client:
            assert client.users.list(limit=1).total_count > 0

    def test_address_may_end_with_a_slash_v1_both_or_neither(self) -> None:
        for end in ("", "/", "/v1", "/v1/"):
            with Stagedoor(bearer_auth=SECRET_KEY, server_url=SERVER_URL + end) as client:
                assert client.jwks.get().keys

    def test_address_may_have_a_path(self) -> None:
        seen: list[str] = []

        def answer(request: Asked) -> Answer:
            seen.append(request.path)
            return Answer(body={"object": "total_count", "total_count": 7})

        with server_of(answer) as url, Stagedoor(bearer_auth="sk_test_1", server_url=f"{url}/auth/v1/") as client:
            assert client.users.count(query="a b&c", banned=False, user_id=["x", "y"], username=None) == 7
        assert seen == ["/auth/v1/users/count?query=a+b%26c&banned=false&user_id=x&user_id=y"]

    def test_connections_may_be_given_and_stay_open(self) -> None:
        seen: list[dict[str, str]] = []

        def answer(request: Asked) -> Answer:
            seen.append(request.headers)
            return Answer(body={"keys": []})

        with server_of(answer) as url, httpx.Client(headers={"x-own": "1"}, auth=("a", "b"), cookies={"c": "d"}) as own:
            with Stagedoor(bearer_auth="sk_test_1", server_url=url, client=own) as client:
                client.jwks.get()
            assert not own.is_closed
        assert seen[0]["authorization"] == "Bearer sk_test_1"
        assert "cookie" not in seen[0]

    def test_connections_are_those_of_the_event_loop_that_runs(self) -> None:
        """As in a view of Django's: a loop for each call, in several threads, and nothing that closes them."""
        program = """
import asyncio, sys
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from stagedoor import Stagedoor

stagedoor = Stagedoor(bearer_auth=sys.argv[1], server_url=sys.argv[2])
ask = lambda _: len(asyncio.run(stagedoor.jwks.get_async()).keys) > 0
with ThreadPoolExecutor(4) as pool:
    print(ask(0), ask(1), all(pool.map(ask, range(8))))
"""
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "src")}
        arguments = [sys.executable, "-c", program, SECRET_KEY, SERVER_URL]
        ran = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=30)
        assert ran.stdout == "True True True\n", ran.stderr

    def test_connections_are_closed_and_opened_again(self) -> None:
        client = Stagedoor(bearer_auth=SECRET_KEY, server_url=SERVER_URL)

        async def used() -> None:
            async with client:
                assert (await client.jwks.get_async()).keys

        for _ in range(2):
            with client:
                client.jwks.get()
            asyncio.run(used())


def refused(code: str, status: int, retry_after: str) -> Answer:
    return Answer(status, {"errors": [{"code": code, "message": "no"}]}, {"retry-after": retry_after})


class TestRetries:
    """In both ways alike: each is tried with the plain methods and with their twins."""

    @pytest.fixture(params=["sync", "async"])
    def call(self, request: pytest.FixtureRequest) -> Callable[..., Any]:
        def call(url: str, what: str, /, *args: Any, timeout_ms: int = 5_000, **kwargs: Any) -> Any:
            resource, method = what.split(".")

            async def awaited() -> Any:
                async with Stagedoor(bearer_auth="sk_test_1", server_url=url, timeout_ms=timeout_ms) as client:
                    return await getattr(getattr(client, resource), f"{method}_async")(*args, **kwargs)

            if request.param == "async":
                return asyncio.run(awaited())
            with Stagedoor(bearer_auth="sk_test_1", server_url=url, timeout_ms=timeout_ms) as client:
                return getattr(getattr(client, resource), method)(*args, **kwargs)

        return call

    def test_a_closed_port_is_named_with_what_to_do(self, call: Callable[..., Any]) -> None:
        url = closed_port()
        with pytest.raises(
            StagedoorError, match=rf"GET {url}/v1/users/user_1 failed.*stagedoor dev.*server_url"
        ) as caught:
            call(url, "users.get", "user_1")
        assert (caught.value.status, caught.value.code) == (0, "connection_failed")
        assert isinstance(caught.value.__cause__, httpx.ConnectError)

    def test_reading_is_tried_three_times_and_changing_once(self, call: Callable[..., Any]) -> None:
        asked: list[Asked] = []

        def answer(request: Asked) -> Answer | None:
            asked.append(request)
            return Answer(body={"object": "total_count", "total_count": 1}) if len(asked) == 3 else None

        with server_of(answer) as url:
            assert call(url, "users.count") == 1
            assert len(asked) == 3
            for name, args in [
                ("users.update", ("user_1",)),
                ("users.delete", ("user_1",)),
                ("actor_tokens.accept", ("t",)),
                ("sessions.revoke_all", ()),
            ]:
                asked.clear()
                with pytest.raises(StagedoorError) as caught:
                    call(url, name, *args)
                assert (caught.value.code, len(asked)) == ("connection_failed", 1), name
                assert "idempotency-key" not in asked[0].headers

    @pytest.mark.parametrize("fault", ["cut", "service_unavailable", "outcome_unknown"])
    def test_making_is_tried_again_with_the_same_idempotency_key(self, call: Callable[..., Any], fault: str) -> None:
        asked: list[Asked] = []

        def answer(request: Asked) -> Answer | None:
            asked.append(request)
            if len(asked) % 3 != 0:
                return None if fault == "cut" else refused(fault, 503, "0")
            return Answer(body=TEMPLATE)

        with server_of(answer) as url:
            assert call(url, "jwt_templates.create", name="one", claims={}).id == "jtmp_1"
            assert call(url, "jwt_templates.create", name="one", claims={}, idempotency_key="mine").id == "jtmp_1"
        keys = [request.headers["idempotency-key"] for request in asked]
        assert keys == [keys[0]] * 3 + ["mine"] * 3
        assert len(keys[0]) >= 32
        assert len({request.body for request in asked}) == 1

    def test_waits_as_long_as_it_is_told_but_not_longer_than_an_attempt(self, call: Callable[..., Any]) -> None:
        for status, code in ((503, "service_unavailable"), (429, "too_many_requests")):
            name = "jwks.get" if status == 503 else "users.delete"
            args = () if status == 503 else ("user_1",)
            body: object = {"keys": []} if status == 503 else {"object": "user", "id": "user_1", "deleted": True}
            times: list[float] = []
            retry_after = "1"

            def answer(_: Asked, status: int = status, code: str = code, body: object = body) -> Answer:
                times.append(time.monotonic())  # noqa: B023
                return Answer(body=body) if len(times) == 2 else refused(code, status, retry_after)  # noqa: B023

            with server_of(answer) as url:
                call(url, name, *args)
                assert times[1] - times[0] >= 0.99
                retry_after = "6"
                with pytest.raises(StagedoorError) as caught:
                    call(url, name, *args)
                assert (caught.value.status, caught.value.code) == (status, code)
                assert caught.value.retry_after == 6
                assert len(times) == 3
                retry_after = "0"
                with pytest.raises(StagedoorError):
                    call(url, name, *args)
                assert len(times) == 6

    def test_retry_after_may_be_a_date_or_a_huge_number(self, call: Callable[..., Any]) -> None:
        times: list[float] = []
        header = ""

        def answer(_: Asked) -> Answer:
            times.append(time.monotonic())
            return Answer(body={"keys": []}) if len(times) == 2 else refused("service_unavailable", 503, header)

        with server_of(answer) as url:
            header = formatdate(time.time() + 2, usegmt=True)
            call(url, "jwks.get")
            assert 0.9 <= times[1] - times[0] <= 2.5
            for given, least, most in [
                (formatdate(time.time() + 60, usegmt=True), 50, 60),
                (f"{'9' * 30}", 9e29, 1.1e30),
                ("9" * 5_000, math.inf, math.inf),
            ]:
                header = given
                before = len(times)
                with pytest.raises(StagedoorError) as caught:
                    call(url, "jwks.get")
                assert least <= (caught.value.retry_after or 0) <= most
                assert len(times) == before + 1

    def test_retry_after_of_something_on_the_way_counts_too(self, call: Callable[..., Any]) -> None:
        with server_of(lambda _: Answer(503, "<html>busy</html>", {"retry-after": "60"})) as url:
            with pytest.raises(StagedoorError) as caught:
                call(url, "jwks.get")
        assert (caught.value.code, caught.value.retry_after) == ("response_invalid", 60)

    def test_gives_up_when_nothing_is_heard(self, call: Callable[..., Any]) -> None:
        hold = threading.Event()

        def answer(_: Asked) -> Answer | None:
            hold.wait(5)
            return None

        with server_of(answer) as url:
            with pytest.raises(StagedoorError, match=r"GET .*/v1/users/user_1 was not answered within 60 ms") as caught:
                call(url, "users.get", "user_1", timeout_ms=60)
            assert caught.value.code == "timeout"
            with pytest.raises(StagedoorError, match="may have been done"):
                call(url, "users.delete", "user_1", timeout_ms=60)
            hold.set()


class TestIdempotency:
    def test_one_key_makes_one_thing(self, stagedoor: Stagedoor, user: models.User) -> None:
        first = stagedoor.actor_tokens.create(user_id=user.id, actor=ACTOR, idempotency_key=f"once-{RUN}")
        again = stagedoor.actor_tokens.create(user_id=user.id, actor=ACTOR, idempotency_key=f"once-{RUN}")
        assert (again.id, again.token) == (first.id, first.token)
        with pytest.raises(StagedoorError) as caught:
            stagedoor.actor_tokens.create(user_id=user.id, actor={"sub": "other"}, idempotency_key=f"once-{RUN}")
        assert caught.value.code == "idempotency_key_reused"

    def test_a_used_ticket_is_not_given_again(self, stagedoor: Stagedoor, user: models.User) -> None:
        key = f"used-{RUN}"
        created = stagedoor.actor_tokens.create(user_id=user.id, actor=ACTOR, idempotency_key=key)
        assert created.url.endswith(created.token)
        assert stagedoor.actor_tokens.accept(created.token).session.actor.sub == ACTOR["sub"]
        with pytest.raises(StagedoorError, match="is accepted now") as caught:
            stagedoor.actor_tokens.create(user_id=user.id, actor=ACTOR, idempotency_key=key)
        assert caught.value.code == "ticket_unavailable"
        assert stagedoor.sign_in_tokens.create(user_id=user.id).url.startswith("http")

    def test_an_answer_that_is_lost_makes_nothing_twice(self, stagedoor: Stagedoor) -> None:
        """Between client and server stands a proxy that does what is asked for, and loses the first answer."""
        lost: list[str] = []

        def answer(request: Asked) -> Answer | None:
            response = httpx.request(
                request.method,
                f"{SERVER_URL}{request.path}",
                headers={name: request.headers[name] for name in ("authorization", "content-type", "idempotency-key")},
                content=request.body,
            )
            if not lost:
                lost.append(response.json()["id"])
                return None
            return Answer(response.status_code, response.text)

        with server_of(answer) as url, Stagedoor(bearer_auth=SECRET_KEY, server_url=url) as client:
            user = client.users.create(external_id=f"only-once-{RUN}")
        assert [user.id] == lost
        assert stagedoor.users.count(external_id=[f"only-once-{RUN}"]) == 1


class TestRevocations:
    def test_are_heard_of_as_they_happen_in_both_ways(
        self, stagedoor: Stagedoor, accepted: models.AcceptedActorToken
    ) -> None:
        session = accepted.session
        for event in stagedoor.revocations.follow():
            if event.event == "current":
                stagedoor.sessions.revoke(session.id)
            if event.event == "session-revoked" and event.data["sid"] == session.id:
                break
        assert (event.data["actor_sub"], event.data["sub"]) == (ACTOR["sub"], session.user_id)

        async def heard() -> bool:
            async with Stagedoor(bearer_auth=SECRET_KEY, server_url=SERVER_URL) as client:
                async for each in client.revocations.follow_async(since=int(event.id or 0) - 1):
                    if each.data.get("sid") == session.id:
                        return True
            return False

        assert asyncio.run(heard())
        resumed = stagedoor.revocations.follow(last_event_id=str(int(event.id or 0) + 60_000))
        assert next(resumed).event == "current"
        resumed.close()  # type: ignore[attr-defined]

    def test_that_cannot_be_followed_are_said_to_be_so(self, client_of: ClientOf) -> None:
        stranger = client_of(SERVER_URL, "sk_test_of_nobody")
        with pytest.raises(StagedoorError) as caught:
            next(iter(stranger.revocations.follow()))
        assert caught.value.code == "clerk_key_invalid"
        with pytest.raises(StagedoorError) as caught:
            next(iter(client_of(closed_port()).revocations.follow()))
        assert caught.value.code == "connection_failed"
