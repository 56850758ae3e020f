"""Other Python packages, unmodified: Clerk's SDK, and PyJWT alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import httpx
import jwt
import pytest
from clerk_backend_api import Clerk, SDKError
from clerk_backend_api import models as clerk_models
from clerk_backend_api.security import (
    AuthenticateRequestOptions,
    VerifyTokenOptions,
    authenticate_request,
    verify_token,
)
from clerk_backend_api.security.types import TokenVerificationError
from cryptography.hazmat.primitives import serialization
from servers import ACTOR, ISSUER, RUN, SECRET_KEY, SERVER_URL, SERVERS

from stagedoor import Stagedoor

# Warnings about that package itself.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def clerk() -> Iterator[Any]:
    with Clerk(bearer_auth=SECRET_KEY, server_url=f"{SERVER_URL}/v1") as client:
        yield client


@pytest.fixture
def user(clerk: Any) -> Any:
    return clerk.users.create(first_name="Carl", email_address=[f"carl-{os.urandom(6).hex()}@example.com"])


def redeemed(ticket: str) -> str:
    """Redeems as a browser does. Returns the session's id."""
    answer = httpx.post(f"{SERVER_URL}/v1/client/sign_ins", data={"strategy": "ticket", "ticket": ticket})
    session_id: str = answer.json()["response"]["created_session_id"]
    return session_id


@pytest.fixture
def session_token(clerk: Any, user: Any) -> str:
    created = clerk.actor_tokens.create(request={"user_id": user.id, "actor": ACTOR})
    token: str = clerk.sessions.create_token(session_id=redeemed(created.token)).jwt
    return token


def pem_of(token: str) -> str:
    key = jwt.PyJWKClient(f"{SERVER_URL}/.well-known/jwks.json").get_signing_key_from_jwt(token).key
    pem: bytes = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


class TestClerkBackendApi:
    def test_creates_and_revokes_actor_tokens(self, clerk: Any, user: Any) -> None:
        by_model = clerk_models.CreateActorTokenRequestBody(
            user_id=user.id, actor=clerk_models.CreateActorTokenActor(sub="olivia@support"), expires_in_seconds=600
        )
        for request in (by_model, {"user_id": user.id, "actor": ACTOR, "session_max_duration_in_seconds": 900}):
            token = clerk.actor_tokens.create(request=request)
            assert token.status == "pending"
            assert token.url.startswith(f"{ISSUER}/v1/tickets/accept?ticket=")
            assert clerk.actor_tokens.revoke(actor_token_id=token.id).status == "revoked"
        with pytest.raises(clerk_models.ClerkErrors) as caught:
            clerk.actor_tokens.revoke(actor_token_id=token.id)
        assert caught.value.data.errors[0].code == "actor_token_cannot_be_revoked_code"
        with pytest.raises(SDKError, match="No user was found with id user_nobody"):
            clerk.actor_tokens.create(request={"user_id": "user_nobody", "actor": ACTOR})

    def test_drops_the_members_of_the_actor_in_answers(self, clerk: Any, user: Any) -> None:
        """Its class for the actor in an answer has no members. The session token has all of them."""
        token = clerk.actor_tokens.create(request={"user_id": user.id, "actor": ACTOR})
        assert token.actor.model_dump() == {}

    def test_drops_the_claims_of_a_template_in_requests(self, clerk: Any) -> None:
        """Its class for claims has no members either, so templates must be created with another client."""
        template = clerk.jwt_templates.create(request={"name": f"lost-{RUN}", "claims": {"role": "x"}})
        with Stagedoor(bearer_auth=SECRET_KEY, server_url=SERVER_URL) as stagedoor:
            assert stagedoor.jwt_templates.get(template.id).claims == {}

    def test_reads_and_revokes_sessions_and_mints_tokens(self, clerk: Any, user: Any) -> None:
        created = clerk.actor_tokens.create(request={"user_id": user.id, "actor": ACTOR})
        session_id = redeemed(created.token)
        [session] = clerk.sessions.list(user_id=user.id)
        assert session == clerk.sessions.get(session_id=session_id)
        assert session.status == "active"
        assert clerk.clients.get(client_id=session.client_id).session_ids == [session_id]
        assert clerk.sessions.create_token(session_id=session_id, expires_in_seconds=120).jwt
        with Stagedoor(bearer_auth=SECRET_KEY, server_url=SERVER_URL) as stagedoor:
            template = stagedoor.jwt_templates.create(name=f"clerk-{RUN}", claims={"act": "{{session.actor}}"})
        minted = clerk.sessions.create_token_from_template(session_id=session_id, template_name=template.name)
        assert jwt.decode(minted.jwt, options={"verify_signature": False})["act"] == ACTOR
        assert clerk.jwt_templates.delete(template_id=template.id).deleted
        assert clerk.sessions.revoke(session_id=session_id).status == "revoked"
        assert clerk.sessions.create(request={"user_id": user.id}).status == "active"

    def test_creates_lists_and_bans_users(self, clerk: Any, user: Any) -> None:
        assert clerk.users.get(user_id=user.id).first_name == "Carl"
        assert [found.id for found in clerk.users.list(request={"user_id": [user.id]})] == [user.id]
        assert clerk.users.count(request={"user_id": [user.id]}).total_count == 1
        assert clerk.users.update(user_id=user.id, first_name="Ada").first_name == "Ada"
        with pytest.raises(clerk_models.ClerkErrors, match="notify_primary_email_address_changed"):
            clerk.users.update(user_id=user.id, notify_primary_email_address_changed=True)
        merged = clerk.users.update_metadata(user_id=user.id, public_metadata={"plan": "pro"})
        assert merged.public_metadata == {"plan": "pro"}
        assert clerk.users.ban(user_id=user.id).banned
        assert not clerk.users.unban(user_id=user.id).banned
        assert clerk.users.lock(user_id=user.id).locked
        assert not clerk.users.unlock(user_id=user.id).locked
        sign_in_token = clerk.sign_in_tokens.create(request={"user_id": user.id})
        assert clerk.sign_in_tokens.revoke(sign_in_token_id=sign_in_token.id).status == "revoked"
        assert clerk.users.delete(user_id=user.id).deleted

    def test_verifies_session_tokens(self, session_token: str) -> None:
        for options in (
            VerifyTokenOptions(secret_key=SECRET_KEY, api_url=SERVER_URL),
            VerifyTokenOptions(jwt_key=pem_of(session_token)),
        ):
            assert verify_token(session_token, options)["act"] == ACTOR
        elsewhere = VerifyTokenOptions(jwt_key=pem_of(session_token), authorized_parties=["https://app.example.com"])
        with pytest.raises(TokenVerificationError, match="azp"):
            verify_token(session_token, elsewhere)

    def test_authenticates_requests_with_the_key_as_pem(self, user: Any, session_token: str) -> None:
        for headers in ({"Authorization": f"Bearer {session_token}"}, {"Cookie": f"__session={session_token}"}):
            request = httpx.Request("GET", "http://127.0.0.1:8000/", headers=headers)
            state = authenticate_request(request, AuthenticateRequestOptions(jwt_key=pem_of(session_token)))
            assert state.is_signed_in
            assert state.payload is not None
            assert (state.payload["sub"], state.payload["act"]) == (user.id, ACTOR)
        nobody = authenticate_request(
            httpx.Request("GET", "http://127.0.0.1:8000/"), AuthenticateRequestOptions(jwt_key=pem_of(session_token))
        )
        assert not nobody.is_signed_in

    def test_cannot_authenticate_requests_with_a_secret_key(self) -> None:
        """It would fetch the keys from Clerk's own server: unlike `verify_token` it accepts no other address."""
        names = {field.name for field in fields(AuthenticateRequestOptions)}
        assert "secret_key" in names
        assert "api_url" not in names


class TestPyJWT:
    @pytest.mark.parametrize("alg", list(SERVERS))
    def test_verifies_session_tokens_with_the_published_keys(self, alg: str, clerk: Any) -> None:
        with Clerk(bearer_auth=SECRET_KEY, server_url=f"{SERVERS[alg]}/v1") as client:
            user = client.users.create(first_name="Carl")
            session = client.sessions.create(request={"user_id": user.id})
            token = client.sessions.create_token(session_id=session.id).jwt
        assert token is not None
        key = jwt.PyJWKClient(f"{SERVERS[alg]}/.well-known/jwks.json").get_signing_key_from_jwt(token)
        claims = jwt.decode(token, key, algorithms=[alg], issuer=ISSUER, options={"require": ["exp", "sub", "sid"]})
        assert (claims["sub"], claims["sid"]) == (user.id, session.id)
