"""The keys that verify session tokens."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from stagedoor._http import origin_of
from stagedoor.token_error import TokenError

ALGORITHMS = ("RS256", "ES256", "EdDSA")
"""Accepted algorithms of session tokens: no symmetric ones, and never `none` (RFC 8725 §3.1, §3.2)."""

_KINDS = {"RS256": ("RSA", None), "ES256": ("EC", "P-256"), "EdDSA": ("OKP", "Ed25519")}
"""`kty` and `crv` of the keys of each algorithm."""

_MAX_AGE_SECONDS = 300.0
"""How long fetched keys are used. A key is published five minutes before it signs anything."""
_MAX_STALE_SECONDS = 3_600.0
"""How long they are used if the server cannot be reached."""
_COOL_DOWN_SECONDS = 30.0
"""Minimum time between two attempts to fetch, so that senders of tokens cannot cause many requests."""
_COOL_DOWN_WITHOUT_KEYS_SECONDS = 1.0
_FETCH_TIMEOUT_SECONDS = 5.0


class JwksSource(Protocol):
    """A source of keys."""

    def find(self, alg: str, kid: str | None) -> Key:
        """Returns the key that a token names, for the algorithm that it names. Raises TokenError."""
        ...


@dataclass(frozen=True)
class Key:
    """A public key, for one algorithm."""

    alg: str
    public: Any

    def matches(self, signed: bytes, signature: bytes) -> bool:
        """Verifies a signature."""
        # ECDSA and EdDSA signatures are 64 bytes, never DER (RFC 7518 §3.4, RFC 8037). PyJWT checks this too, but this
        # code does not depend on it.
        if self.alg != "RS256" and len(signature) != 64:
            return False
        return jwt.get_algorithm_by_name(self.alg).verify(signed, self.public, signature)


class KeySet:
    """A key set (RFC 7517). Copies its input, so that later changes to it have no effect."""

    def __init__(self, jwks: object) -> None:
        keys = jwks.get("keys") if isinstance(jwks, Mapping) else None
        if not isinstance(keys, list) or not all(isinstance(each, Mapping) for each in keys):
            raise ValueError('`jwks` is not a key set: it should look like {"keys": [ … ]}.')
        self._keys = [{**each} for each in keys]
        self._found: dict[tuple[str, str], Key] = {}

    def find(self, alg: str, kid: str | None) -> Key:
        if kid is None:
            raise TokenError("key-unknown")
        # Cache found keys only, so that tokens cannot fill the cache.
        known = self._found.get((alg, kid))
        if known is None:
            named = [each for each in self._keys if _is_named(each, alg, kid)]
            if len(named) != 1:
                raise TokenError("key-unknown")
            known = self._found[alg, kid] = _key_of_jwk(alg, named[0])
        return known

    def has(self, kid: str | None) -> bool:
        return any(each.get("kid") == kid for each in self._keys)


class Pem:
    """One key, as PEM. A PEM does not name its algorithm, but here each type of key has only one."""

    def __init__(self, pem: str) -> None:
        if not isinstance(pem, str) or not pem.strip().startswith("-----BEGIN PUBLIC KEY-----"):
            raise ValueError(
                "`public_key` is not a public key as PEM: it should begin with -----BEGIN PUBLIC KEY-----."
            )
        self._pem = pem.strip().encode()
        self._key: Key | None = None

    def find(self, alg: str, kid: str | None) -> Key:
        if self._key is None:
            try:
                self._key = _checked(load_pem_public_key(self._pem))
            except Exception as cause:
                raise TokenError("keys-unavailable") from cause
        if self._key.alg != alg:
            raise TokenError("token-wrong-algorithm")
        return self._key


class RemoteJwks:
    """A server's keys, fetched on demand and cached: the result of `remote_jwks`."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._fetching = threading.Lock()
        self._keys: KeySet | None = None
        self._fetched_at = 0.0
        self._not_before = 0.0
        self._problem: Exception | None = None

    def find(self, alg: str, kid: str | None) -> Key:
        """Returns the key that a token names. Raises TokenError."""
        keys = self._keys
        unknown = keys is None or (kid is not None and not keys.has(kid))
        if unknown or time.monotonic() >= self._fetched_at + _MAX_AGE_SECONDS:
            keys = self._fetched(wait=unknown)
        if keys is None or time.monotonic() >= self._fetched_at + _MAX_STALE_SECONDS:
            raise TokenError("keys-unavailable") from self._problem
        return keys.find(alg, kid)

    def _fetched(self, wait: bool) -> KeySet | None:
        """Fetches the keys, unless the last attempt is recent. Returns the cached keys if fetching fails."""
        if self._is_due() and self._fetching.acquire(blocking=wait):
            try:
                # Another thread may have fetched them since.
                if self._is_due():
                    self._fetch()
            finally:
                self._fetching.release()
        return self._keys

    def _is_due(self) -> bool:
        return time.monotonic() >= self._not_before

    def _fetch(self) -> None:
        try:
            response = httpx.get(self._address, timeout=_FETCH_TIMEOUT_SECONDS, follow_redirects=False)
            if response.status_code != 200:
                raise ValueError(f"{self._address} answered {response.status_code}")
            self._keys = KeySet(response.json())
            self._fetched_at = time.monotonic()
        except (httpx.HTTPError, ValueError) as problem:
            self._problem = problem
        wait = _COOL_DOWN_WITHOUT_KEYS_SECONDS if self._keys is None else _COOL_DOWN_SECONDS
        self._not_before = time.monotonic() + wait

    def __repr__(self) -> str:
        return f"<RemoteJwks {self._address}>"


_remote_sets: dict[str, RemoteJwks] = {}
_remote_sets_lock = threading.Lock()


def remote_jwks(server_url: str) -> RemoteJwks:
    """Returns the keys of a server, for `jwks` of `Verifier` and `verify_token`.

    The keys are fetched when they are first needed, cached for five minutes, and fetched again immediately (at most
    every 30 seconds) if a token names an unknown key. While the server cannot be reached, cached keys are used for an
    hour. Calls for the same server share the same keys, in all threads.

    Args:
        server_url: URL of the server: `http://127.0.0.1:4100`.

    Raises:
        StagedoorError: `server_url_invalid`

    `GET /.well-known/jwks.json`, RFC 7517

    Example:
        >>> remote_jwks("http://127.0.0.1:4100") is remote_jwks("http://127.0.0.1:4100/v1/")
        True
    """
    address = f"{origin_of(server_url)}/.well-known/jwks.json"
    with _remote_sets_lock:
        return _remote_sets.setdefault(address, RemoteJwks(address))


def _is_named(jwk: Mapping[str, Any], alg: str, kid: str) -> bool:
    kty, crv = _KINDS[alg]
    return (
        jwk.get("kid") == kid
        and jwk.get("alg", alg) == alg
        and jwk.get("kty") == kty
        and (crv is None or jwk.get("crv") == crv)
        and jwk.get("use", "sig") == "sig"
        and ("key_ops" not in jwk or jwk["key_ops"] == ["verify"])
    )


def _key_of_jwk(alg: str, jwk: Mapping[str, Any]) -> Key:
    # Use the public members only; otherwise a private key would be read as one.
    public = {name: jwk[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in jwk}
    try:
        return _checked(jwt.PyJWK(public, algorithm=alg).key)
    except Exception as cause:
        raise TokenError("keys-unavailable") from cause


def _checked(public: object) -> Key:
    if isinstance(public, RSAPublicKey):
        if public.key_size < 2_048:
            raise ValueError("The RSA key is shorter than 2048 bits.")
        return Key("RS256", public)
    if isinstance(public, EllipticCurvePublicKey) and isinstance(public.curve, SECP256R1):
        return Key("ES256", public)
    if isinstance(public, Ed25519PublicKey):
        return Key("EdDSA", public)
    raise ValueError("The key is none of RSA, P-256 and Ed25519.")
