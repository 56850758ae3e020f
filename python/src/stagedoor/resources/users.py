"""The users of your app, as whom actors can act."""

from __future__ import annotations

from typing import Any

from typing_extensions import Unpack

from stagedoor import models
from stagedoor._http import Call, Http, body_of, new_key, path
from stagedoor.errors import StagedoorError
from stagedoor.paging import AsyncPage, Listing, Page, read_page, read_page_async


class Users:
    """The users of your app, as whom actors can act."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def create(
        self,
        request: models.CreateUserRequestBody | models.CreateUserRequestBodyTypedDict | None = None,
        *,
        idempotency_key: str | None = None,
        **fields: Unpack[models.CreateUserRequestBodyTypedDict],
    ) -> models.User:
        """Creates a user. Stagedoor stores no passwords: your own login stays as it is.

        Args:
            request: A `models.CreateUserRequestBody`, or a dict of the same, or its members by name, all optional:
                `external_id` (your own id of the user, unique), `email_address` and `phone_number` (lists), `username`,
                `first_name`, `last_name`, `public_metadata`, `private_metadata`, `unsafe_metadata`, …
            idempotency_key: Your own key, to retry in another process. Default: a new key per call.

        Raises:
            StagedoorError: `form_identifier_exists`, `form_param_value_invalid`, `form_param_type_invalid`

        `POST /v1/users` (CreateUser, as at Clerk)

        Example:
            >>> stagedoor.users.create(first_name="Ada", public_metadata={"plan": "pro"}).public_metadata
            {'plan': 'pro'}
        """
        return self._http.send(self._create(request, idempotency_key, {**fields}))

    async def create_async(
        self,
        request: models.CreateUserRequestBody | models.CreateUserRequestBodyTypedDict | None = None,
        *,
        idempotency_key: str | None = None,
        **fields: Unpack[models.CreateUserRequestBodyTypedDict],
    ) -> models.User:
        """As `create`, asynchronously."""
        return await self._http.send_async(self._create(request, idempotency_key, {**fields}))

    def _create(self, request: object, key: str | None, fields: dict[str, Any]) -> Call[models.User]:
        body = body_of(models.CreateUserRequestBody, request, fields)
        return Call("POST", "/v1/users", models.User.model_validate, body=body, idempotency_key=new_key(key))

    def get(self, user_id: str) -> models.User:
        """Reads a user.

        Raises:
            StagedoorError: `resource_not_found`

        `GET /v1/users/{id}` (GetUser, as at Clerk)

        Example:
            >>> stagedoor.users.get(user.id).first_name
            'Carl'
        """
        return self._http.send(self._get(user_id))

    async def get_async(self, user_id: str) -> models.User:
        """As `get`, asynchronously."""
        return await self._http.send_async(self._get(user_id))

    def _get(self, user_id: str) -> Call[models.User]:
        return Call("GET", path("/v1/users/{}", user_id), models.User.model_validate)

    def list(self, **filters: Unpack[models.GetUserListQuery]) -> Page[models.User]:
        """Lists users, newest first by default (`order_by`). Iterate over the page to get all users.

        Args:
            filters: Lists of `user_id`, `email_address`, `phone_number`, `external_id`, `username`; `query`, part of an
                id, a name or an address; times in Unix milliseconds; `order_by` (`-created_at`); `limit` 1 to 500 (10);
                `starting_after` (the `next_cursor` of a page) or `offset` (0).

        Raises:
            StagedoorError: `form_param_value_invalid`

        `GET /v1/users` (GetUserList, as at Clerk)

        Example:
            >>> [found.first_name for found in stagedoor.users.list(external_id=[user.external_id])]
            ['Carl']
        """
        return read_page(self._http, self._list(filters))

    async def list_async(self, **filters: Unpack[models.GetUserListQuery]) -> AsyncPage[models.User]:
        """As `list`, asynchronously."""
        return await read_page_async(self._http, self._list(filters))

    def _list(self, filters: models.GetUserListQuery) -> Listing[models.User]:
        return Listing("/v1/users", {**filters}, models.User.model_validate, movable=True)

    def find_or_create(
        self,
        request: models.CreateUserRequestBody | models.CreateUserRequestBodyTypedDict | None = None,
        **fields: Unpack[models.CreateUserRequestBodyTypedDict],
    ) -> models.User:
        """Finds the user with your own id of them. Creates the user if there is none yet.

        Args:
            request: As for `create`; `external_id` is required.

        Raises:
            StagedoorError: `form_identifier_exists` (for example if another user has the e-mail address)
            ValueError: there is no `external_id`

        `GET /v1/users`, `POST /v1/users`

        Example:
            >>> found = stagedoor.users.find_or_create(external_id=user.external_id, first_name="Carl")
            >>> found.id == user.id
            True
        """
        body, own_id = _to_find(request, {**fields})
        known = _best(self.list(external_id=[own_id]).data, own_id)
        if known:
            return known
        try:
            return self._http.send(self._create(body, None, {}))
        except StagedoorError as error:
            # Another request has created the user since.
            other = _best(self.list(external_id=[own_id]).data, own_id) if error.code == _TAKEN else None
            if other:
                return other
            raise

    async def find_or_create_async(
        self,
        request: models.CreateUserRequestBody | models.CreateUserRequestBodyTypedDict | None = None,
        **fields: Unpack[models.CreateUserRequestBodyTypedDict],
    ) -> models.User:
        """As `find_or_create`, asynchronously."""
        body, own_id = _to_find(request, {**fields})
        known = _best((await self.list_async(external_id=[own_id])).data, own_id)
        if known:
            return known
        try:
            return await self._http.send_async(self._create(body, None, {}))
        except StagedoorError as error:
            other = _best((await self.list_async(external_id=[own_id])).data, own_id) if error.code == _TAKEN else None
            if other:
                return other
            raise

    def count(self, **filters: Unpack[models.GetUsersCountQuery]) -> int:
        """Counts users.

        Args:
            filters: Those of `list`.

        Raises:
            StagedoorError: `form_param_value_invalid`

        `GET /v1/users/count` (GetUsersCount, as at Clerk)

        Example:
            >>> stagedoor.users.count(external_id=[user.external_id])
            1
        """
        return self._http.send(self._count(filters)).total_count

    async def count_async(self, **filters: Unpack[models.GetUsersCountQuery]) -> int:
        """As `count`, asynchronously."""
        return (await self._http.send_async(self._count(filters))).total_count

    def _count(self, filters: models.GetUsersCountQuery) -> Call[models.TotalCount]:
        return Call("GET", "/v1/users/count", models.TotalCount.model_validate, query={**filters})

    def update(
        self,
        user_id: str,
        request: models.UpdateUserRequestBody | models.UpdateUserRequestBodyTypedDict | None = None,
        **fields: Unpack[models.UpdateUserRequestBodyTypedDict],
    ) -> models.User:
        """Changes a user. Omitted members keep their values; None clears a member.

        Args:
            user_id: `user_…`
            request: A `models.UpdateUserRequestBody`, or a dict of the same, or its members by name, as for
                `create`, and `primary_email_address_id`, `primary_phone_number_id`. Metadata given here replaces;
                `update_metadata` merges.

        Raises:
            StagedoorError: `resource_not_found`, `form_identifier_exists`, `form_param_value_invalid`

        `PATCH /v1/users/{id}` (UpdateUser, as at Clerk)

        Example:
            >>> stagedoor.users.update(user.id, first_name="Ada", locale=None).first_name
            'Ada'
        """
        return self._http.send(self._update(user_id, request, fields))

    async def update_async(
        self,
        user_id: str,
        request: models.UpdateUserRequestBody | models.UpdateUserRequestBodyTypedDict | None = None,
        **fields: Unpack[models.UpdateUserRequestBodyTypedDict],
    ) -> models.User:
        """As `update`, asynchronously."""
        return await self._http.send_async(self._update(user_id, request, fields))

    def _update(
        self, user_id: str, request: object, fields: models.UpdateUserRequestBodyTypedDict
    ) -> Call[models.User]:
        body = body_of(models.UpdateUserRequestBody, request, {**fields})
        return Call("PATCH", path("/v1/users/{}", user_id), models.User.model_validate, body=body)

    def update_metadata(
        self,
        user_id: str,
        request: models.UpdateUserMetadataRequestBody | models.UpdateUserMetadataRequestBodyTypedDict | None = None,
        **fields: Unpack[models.UpdateUserMetadataRequestBodyTypedDict],
    ) -> models.User:
        """Merges into a user's metadata, deeply. A member that is None is removed (RFC 7396).

        Args:
            user_id: `user_…`
            request: A `models.UpdateUserMetadataRequestBody`, or a dict of the same, or its members by name:
                `public_metadata`, `private_metadata`, `unsafe_metadata`, each a JSON object.

        Raises:
            StagedoorError: `resource_not_found`, `form_param_type_invalid`

        `PATCH /v1/users/{id}/metadata` (UpdateUserMetadata, as at Clerk)

        Example:
            >>> changes = {"plan": "pro", "trial_ends": None}
            >>> stagedoor.users.update_metadata(user.id, public_metadata=changes).public_metadata
            {'plan': 'pro'}
        """
        return self._http.send(self._update_metadata(user_id, request, fields))

    async def update_metadata_async(
        self,
        user_id: str,
        request: models.UpdateUserMetadataRequestBody | models.UpdateUserMetadataRequestBodyTypedDict | None = None,
        **fields: Unpack[models.UpdateUserMetadataRequestBodyTypedDict],
    ) -> models.User:
        """As `update_metadata`, asynchronously."""
        return await self._http.send_async(self._update_metadata(user_id, request, fields))

    def _update_metadata(
        self, user_id: str, request: object, fields: models.UpdateUserMetadataRequestBodyTypedDict
    ) -> Call[models.User]:
        body = body_of(models.UpdateUserMetadataRequestBody, request, {**fields})
        return Call("PATCH", path("/v1/users/{}/metadata", user_id), models.User.model_validate, body=body)

    def delete(self, user_id: str) -> models.DeletedObject:
        """Deletes a user. Revokes the user's sessions and pending tokens, and those in which the user is the actor.

        Raises:
            StagedoorError: `resource_not_found`

        `DELETE /v1/users/{id}` (DeleteUser, as at Clerk)

        Example:
            >>> stagedoor.users.delete(user.id).deleted
            True
        """
        return self._http.send(self._delete(user_id))

    async def delete_async(self, user_id: str) -> models.DeletedObject:
        """As `delete`, asynchronously."""
        return await self._http.send_async(self._delete(user_id))

    def _delete(self, user_id: str) -> Call[models.DeletedObject]:
        return Call("DELETE", path("/v1/users/{}", user_id), models.DeletedObject.model_validate)

    def ban(self, user_id: str) -> models.User:
        """Bans a user. Revokes the user's sessions and pending tokens, and those in which the user is the actor.

        Raises:
            StagedoorError: `resource_not_found`

        `POST /v1/users/{id}/ban` (BanUser, as at Clerk)

        Example:
            >>> stagedoor.users.ban(user.id).banned
            True
        """
        return self._http.send(self._switch(user_id, "ban"))

    async def ban_async(self, user_id: str) -> models.User:
        """As `ban`, asynchronously."""
        return await self._http.send_async(self._switch(user_id, "ban"))

    def unban(self, user_id: str) -> models.User:
        """Lifts a ban. What the ban revoked stays revoked.

        Raises:
            StagedoorError: `resource_not_found`

        `POST /v1/users/{id}/unban` (UnbanUser, as at Clerk)

        Example:
            >>> stagedoor.users.unban(user.id).banned
            False
        """
        return self._http.send(self._switch(user_id, "unban"))

    async def unban_async(self, user_id: str) -> models.User:
        """As `unban`, asynchronously."""
        return await self._http.send_async(self._switch(user_id, "unban"))

    def lock(self, user_id: str) -> models.User:
        """Locks a user: until `unlock`, no session can be started as the user and no session token is minted.

        Raises:
            StagedoorError: `resource_not_found`

        `POST /v1/users/{id}/lock` (LockUser, as at Clerk)

        Example:
            >>> stagedoor.users.lock(user.id).locked
            True
        """
        return self._http.send(self._switch(user_id, "lock"))

    async def lock_async(self, user_id: str) -> models.User:
        """As `lock`, asynchronously."""
        return await self._http.send_async(self._switch(user_id, "lock"))

    def unlock(self, user_id: str) -> models.User:
        """Unlocks a user. Sessions that have not ended since can be used again.

        Raises:
            StagedoorError: `resource_not_found`

        `POST /v1/users/{id}/unlock` (UnlockUser, as at Clerk)

        Example:
            >>> stagedoor.users.unlock(user.id).locked
            False
        """
        return self._http.send(self._switch(user_id, "unlock"))

    async def unlock_async(self, user_id: str) -> models.User:
        """As `unlock`, asynchronously."""
        return await self._http.send_async(self._switch(user_id, "unlock"))

    def _switch(self, user_id: str, verb: str) -> Call[models.User]:
        return Call("POST", path(f"/v1/users/{{}}/{verb}", user_id), models.User.model_validate)


_TAKEN = "form_identifier_exists"


def _best(found: list[models.User], own_id: str) -> models.User | None:
    """The user with exactly this id; otherwise the one whose id the server takes for the same."""
    exact = (user for user in found if user.external_id == own_id)
    return next(exact, found[0] if found else None)


def _to_find(request: object, fields: dict[str, Any]) -> tuple[dict[str, Any], str]:
    body = body_of(models.CreateUserRequestBody, request, fields)
    own_id = body.get("external_id")
    if not isinstance(own_id, str) or own_id == "":
        raise ValueError("`external_id` is missing: give your own id of the user.")
    return body, own_id
