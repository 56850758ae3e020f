"""Checks of the audit log that need no server: signed checkpoints, and proofs that lead to them (C2SP, RFC 9162)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = [
    "AuditProofError",
    "VerifiedCheckpoint",
    "verify_checkpoint",
    "verify_consistency",
    "verify_inclusion",
]

_LOG = 1
_WITNESS = 4
_MAX_SIGNATURES = 100
_MAX_INTEGER = 2**53 - 1
_NAME = r"[^\s+]+"


class AuditProofError(Exception):
    """The note, the key or the proof does not have its format, or a signature is wrong."""


@dataclass(frozen=True)
class VerifiedCheckpoint:
    """A checkpoint with a valid signature: it commits to the first `size` entries of the log, and to their order."""

    origin: str
    """Permanent name of the log."""
    size: int
    """Number of entries."""
    root: str
    """Root of the tree over the entries, hex."""
    signers: tuple[str, ...] = ()
    """Names of the keys that signed, each once: the log, and witnesses."""


@dataclass(frozen=True)
class _Key:
    name: str
    id: bytes
    type: int
    key: Ed25519PublicKey


def verify_checkpoint(note: str, vkeys: Sequence[str]) -> VerifiedCheckpoint:
    """Checks the signatures of a checkpoint (c2sp.org/tlog-checkpoint, c2sp.org/tlog-cosignature).

    `note` is the signed note, as `audit.checkpoint()` returns it or as you kept it. `vkeys` are the verifier keys that
    you trust: of the log, and of witnesses whose signature you need. The key of the log must have signed; look for
    witnesses in `signers`.

    Raises `AuditProofError` if it is not a signed checkpoint, a signature of one of the keys is wrong, or the log did
    not sign.

    >>> verify_checkpoint("no note", [])
    Traceback (most recent call last):
    ...
    stagedoor.audit_proof.AuditProofError: This is not a signed note.
    """
    keys = [_read_key(vkey) for vkey in vkeys]
    end = note.rfind("\n\n")
    if end < 0 or not note.endswith("\n") or re.search("[\x00-\x09\x0b-\x1f\ud800-\udfff]", note):
        raise AuditProofError("This is not a signed note.")
    text = note[: end + 1]
    lines = note[end + 2 : -1].split("\n")
    if len(lines) > _MAX_SIGNATURES:
        raise AuditProofError("The note has too many signatures.")
    signers: dict[tuple[str, bytes], _Key] = {}
    for line in lines:
        found = re.fullmatch(rf"— ({_NAME}) (\S+)", line)
        signature = _from_base64(found[2]) if found else b""
        if found is None or len(signature) < 5:
            raise AuditProofError("A line of the note is not a signature.")
        key = next((each for each in keys if (each.name, each.id) == (found[1], signature[:4])), None)
        if key is None:
            continue
        if not _is_signed_by(key, text, signature[4:]):
            raise AuditProofError(f"The signature of {key.name} is wrong.")
        signers[key.name, key.id] = key
    origin, size, root = _read_checkpoint(text)
    if not any(key.type == _LOG and key.name == origin for key in signers.values()):
        raise AuditProofError("None of the keys of the log signed this checkpoint.")
    return VerifiedCheckpoint(origin, size, root, tuple(key.name for key in signers.values()))


def verify_inclusion(event: str, leaf_index: int | None, hashes: Sequence[str], checkpoint: VerifiedCheckpoint) -> bool:
    """Returns whether an event is in the log of a checkpoint (RFC 9162 §2.1.3.2).

    `event`, `leaf_index` and `hashes` come from `audit_events.proof()`; `checkpoint` comes from `verify_checkpoint` and
    has the size of the proof.

    Raises `AuditProofError` if a hash is not canonical base64 of 32 bytes.

    >>> leaf = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    >>> verify_inclusion("", 0, [], VerifiedCheckpoint("app.example.com/audit/ins_1", 1, leaf))
    True
    """
    if leaf_index is None or not 0 <= leaf_index < checkpoint.size <= _MAX_INTEGER:
        return False
    found = hashlib.sha256(b"\x00" + event.encode()).digest()

    def visit(sibling: bytes, is_left: bool) -> None:
        nonlocal found
        found = _node(sibling, found) if is_left else _node(found, sibling)

    is_complete = _climb(leaf_index, checkpoint.size - 1, hashes, visit)
    return is_complete and found.hex() == checkpoint.root


def verify_consistency(earlier: VerifiedCheckpoint, later: VerifiedCheckpoint, hashes: Sequence[str]) -> bool:
    """Returns whether the log of an earlier checkpoint is the beginning of the log of a later one (RFC 9162 §2.1.4.2):
    nothing was changed, removed, inserted or moved.

    `earlier` is the checkpoint that you kept; both come from `verify_checkpoint`. `hashes` come from
    `audit.consistency()` for these two sizes.

    Raises `AuditProofError` if a hash is not canonical base64 of 32 bytes.

    >>> kept = VerifiedCheckpoint("app.example.com/audit/ins_1", 1, "6e" * 32)
    >>> verify_consistency(kept, kept, [])
    True
    """
    if earlier.origin != later.origin or not 0 <= earlier.size <= later.size <= _MAX_INTEGER:
        return False
    if earlier.size == 0:
        return len(hashes) == 0 and earlier.root == hashlib.sha256().hexdigest()
    if earlier.size == later.size:
        return len(hashes) == 0 and earlier.root == later.root
    at, last = earlier.size - 1, later.size - 1
    while at % 2 == 1:
        at, last = at // 2, last // 2
    # If the earlier tree is a complete subtree of the later one, the proof begins with it, unwritten.
    if at == 0:
        before, rest = bytes.fromhex(earlier.root), hashes
    else:
        before, rest = _read_hash(hashes[0] if hashes else ""), hashes[1:]
    after = before

    def visit(sibling: bytes, is_left: bool) -> None:
        nonlocal before, after
        if is_left:
            before = _node(sibling, before)
        after = _node(sibling, after) if is_left else _node(after, sibling)

    is_complete = _climb(at, last, rest, visit)
    return is_complete and before.hex() == earlier.root and after.hex() == later.root


def _climb(at: int, last: int, proof: Sequence[str], visit: Callable[[bytes, bool], None]) -> bool:
    """Climbs from a node to the root. Returns whether the proof ends there."""
    for text in proof:
        sibling = _read_hash(text)
        if last == 0:
            return False
        is_left = at % 2 == 1 or at == last
        visit(sibling, is_left)
        if is_left:
            while at % 2 == 0 and at != 0:
                at, last = at // 2, last // 2
        at, last = at // 2, last // 2
    return last == 0


def _read_key(vkey: str) -> _Key:
    found = re.fullmatch(rf"({_NAME})\+([0-9a-f]{{8}})\+(\S+)", vkey)
    raw = _from_base64(found[3]) if found else b""
    if found is None or len(raw) != 33 or raw[0] not in (_LOG, _WITNESS):
        raise AuditProofError(f"This is not a verifier key with Ed25519: {vkey}")
    key_id = hashlib.sha256(found[1].encode() + b"\n" + raw).digest()[:4]
    if key_id.hex() != found[2]:
        raise AuditProofError(f"The key id does not belong to this name and key: {vkey}")
    return _Key(found[1], key_id, raw[0], Ed25519PublicKey.from_public_bytes(raw[1:]))


def _is_signed_by(key: _Key, text: str, signature: bytes) -> bool:
    signed = text
    if key.type == _WITNESS:
        signed = f"cosignature/v1\ntime {int.from_bytes(signature[:8], 'big')}\n{text}"
        signature = signature[8:]
    try:
        key.key.verify(signature, signed.encode())
    except InvalidSignature:
        return False
    return True


def _read_checkpoint(text: str) -> tuple[str, int, str]:
    lines = text.split("\n")
    if len(lines) != 4 or not re.fullmatch(_NAME, lines[0]) or not re.fullmatch("0|[1-9][0-9]{0,15}", lines[1]):
        raise AuditProofError("The text of the note is not a checkpoint.")
    size = int(lines[1])
    if size > _MAX_INTEGER:
        raise AuditProofError("The text of the note is not a checkpoint.")
    return lines[0], size, _read_hash(lines[2]).hex()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _read_hash(text: str) -> bytes:
    raw = _from_base64(text)
    if len(raw) != 32:
        raise AuditProofError("A hash has 32 bytes.")
    return raw


def _from_base64(text: str) -> bytes:
    """Accepts one text for each value: with padding, and with the unused bits set to zero."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if base64.b64encode(raw).decode() != text:
        raise AuditProofError("This is not canonical base64.")
    return raw
