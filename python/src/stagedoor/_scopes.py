"""What a limited session may do: its access and its scopes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from stagedoor.token_error import TokenError

Access: TypeAlias = Literal["read", "write"]
Limits: TypeAlias = "tuple[Access | None, tuple[str, ...] | None]"

_SCOPE = re.compile(r"(?!act:)[a-z][a-z0-9:._-]{0,63}")
_PATTERN = re.compile(r"(?:([A-Z]+(?:\|[A-Z]+)*) )?(/[^\s?#%\\;]*)")


def is_scope(scope: object) -> bool:
    """Returns whether a value can be a scope."""
    return isinstance(scope, str) and _SCOPE.fullmatch(scope) is not None


def are_scopes(scopes: object) -> bool:
    """Returns whether this is a list of scopes without duplicates."""
    if not isinstance(scopes, (list, tuple)) or not all(is_scope(each) for each in scopes):
        return False
    return len(set(scopes)) == len(scopes)


def limits_of(claims: Mapping[str, Any]) -> Limits:
    """Reads the claim `scope` of a session token: `act:read` or `act:write`, then scopes, separated by single spaces.

    A token with an actor and without the claim is unrestricted. Anything else in the claim makes the token invalid,
    never unrestricted.

    Raises:
        TokenError: `token-malformed`
    """
    if "act" not in claims:
        return None, None
    if "scope" not in claims:
        return "write", None
    scope = claims["scope"]
    access, *scopes = scope.split(" ") if isinstance(scope, str) else [""]
    # `act:write` alone limits nothing, and no server sends it.
    is_limit = access == "act:read" or (access == "act:write" and len(scopes) > 0)
    if not is_limit or not are_scopes(scopes):
        raise TokenError("token-malformed")
    return ("read" if access == "act:read" else "write"), (tuple(scopes) or None)


Reads: TypeAlias = Callable[[str, str], bool]
"""Tells whether a request with this method to this path only reads."""


def reads_of(patterns: Sequence[str]) -> Reads:
    """Reads the option `reads`: endpoints that only read although their method is not GET.

    In a pattern such as `POST /search`, `*` is one segment of the path and `**` any number of segments. Without a
    method it applies to all.

    Raises:
        TypeError: a pattern is invalid
    """
    if isinstance(patterns, str):
        raise TypeError('`reads` must be a list: ["POST /search"].')
    known = [_compiled(pattern) for pattern in patterns]

    def only_reads(method: str, path: str) -> bool:
        # A path that a router could read in several ways matches no pattern.
        if re.search(r"[%\\;\x00-\x20\x7f]|//|/\.{1,2}(?:/|$)", path):
            return False
        return any((methods is None or method in methods) and form.fullmatch(path) for methods, form in known)

    return only_reads


def _compiled(pattern: object) -> tuple[list[str] | None, re.Pattern[str]]:
    found = _PATTERN.fullmatch(pattern) if isinstance(pattern, str) else None
    if found is None:
        raise TypeError(f"{pattern!r} is not a pattern. Write 'POST /search' or 'POST /reports/*'.")
    methods, path = found.groups()
    forms = {"**": "(?:/[^/]+)*", "*": "/[^/]+"}
    expression = "".join(forms.get(each, f"/{re.escape(each)}") for each in path.split("/") if each != "")
    return None if methods is None else methods.split("|"), re.compile(f"{expression}/?")


def only_reads(methods: Iterable[str], path: str, reads: Reads) -> bool:
    """Returns whether a request only reads, by each of its methods."""
    return all(method.upper() in SAFE_METHODS or reads(method.upper(), path) for method in methods)


SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
"""The safe methods (RFC 9110 §9.2.1), except TRACE."""
