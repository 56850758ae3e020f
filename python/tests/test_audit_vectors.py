"""The proofs of `test/vectors/audit`, valid and invalid; the TypeScript package is tested with the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stagedoor import (
    AuditProofError,
    VerifiedCheckpoint,
    verify_checkpoint,
    verify_consistency,
    verify_inclusion,
)

FILE: dict[str, Any] = json.loads((Path(__file__).parents[2] / "test/vectors/audit/proofs.json").read_text())
ORIGIN: str = FILE["origin"]


def test_checkpoints() -> None:
    for vector in FILE["notes"]:
        valid = vector.get("valid")
        if valid is None:
            with pytest.raises(AuditProofError):
                verify_checkpoint(vector["note"], vector["keys"])
                pytest.fail(vector["comment"])
        else:
            expected = VerifiedCheckpoint(valid["origin"], valid["size"], valid["root"], tuple(valid["signers"]))
            assert verify_checkpoint(vector["note"], vector["keys"]) == expected, vector["comment"]


def test_inclusion() -> None:
    for vector in FILE["inclusions"]:
        checkpoint = VerifiedCheckpoint(ORIGIN, vector["size"], vector["root"])
        found = verify_inclusion(vector["event"], vector["index"], vector["hashes"], checkpoint)
        assert found == vector["valid"], vector["comment"]
    assert not verify_inclusion("", None, [], VerifiedCheckpoint(ORIGIN, 1, ""))


def test_consistency() -> None:
    for vector in FILE["consistencies"]:
        earlier = VerifiedCheckpoint(ORIGIN, vector["from"], vector["from_root"])
        later = VerifiedCheckpoint(ORIGIN, vector["to"], vector["to_root"])
        assert verify_consistency(earlier, later, vector["hashes"]) == vector["valid"], vector["comment"]
        other = VerifiedCheckpoint("other", later.size, later.root)
        assert not verify_consistency(earlier, other, vector["hashes"]), vector["comment"]
    kept = VerifiedCheckpoint(ORIGIN, 3, "aa" * 32)
    for hashes in (["AAAA"], []):
        with pytest.raises(AuditProofError):
            verify_consistency(kept, VerifiedCheckpoint(ORIGIN, 5, "aa" * 32), hashes)
