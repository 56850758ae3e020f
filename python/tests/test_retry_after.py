"""The `Retry-After` headers of `test/vectors`; the TypeScript package is tested with the same."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import pytest

from stagedoor._http import retry_after_seconds

FILE: dict[str, Any] = json.loads((Path(__file__).parents[2] / "test/vectors/retry-after.json").read_text())


@pytest.mark.parametrize("test", FILE["tests"], ids=lambda test: test["comment"])
def test_vectors(test: dict[str, Any]) -> None:
    assert retry_after_seconds(test["header"], FILE["now"]) == test["seconds"]


def test_no_header_and_no_limit() -> None:
    assert retry_after_seconds(None, 0) is None
    assert retry_after_seconds("9" * 10_000, 0) == math.inf


def test_a_date_is_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert retry_after_seconds("Sun Nov  6 08:49:37 1994", FILE["now"]) == 60
    finally:
        monkeypatch.undo()
        time.tzset()
