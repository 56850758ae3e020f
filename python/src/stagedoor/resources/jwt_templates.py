"""Templates of tokens for other services. `sessions.get_token(id, name)` mints such a token."""

from __future__ import annotations

from typing import Any, overload

from typing_extensions import Unpack

from stagedoor import models
from stagedoor._http import Call, Http, body_of, new_key, path
from stagedoor.paging import AsyncPage, Listing, Page, read_page, read_page_async


class JwtTemplates:
    """Templates of tokens for other services. `sessions.get_token(id, name)` mints such a token."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self, **filters: Unpack[models.ListJWTTemplatesQuery]) -> Page[models.JWTTemplate]:
        """Lists JWT templates, newest first.

        Args:
            filters: `limit` 1 to 500 (10); `starting_after`
                (the `next_cursor` of a page) or `offset` (0).

        Raises:
            StagedoorError: `form_param_value_invalid`

        `GET /v1/jwt_templates` (ListJWTTemplates, as at Clerk)

        Example:
            >>> template.name in [each.name for each in stagedoor.jwt_templates.list()]
            True
        """
        return read_page(self._http, self._list(filters))

    async def list_async(self, **filters: Unpack[models.ListJWTTemplatesQuery]) -> AsyncPage[models.JWTTemplate]:
        """As `list`, asynchronously."""
        return await read_page_async(self._http, self._list(filters))

    def _list(self, filters: models.ListJWTTemplatesQuery) -> Listing[models.JWTTemplate]:
        return Listing("/v1/jwt_templates", {**filters}, models.JWTTemplate.model_validate)

    def get(self, template_id: str) -> models.JWTTemplate:
        """Reads a JWT template.

        Raises:
            StagedoorError: `resource_not_found`

        `GET /v1/jwt_templates/{id}` (GetJWTTemplate, as at Clerk)

        Example:
            >>> stagedoor.jwt_templates.get(template.id).claims
            {'role': 'authenticated', 'act': '{{session.actor}}'}
        """
        return self._http.send(self._get(template_id))

    async def get_async(self, template_id: str) -> models.JWTTemplate:
        """As `get`, asynchronously."""
        return await self._http.send_async(self._get(template_id))

    def _get(self, template_id: str) -> Call[models.JWTTemplate]:
        return Call("GET", path("/v1/jwt_templates/{}", template_id), models.JWTTemplate.model_validate)

    @overload
    def create(
        self,
        request: models.CreateJWTTemplateRequestBody | models.CreateJWTTemplateRequestBodyTypedDict,
        *,
        idempotency_key: str | None = None,
    ) -> models.JWTTemplate: ...
    @overload
    def create(
        self, *, idempotency_key: str | None = None, **fields: Unpack[models.CreateJWTTemplateRequestBodyTypedDict]
    ) -> models.JWTTemplate: ...
    def create(
        self, request: object = None, *, idempotency_key: str | None = None, **fields: Any
    ) -> models.JWTTemplate:
        """Creates a JWT template.

        Args:
            request: A `models.CreateJWTTemplateRequestBody`, or a dict of the same, or its members by name:
                `name`, unique; `claims`, any JSON object, with shortcodes like `{{user.id}}` in its strings; `lifetime`
                (60) and `allowed_clock_skew` (5) in seconds.
            idempotency_key: Your own key, to retry in another process. Default: a new key per call.

        Raises:
            StagedoorError: `form_param_value_invalid` (such as an unknown shortcode), `jwt_template_reserved_claim`,
                `form_identifier_exists` (the name is taken)

        `POST /v1/jwt_templates` (CreateJWTTemplate, as at Clerk)

        Example:
            >>> stagedoor.jwt_templates.create(name=f"for-{user.id}", claims={"act": "{{session.actor}}"}).lifetime
            60
        """
        return self._http.send(self._create(request, idempotency_key, fields))

    @overload
    async def create_async(
        self,
        request: models.CreateJWTTemplateRequestBody | models.CreateJWTTemplateRequestBodyTypedDict,
        *,
        idempotency_key: str | None = None,
    ) -> models.JWTTemplate: ...
    @overload
    async def create_async(
        self, *, idempotency_key: str | None = None, **fields: Unpack[models.CreateJWTTemplateRequestBodyTypedDict]
    ) -> models.JWTTemplate: ...
    async def create_async(
        self, request: object = None, *, idempotency_key: str | None = None, **fields: Any
    ) -> models.JWTTemplate:
        """As `create`, asynchronously."""
        return await self._http.send_async(self._create(request, idempotency_key, fields))

    def _create(self, request: object, key: str | None, fields: dict[str, Any]) -> Call[models.JWTTemplate]:
        body = body_of(models.CreateJWTTemplateRequestBody, request, fields)
        read = models.JWTTemplate.model_validate
        return Call("POST", "/v1/jwt_templates", read, body=body, idempotency_key=new_key(key))

    def update(
        self,
        template_id: str,
        request: models.UpdateJWTTemplateRequestBody | models.UpdateJWTTemplateRequestBodyTypedDict | None = None,
        **fields: Unpack[models.UpdateJWTTemplateRequestBodyTypedDict],
    ) -> models.JWTTemplate:
        """Changes a JWT template. Omitted members keep their values. Tokens that are already minted do not change.

        Args:
            template_id: `jtmp_…`
            request: A `models.UpdateJWTTemplateRequestBody`, or a dict of the same, or its members by name,
                as for `create`. None restores a default.

        Raises:
            StagedoorError: `resource_not_found`, and as `create`

        `PATCH /v1/jwt_templates/{id}` (UpdateJWTTemplate, as at Clerk)

        Example:
            >>> stagedoor.jwt_templates.update(template.id, lifetime=300).lifetime
            300
        """
        return self._http.send(self._update(template_id, request, fields))

    async def update_async(
        self,
        template_id: str,
        request: models.UpdateJWTTemplateRequestBody | models.UpdateJWTTemplateRequestBodyTypedDict | None = None,
        **fields: Unpack[models.UpdateJWTTemplateRequestBodyTypedDict],
    ) -> models.JWTTemplate:
        """As `update`, asynchronously."""
        return await self._http.send_async(self._update(template_id, request, fields))

    def _update(
        self, template_id: str, request: object, fields: models.UpdateJWTTemplateRequestBodyTypedDict
    ) -> Call[models.JWTTemplate]:
        body = body_of(models.UpdateJWTTemplateRequestBody, request, {**fields})
        return Call("PATCH", path("/v1/jwt_templates/{}", template_id), models.JWTTemplate.model_validate, body=body)

    def delete(self, template_id: str) -> models.DeletedObject:
        """Deletes a JWT template. Tokens that are already minted stay valid until they expire.

        Raises:
            StagedoorError: `resource_not_found`

        `DELETE /v1/jwt_templates/{id}` (DeleteJWTTemplate, as at Clerk)

        Example:
            >>> stagedoor.jwt_templates.delete(template.id).deleted
            True
        """
        return self._http.send(self._delete(template_id))

    async def delete_async(self, template_id: str) -> models.DeletedObject:
        """As `delete`, asynchronously."""
        return await self._http.send_async(self._delete(template_id))

    def _delete(self, template_id: str) -> Call[models.DeletedObject]:
        return Call("DELETE", path("/v1/jwt_templates/{}", template_id), models.DeletedObject.model_validate)
