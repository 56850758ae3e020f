"""Lists, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from stagedoor._http import Call, Http

T = TypeVar("T")

_FURTHER_PAGES_LIMIT = 100
"""Default rows per further page. The server's default of 10 would need many requests."""


@dataclass(frozen=True)
class Part(Generic[T]):
    """One page of a list, as one request returns it."""

    data: list[T]
    total_count: int | None
    """None if the request did not ask for it."""
    next_cursor: str | None
    total_count_is_minimum: bool = False


@dataclass(frozen=True)
class Listing(Generic[T]):
    """A list, from a position on."""

    path: str
    query: Mapping[str, Any]
    read: Callable[[Any], T]
    total_count: int | None = None
    """On further pages: the count that came with the first page."""
    total_count_is_minimum: bool = False
    """The same for whether that count is exact."""
    movable: bool = False
    """Whether rows can change their position while the list is read."""

    def call(self) -> Call[Part[T]]:
        return Call("GET", self.path, self._part, query={**self.query, "paginated": True})

    def following(self, part: Part[T]) -> Listing[T] | None:
        offset = int(self.query.get("offset") or 0) + len(part.data)
        if part.next_cursor is not None:
            position: dict[str, Any] = {"offset": None, "starting_after": part.next_cursor, "total_count": False}
        elif part.data and self._is_counted and part.total_count is not None and offset < part.total_count:
            # The server has no cursors.
            position = {"offset": offset}
        else:
            return None
        limit = self.query.get("limit") or _FURTHER_PAGES_LIMIT
        count = self.total_count if part.total_count is None else part.total_count
        return replace(
            self,
            query={**self.query, "limit": limit, **position},
            total_count=count,
            total_count_is_minimum=self.is_minimum(part),
        )

    @property
    def _is_counted(self) -> bool:
        """Whether the count includes all rows from the first page on."""
        return self.query.get("starting_after") is None and self.query.get("before_seq") is None

    def count_of(self, part: Part[T]) -> int:
        counts = (part.total_count, self.total_count, len(part.data))
        return next(count for count in counts if count is not None)

    def is_minimum(self, part: Part[T]) -> bool:
        return self.total_count_is_minimum if part.total_count is None else part.total_count_is_minimum

    def new_rows(self, seen: set[object], data: list[T]) -> list[T]:
        """Returns the rows of a page. If rows can move, returns only those that were not returned before."""
        if not self.movable:
            return data
        new = [row for row in data if getattr(row, "id", None) not in seen]
        seen.update(getattr(row, "id", None) for row in data)
        return new

    def _part(self, answer: Any) -> Part[T]:
        count = answer.get("total_count")
        data = [self.read(each) for each in answer["data"]]
        return Part(
            data,
            None if count is None else int(count),
            answer.get("next_cursor"),
            answer.get("total_count_is_minimum") is True,
        )


class Page(Generic[T]):
    """A page of a list. Iterate over it to get this page and all further ones.

    `data` has the rows of this page, `total_count` is the number of rows in all pages. Iteration uses positions, not
    counts: you may revoke, ban or delete the rows that you get, and no row is skipped or returned twice. If the newest
    rows come first, rows that are added during iteration are not included.

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
    """How many there are in all, counted with the first page."""
    total_count_is_minimum: bool
    """Whether there can be more: the server stopped counting at `total_count`."""
    next_cursor: str | None
    """Where the next page begins: pass it as `starting_after`. None on the last page."""

    def __init__(self, http: Http, listing: Listing[T], part: Part[T]) -> None:
        self._http = http
        self._listing = listing
        self._following = listing.following(part)
        self.data = part.data
        self.total_count = listing.count_of(part)
        self.total_count_is_minimum = listing.is_minimum(part)
        self.next_cursor = part.next_cursor

    def next_page(self) -> Page[T] | None:
        """The next page; None after the last."""
        return None if self._following is None else read_page(self._http, self._following)

    def __iter__(self) -> Iterator[T]:
        page: Page[T] | None = self
        seen: set[object] = set()
        while page is not None:
            yield from self._listing.new_rows(seen, page.data)
            page = page.next_page()

    def __repr__(self) -> str:
        return f"<Page: {len(self.data)} of {self.total_count}>"


class AsyncPage(Generic[T]):
    """A page of a list, like `Page`, for `async for`.

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
    """How many there are in all, counted with the first page."""
    total_count_is_minimum: bool
    """Whether there can be more: the server stopped counting at `total_count`."""
    next_cursor: str | None
    """Where the next page begins: pass it as `starting_after`. None on the last page."""

    def __init__(self, http: Http, listing: Listing[T], part: Part[T]) -> None:
        self._http = http
        self._listing = listing
        self._following = listing.following(part)
        self.data = part.data
        self.total_count = listing.count_of(part)
        self.total_count_is_minimum = listing.is_minimum(part)
        self.next_cursor = part.next_cursor

    async def next_page(self) -> AsyncPage[T] | None:
        """The next page; None after the last."""
        return None if self._following is None else await read_page_async(self._http, self._following)

    async def __aiter__(self) -> AsyncIterator[T]:
        page: AsyncPage[T] | None = self
        seen: set[object] = set()
        while page is not None:
            for each in self._listing.new_rows(seen, page.data):
                yield each
            page = await page.next_page()

    def __repr__(self) -> str:
        return f"<AsyncPage: {len(self.data)} of {self.total_count}>"


def read_page(http: Http, listing: Listing[T]) -> Page[T]:
    """Requests a page."""
    return Page(http, listing, http.send(listing.call()))


async def read_page_async(http: Http, listing: Listing[T]) -> AsyncPage[T]:
    """Requests a page."""
    return AsyncPage(http, listing, await http.send_async(listing.call()))
