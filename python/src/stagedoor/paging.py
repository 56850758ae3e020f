"""Lists, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from stagedoor._http import Call, Http

T = TypeVar("T")

_FURTHER_PAGES_LIMIT = 100
"""How many further pages hold unless `limit` was given: the server's usual 10 would be many requests."""


@dataclass(frozen=True)
class Part(Generic[T]):
    """What one request gives of a list."""

    data: list[T]
    total_count: int


@dataclass(frozen=True)
class Listing(Generic[T]):
    """A list, from some point on."""

    path: str
    query: Mapping[str, Any]
    read: Callable[[Any], T]
    after: Callable[[T], Mapping[str, Any]] | None = None
    """Where it goes on after an entry; lists without it are counted through."""

    def call(self) -> Call[Part[T]]:
        return Call("GET", self.path, self._part, query={**self.query, "paginated": True})

    def following(self, part: Part[T]) -> Listing[T] | None:
        offset = int(self.query.get("offset") or 0) + len(part.data)
        if not part.data or offset >= part.total_count:
            return None
        position = {"offset": offset} if self.after is None else {"offset": None, **self.after(part.data[-1])}
        limit = self.query.get("limit") or _FURTHER_PAGES_LIMIT
        return replace(self, query={**self.query, "limit": limit, **position})

    def _part(self, answer: Any) -> Part[T]:
        return Part([self.read(each) for each in answer["data"]], int(answer["total_count"]))


class Page(Generic[T]):
    """A page of a list, and the way to the rest.

    `data` is this page, `total_count` how many there are in all; a loop over it goes on through every further page.
    What is added or removed meanwhile may come twice or be passed over, except in the audit log.

    Example:
        >>> page = stagedoor.users.list(limit=2)
        >>> len(page.data)
        2
        >>> everybody = list(page)
        >>> len(everybody) == page.total_count
        True
    """

    data: list[T]
    """The entries of this page."""
    total_count: int
    """How many there are in all, from this page on in the audit log."""

    def __init__(self, http: Http, listing: Listing[T], part: Part[T]) -> None:
        self._http = http
        self._following = listing.following(part)
        self.data = part.data
        self.total_count = part.total_count

    def next_page(self) -> Page[T] | None:
        """The next page; None after the last."""
        return None if self._following is None else read_page(self._http, self._following)

    def __iter__(self) -> Iterator[T]:
        page: Page[T] | None = self
        while page is not None:
            yield from page.data
            page = page.next_page()

    def __repr__(self) -> str:
        return f"<Page: {len(self.data)} of {self.total_count}>"


class AsyncPage(Generic[T]):
    """A page of a list, and the way to the rest: as `Page`, with `async for`.

    Example:
        >>> async def count() -> int:
        ...     async with Stagedoor() as stagedoor:
        ...         return len([user async for user in await stagedoor.users.list_async(limit=2)])
        >>> asyncio.run(count()) >= 3
        True
    """

    data: list[T]
    """The entries of this page."""
    total_count: int
    """How many there are in all, from this page on in the audit log."""

    def __init__(self, http: Http, listing: Listing[T], part: Part[T]) -> None:
        self._http = http
        self._following = listing.following(part)
        self.data = part.data
        self.total_count = part.total_count

    async def next_page(self) -> AsyncPage[T] | None:
        """The next page; None after the last."""
        return None if self._following is None else await read_page_async(self._http, self._following)

    async def __aiter__(self) -> AsyncIterator[T]:
        page: AsyncPage[T] | None = self
        while page is not None:
            for each in page.data:
                yield each
            page = await page.next_page()

    def __repr__(self) -> str:
        return f"<AsyncPage: {len(self.data)} of {self.total_count}>"


def read_page(http: Http, listing: Listing[T]) -> Page[T]:
    """Asks for a page."""
    return Page(http, listing, http.send(listing.call()))


async def read_page_async(http: Http, listing: Listing[T]) -> AsyncPage[T]:
    """Asks for a page."""
    return AsyncPage(http, listing, await http.send_async(listing.call()))
