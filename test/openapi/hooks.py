"""What Schemathesis cannot know about this server.

JSON Schema cannot express some rules: a name may be taken, and a ticket must have been issued. A request that
follows its schema may be refused for the reasons listed here, and for no other.
"""

from __future__ import annotations

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response

MAX_URL_LENGTH = 12_000
"""The server answers 431 above 16 KiB and closes the connection, perhaps while the client is still sending."""

RULES: set[tuple[str, str | None]] = {
    # Another object has the value.
    ("form_identifier_exists", "external_id"),
    ("form_identifier_exists", "username"),
    ("form_identifier_exists", "email_address"),
    ("form_identifier_exists", "phone_number"),
    ("form_identifier_exists", "name"),
    # The log does not have as many entries.
    ("form_param_value_invalid", "to_size"),
    ("form_param_value_invalid", "from_size"),
    # The value must have been issued by the server.
    ("ticket_invalid_code", None),
    ("invalid_handshake", None),
    ("form_param_value_invalid", "starting_after"),
    # Two parameters exclude each other.
    ("form_param_value_invalid", "offset"),
    # The value must be an address of an allowed origin.
    ("invalid_redirect_url", None),
    ("prohibited_redirect_url", None),
    # The value must be the algorithm of this server.
    ("form_param_value_invalid", "signing_algorithm"),
    # Exists because Clerk's clients send it; only an empty value is accepted.
    ("form_param_value_invalid", "signing_key"),
    # Claims must not have reserved names or unknown shortcodes.
    ("jwt_template_reserved_claim", "claims"),
    ("form_param_value_invalid", "claims"),
    # The time zone moves the time to before 1970.
    ("form_param_value_invalid", "created_at"),
    ("form_param_value_invalid", "legal_accepted_at"),
    # The domain is invalid (UTS #46).
    ("form_param_value_invalid", "email_address"),
    # Settings of the server limit these durations.
    ("form_param_value_invalid", "expires_in_seconds"),
    ("form_param_value_invalid", "session_max_duration_in_seconds"),
    # The size in bytes is limited.
    ("form_param_value_invalid", "actor"),
    ("form_param_value_invalid", "public_metadata"),
    ("form_param_value_invalid", "private_metadata"),
    ("form_param_value_invalid", "unsafe_metadata"),
    # An operator has a user, an agent has an owner.
    ("form_param_value_invalid", "owner_sub"),
    ("form_param_value_invalid", "user_id"),
    # Python and JavaScript differ in what is a space, and in which characters are assigned.
    ("form_param_value_invalid", "organizations"),
    ("form_param_value_invalid", "teams"),
    # A group cannot be part of itself, and the path has a name.
    ("form_param_value_invalid", "name"),
    ("form_param_value_invalid", "parents"),
    # Two names can look the same.
    ("form_param_value_invalid", "sub"),
    # What is supposed about an actor and a user, by the rules of the registry and of metadata.
    ("form_param_value_invalid", "registration"),
    ("form_param_value_invalid", "user"),
    ("form_param_missing", "text"),
    # The value must be an IP address.
    ("form_param_value_invalid", "ip"),
    # A question about a policy names a session, or a user and an actor.
    ("form_param_missing", "user_id"),
    ("form_param_missing", "actor"),
    # Any text is a valid request, but only few texts are policies.
    ("policy_invalid", None),
    ("policy_test_failed", None),
    ("policy_changed_meanwhile", None),
    ("policy_ends_sessions", None),
    # An object that has ended cannot be changed.
    ("actor_token_cannot_be_revoked_code", None),
    ("sign_in_token_cannot_be_revoked_code", None),
    # Only some texts are addresses.
    ("form_param_value_invalid", "email"),
    # The key was used for another body.
    ("idempotency_key_reused", None),
}

IN_EVERY_TEXT = {
    "The character U+0000 is not allowed.",
    "Lone surrogates are not allowed: they are not Unicode text.",
    "`__proto__` is not allowed as a member.",
    "Nested deeper than 16 levels.",
}
"""Errors for texts that no database stores, or that two parsers read differently."""

ANYWAY = {401, 403, 404, 429}
"""Statuses that depend on the caller, the object or a limit, for every valid request."""


@schemathesis.hook
def filter_case(context: HookContext, case: Case) -> bool:
    query = case.query or {}
    values = [value for each in query.values() for value in (each if isinstance(each, list) else [each])]
    return sum(len(str(value).encode()) * 3 + 40 for value in values) < MAX_URL_LENGTH


@schemathesis.check
def accepts_what_its_schema_allows(ctx: CheckContext, response: Response, case: Case) -> None:
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    status = response.status_code
    if status < 400 or status >= 500 or status in ANYWAY:
        return
    for error in response.json()["errors"]:
        if error["meta"].get("action") in IN_EVERY_TEXT:
            continue
        # Verifiers may not know the next signing key yet, or still need the old one.
        if error["code"] == "request_invalid" and case.path.startswith("/v1/signing_keys"):
            continue
        param = error["meta"].get("param_name")
        name = None if param is None else param.split(".")[0]
        allowed = (error["code"], name) in RULES or (error["code"], None) in RULES
        assert allowed, f"Valid data was refused: {status} {error}"
