"""Methods of `Users` that send more than one request. The class, which is generated, inherits them."""

from __future__ import annotations

from typing import Any

from typing_extensions import Unpack

from stagedoor import models
from stagedoor._http import Call, Http, body_of, new_key
from stagedoor.errors import StagedoorError
from stagedoor.paging import Listing, read_page, read_page_async


class HandWrittenUsers:
    """Methods of `Users` that send more than one request."""

    _http: Http

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
        known = _best(read_page(self._http, _with_own_id(own_id)).data, own_id)
        if known:
            return known
        try:
            return self._http.send(_creation(body))
        except StagedoorError as error:
            # Another request has created the user since.
            other = _best(read_page(self._http, _with_own_id(own_id)).data, own_id) if error.code == _TAKEN else None
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
        known = _best((await read_page_async(self._http, _with_own_id(own_id))).data, own_id)
        if known:
            return known
        try:
            return await self._http.send_async(_creation(body))
        except StagedoorError as error:
            other = (
                _best((await read_page_async(self._http, _with_own_id(own_id))).data, own_id)
                if error.code == _TAKEN
                else None
            )
            if other:
                return other
            raise


_TAKEN = "form_identifier_exists"


def _best(found: list[models.User], own_id: str) -> models.User | None:
    """Returns the user with exactly this id; otherwise the one whose id the server takes for the same."""
    exact = (user for user in found if user.external_id == own_id)
    return next(exact, found[0] if found else None)


def _to_find(request: object, fields: dict[str, Any]) -> tuple[dict[str, Any], str]:
    body = body_of(models.CreateUserRequestBody, request, fields)
    own_id = body.get("external_id")
    if not isinstance(own_id, str) or own_id == "":
        raise ValueError("`external_id` is missing: give your own id of the user.")
    return body, own_id


def _with_own_id(own_id: str) -> Listing[models.User]:
    return Listing("/v1/users", {"external_id": [own_id]}, models.User.model_validate)


def _creation(body: dict[str, Any]) -> Call[models.User]:
    return Call("POST", "/v1/users", models.User.model_validate, body=body, idempotency_key=new_key(None))
