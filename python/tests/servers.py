"""The servers that test/python.test.ts has started."""

from __future__ import annotations

import json
import os

import pytest

if "TEST_SERVERS" not in os.environ:
    pytest.exit("These tests need servers to talk to. Run them with `npm test -- python`.", returncode=2)

SERVERS: dict[str, str] = json.loads(os.environ["TEST_SERVERS"])
"""The URL of a server for each signing algorithm."""
SERVER_URL = SERVERS["RS256"]
ISSUER = os.environ["TEST_ISSUER"]
SECRET_KEY = os.environ["TEST_SECRET_KEY"]
RUN = os.urandom(4).hex()
"""A suffix for names that must be unique."""
ACTOR = {
    "sub": "olivia@support",
    "reason_code": "support",
    "nestedNames": {"snake_case": [1, None, "é"], "camelCase": True},
}
