"""The document that specified the request: its table defines the model."""

from __future__ import annotations

import re
import typing
from pathlib import Path

from stagedoor import Stagedoor, models

DOCUMENT = Path(__file__).parent / "fixtures/createactortokenrequestbody.md"


def rows() -> dict[str, dict[str, str]]:
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("|")]
    head, _, *body = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {row[0].strip("`"): dict(zip((cell.strip() for cell in head), row, strict=True)) for row in body}


def test_the_model_matches_the_table() -> None:
    fields = models.CreateActorTokenRequestBody.model_fields
    table = rows()
    assert list(table) == ["user_id", "actor", "expires_in_seconds", "session_max_duration_in_seconds"]
    # Stagedoor's own fields follow.
    assert list(fields)[: len(table)] == list(table)
    types = {"models": models, "Optional": typing.Optional, "str": str, "int": int}
    for name, row in table.items():
        said = re.sub(r"^\*|\*$|^\[([\w.]+)\]\(.*\)$", r"\1", row["Type"])
        assert fields[name].annotation == eval(said, types), name
        assert fields[name].is_required() == (row["Required"] == ":heavy_check_mark:"), name


def test_the_defaults_match_the_table() -> None:
    fields = models.CreateActorTokenRequestBody.model_fields
    table = rows()
    assert "By default, the duration is 1 hour." in table["expires_in_seconds"]["Description"]
    assert fields["expires_in_seconds"].default == int(table["expires_in_seconds"]["Example"]) == 3600
    assert "lasts 30 minutes." in table["session_max_duration_in_seconds"]["Description"]
    assert fields["session_max_duration_in_seconds"].default == 1800
    assert int(table["session_max_duration_in_seconds"]["Example"]) == 1800


def test_the_examples_of_the_table_create_an_actor_token(stagedoor: Stagedoor, user: models.User) -> None:
    table = rows()
    actor = models.CreateActorTokenActor.model_validate_json(table["actor"]["Example"].replace("<br/>", ""))
    request = models.CreateActorTokenRequestBody(
        user_id=user.id,
        actor=actor,
        expires_in_seconds=int(table["expires_in_seconds"]["Example"]),
        session_max_duration_in_seconds=int(table["session_max_duration_in_seconds"]["Example"]),
    )
    token = stagedoor.actor_tokens.create(request=request)
    assert (token.object, token.status, token.user_id) == ("actor_token", "pending", user.id)
    assert token.actor.sub == "user_2OEpKhcCN1Lat9NQ0G6puh7q5Rb"
    read = stagedoor.actor_tokens.get(token.id)
    assert read.expires_at is not None
    assert read.expires_at - read.created_at == 3_600_000
    session = stagedoor.actor_tokens.accept(token.token or "").session
    assert session.expire_at - session.created_at == 1_800_000


def test_the_server_has_the_same_defaults(stagedoor: Stagedoor, user: models.User) -> None:
    token = stagedoor.actor_tokens.create(user_id=user.id, actor={"sub": "olivia@support"})
    read = stagedoor.actor_tokens.get(token.id)
    assert read.expires_at is not None
    assert read.expires_at - read.created_at == 3_600_000
    session = stagedoor.actor_tokens.accept(token.token or "").session
    assert session.expire_at - session.created_at == 1_800_000
