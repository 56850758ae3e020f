"""Code of a user of the package, for type checkers. It is not run: checkers must report each line marked as wrong."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from typing_extensions import assert_type

from stagedoor import AsyncPage, Page, Stagedoor, VerifiedSession, models, verify_token


def is_right(stagedoor: Stagedoor, limit: int | None) -> None:
    actor = models.CreateActorTokenActor(sub="olivia@support")
    request = models.CreateActorTokenRequestBody(user_id="user_1", actor=actor, expires_in_seconds=600)
    assert_type(stagedoor.actor_tokens.create(request=request), models.CreatedActorToken)
    assert_type(
        stagedoor.actor_tokens.create({"user_id": "user_1", "actor": {"sub": "o", "team": 7}}), models.CreatedActorToken
    )
    assert_type(stagedoor.actor_tokens.create(user_id="user_1", actor=actor, reason=None), models.CreatedActorToken)
    created = stagedoor.actor_tokens.create(user_id="user_1", actor=actor)
    assert_type((created.url, created.token), tuple[str, str])
    assert_type(stagedoor.sign_in_tokens.create(user_id="user_1").url, str)
    assert_type(stagedoor.actor_tokens.accept(created.token).session.actor, models.Actor)
    either: models.ActorToken = created
    assert_type(either.id, str)
    assert_type(stagedoor.users.list(limit=limit, banned=True), Page[models.User])
    assert_type([user.first_name for user in stagedoor.users.list()], list[str | None])
    assert_type(stagedoor.users.find_or_create(external_id="customer-1").public_metadata, models.Metadata)
    assert_type(stagedoor.sessions.get_token("sess_1").jwt, str)
    auth = verify_token("eyJ…", issuer="http://127.0.0.1:4100", server_url="http://127.0.0.1:4100")
    assert_type(auth, VerifiedSession)
    assert_type(auth.actor, models.Actor | None)


async def is_right_too(stagedoor: Stagedoor) -> None:
    async with stagedoor:
        page = await stagedoor.users.list_async()
        assert_type(page, AsyncPage[models.User])
        assert_type([user.id async for user in page], list[str])
        assert_type(
            await stagedoor.actor_tokens.create_async(user_id="u", actor={"sub": "o"}), models.CreatedActorToken
        )


def is_wrong(stagedoor: Stagedoor) -> None:
    stagedoor.actor_tokens.create(user_id="user_1")  # type: ignore[call-overload]
    stagedoor.actor_tokens.create(user_id="user_1", actor={"sub": "o"}, expire_in_seconds=1)  # type: ignore[call-overload]
    stagedoor.actor_tokens.create(user_id="user_1", actor="o")  # type: ignore[call-overload]
    stagedoor.actor_tokens.create({"actor": {"sub": "o"}})  # type: ignore[call-overload]
    stagedoor.actor_tokens.list(status="expired")  # type: ignore[arg-type]
    stagedoor.users.list(limits=5)  # type: ignore[call-arg]
    stagedoor.sessions.revoke_all(everything=False)  # type: ignore[arg-type]
    models.CreateActorTokenActor(team=7)  # type: ignore[call-arg]
    verify_token("eyJ…", server_url="http://127.0.0.1:4100")  # type: ignore[call-arg]
    stagedoor.actor_tokens.create(user_id="u", actor={"sub": "o"}).tokens  # type: ignore[attr-defined]
