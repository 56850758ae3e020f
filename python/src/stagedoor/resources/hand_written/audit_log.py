"""The methods of `Audit` whose answers are not JSON. The class, which is generated, inherits them."""

from __future__ import annotations

from urllib.parse import quote

import httpx

from stagedoor._events import json_of
from stagedoor._http import Call, Http, refusal


class HandWrittenAudit:
    """The methods of `Audit` whose answers are not JSON."""

    _http: Http

    def checkpoint(self) -> str:
        """Reads the newest checkpoint of the audit log: a signed note with its name, its size and its root.

        Keep it outside of the server: it shows every later change to the entries that it covers.

        Raises:
            StagedoorError: `resource_not_found` (there is none yet)

        `GET /v1/audit/checkpoint` (Stagedoor only)

        Example:
            >>> "/audit/ins_" in stagedoor.audit.checkpoint()
            True
        """
        return self._read("/v1/audit/checkpoint").text

    async def checkpoint_async(self) -> str:
        """As `checkpoint`, asynchronously."""
        return (await self._read_async("/v1/audit/checkpoint")).text

    def tile(self, name: str) -> bytes:
        """Reads a tile of the audit log, or 256 of its entries (c2sp.org/tlog-tiles).

        Args:
            name: What follows `tile/`: `0/x001/234`, `entries/000.p/12`.

        Raises:
            StagedoorError: `resource_not_found`, `audit_pruned`

        `GET /v1/audit/tile/{tile_path}` (Stagedoor only)

        Example:
            >>> len(stagedoor.audit.tile("0/000.p/1"))
            32
        """
        return self._read(f"/v1/audit/tile/{quote(name)}").content

    async def tile_async(self, name: str) -> bytes:
        """As `tile`, asynchronously."""
        return (await self._read_async(f"/v1/audit/tile/{quote(name)}")).content

    def _read(self, path: str) -> httpx.Response:
        call = Call("GET", path, lambda _: None)
        try:
            request = self._http.request(call, {"accept": "*/*"})
            response = self._http.client().send(request, auth=None, follow_redirects=False)
        except httpx.RequestError as cause:
            raise self._http.no_answer(self._what(path), cause, safe=True) from cause
        return self._checked(path, response)

    async def _read_async(self, path: str) -> httpx.Response:
        call = Call("GET", path, lambda _: None)
        try:
            request = self._http.request(call, {"accept": "*/*"})
            response = await self._http.async_client().send(request, auth=None, follow_redirects=False)
        except httpx.RequestError as cause:
            raise self._http.no_answer(self._what(path), cause, safe=True) from cause
        return self._checked(path, response)

    def _checked(self, path: str, response: httpx.Response) -> httpx.Response:
        if response.status_code != 200:
            raise refusal(self._what(path), response, json_of(response))
        return response

    def _what(self, path: str) -> str:
        return f"GET {self._http.origin}{path}"
