import type { Generated } from 'kysely'
import type {
  ActorRecord,
  ActorTokenRecord,
  AuditCheckpointRecord,
  AuditKeyRecord,
  AuditRecord,
  AuditRunRecord,
  AuditTileRecord,
  AuditTreeRecord,
  ClientRecord,
  CutoffRecord,
  GroupRecord,
  IdempotencyKeyRecord,
  IdentifierRecord,
  JwtTemplateRecord,
  OperatorLinkRecord,
  OperatorPasskeyRecord,
  OperatorRecord,
  OperatorSessionRecord,
  OperatorSignInRecord,
  PolicyRecord,
  RefusedRequestsRecord,
  SecretKeyRecord,
  SessionRecord,
  SigningKeyRecord,
  UserRecord,
} from '../domain/records.ts'

/** The table types for Kysely. migrations.ts creates the tables. */
export interface Tables {
  instance: { id: string; created_at: number; keyring_version: number; policy_version: Generated<number> }
  policies: PolicyRecord
  actor_tokens: ActorTokenRecord & Written
  sessions: SessionRecord & Written
  clients: ClientRecord
  users: UserRow
  actors: ActorRecord
  groups: GroupRecord
  identifiers: IdentifierRecord
  jwt_templates: JwtTemplateRecord
  secret_keys: SecretKeyRecord
  operators: OperatorRecord
  operator_sessions: OperatorSessionRecord
  operator_sign_ins: OperatorSignInRecord
  operator_links: OperatorLinkRecord
  operator_passkeys: OperatorPasskeyRecord
  signing_keys: SigningKeyRecord
  audit_events: AuditRecord & { seq: Generated<number> }
  audit_tree: AuditTreeRecord & { id: string }
  audit_runs: AuditRunRecord
  audit_tiles: AuditTileRecord
  audit_checkpoints: AuditCheckpointRecord
  audit_keys: AuditKeyRecord
  refused_requests: RefusedRequestsRecord
  cutoffs: CutoffRecord
  idempotency_keys: IdempotencyKeyRecord & Written
}

/**
 * A user with its smallest e-mail address and phone number. They are stored with the user so that an index can order
 * lists by them.
 */
export interface UserRow extends UserRecord {
  first_email_address: string | null
  first_phone_number: string | null
}

export interface Written {
  /** When the row was written, by the store's clock, Unix ms. */
  written_at: Generated<number>
}

/** Every column, with its type, of the tables whose rows are inserted as whole records. There are only two types. */
export const columns = {
  actor_tokens: {
    id: 'text',
    kind: 'text',
    status: 'text',
    user_id: 'text',
    actor: 'text',
    actor_sub: 'text',
    reason: 'text',
    expires_in_seconds: 'integer',
    session_max_duration_in_seconds: 'integer',
    return_url: 'text',
    expires_at: 'integer',
    expired_at: 'integer',
    session_id: 'text',
    confirmed_token_hash: 'text',
    confirmed_at: 'integer',
    facts: 'text',
    access: 'text',
    scopes: 'text',
    created_at: 'integer',
    updated_at: 'integer',
    written_at: 'integer',
  },
  sessions: {
    id: 'text',
    client_id: 'text',
    user_id: 'text',
    status: 'text',
    actor: 'text',
    actor_sub: 'text',
    actor_token_id: 'text',
    parked_session_id: 'text',
    idle_timeout_seconds: 'integer',
    last_active_at: 'integer',
    expire_at: 'integer',
    abandon_at: 'integer',
    facts: 'text',
    access: 'text',
    scopes: 'text',
    reason: 'text',
    ip: 'text',
    decided_policy: 'integer',
    decided_user: 'integer',
    decided_actor: 'integer',
    decided_until: 'integer',
    created_at: 'integer',
    updated_at: 'integer',
    written_at: 'integer',
  },
  clients: {
    id: 'text',
    rotating_token_hash: 'text',
    previous_token_hash: 'text',
    last_active_session_id: 'text',
    created_at: 'integer',
    updated_at: 'integer',
  },
  users: {
    id: 'text',
    external_id: 'text',
    username: 'text',
    first_name: 'text',
    last_name: 'text',
    locale: 'text',
    primary_email_address_id: 'text',
    primary_phone_number_id: 'text',
    public_metadata: 'text',
    private_metadata: 'text',
    unsafe_metadata: 'text',
    delete_self_enabled: 'integer',
    create_organization_enabled: 'integer',
    banned_at: 'integer',
    locked_at: 'integer',
    legal_accepted_at: 'integer',
    last_sign_in_at: 'integer',
    last_active_at: 'integer',
    first_email_address: 'text',
    first_phone_number: 'text',
    facts_version: 'integer',
    created_at: 'integer',
    updated_at: 'integer',
  },
  groups: {
    kind: 'text',
    name: 'text',
    parents: 'text',
    created_at: 'integer',
    updated_at: 'integer',
  },
  actors: {
    sub: 'text',
    sub_folded: 'text',
    kind: 'text',
    name: 'text',
    teams: 'text',
    organizations: 'text',
    level: 'integer',
    user_id: 'text',
    owner_sub: 'text',
    disabled_at: 'integer',
    facts_version: 'integer',
    created_at: 'integer',
    updated_at: 'integer',
  },
  identifiers: {
    id: 'text',
    user_id: 'text',
    kind: 'text',
    value: 'text',
    position: 'integer',
    created_at: 'integer',
    updated_at: 'integer',
  },
  policies: {
    version: 'integer',
    policy_text: 'text',
    off: 'text',
    digest: 'text',
    reason: 'text',
    created_by: 'text',
    created_at: 'integer',
  },
  jwt_templates: {
    id: 'text',
    name: 'text',
    claims: 'text',
    lifetime: 'integer',
    allowed_clock_skew: 'integer',
    created_at: 'integer',
    updated_at: 'integer',
  },
  secret_keys: {
    id: 'text',
    name: 'text',
    hash: 'text',
    hint: 'text',
    created_at: 'integer',
    revoked_at: 'integer',
    rights: 'text',
    expires_at: 'integer',
  },
  operators: {
    id: 'text',
    iss: 'text',
    sub: 'text',
    actor_sub: 'text',
    local_name: 'text',
    role: 'text',
    role_source: 'text',
    name: 'text',
    email: 'text',
    disabled_at: 'integer',
    last_sign_in_at: 'integer',
    created_at: 'integer',
    updated_at: 'integer',
  },
  operator_sessions: {
    id: 'text',
    operator_id: 'text',
    secret_hash: 'text',
    role: 'text',
    auth_at: 'integer',
    amr: 'text',
    user_agent: 'text',
    address: 'text',
    last_seen_at: 'integer',
    idle_expires_at: 'integer',
    expires_at: 'integer',
    ended_at: 'integer',
    created_at: 'integer',
  },
  operator_sign_ins: {
    secret_hash: 'text',
    kind: 'text',
    return_to: 'text',
    session_id: 'text',
    is_step_up: 'integer',
    operator_id: 'text',
    role: 'text',
    expires_at: 'integer',
  },
  operator_links: {
    secret_hash: 'text',
    operator_id: 'text',
    role: 'text',
    kind: 'text',
    expires_at: 'integer',
    used_at: 'integer',
    created_at: 'integer',
  },
  operator_passkeys: {
    id: 'text',
    operator_id: 'text',
    public_key: 'text',
    use_count: 'integer',
    transports: 'text',
    last_used_at: 'integer',
    created_at: 'integer',
  },
  signing_keys: {
    id: 'text',
    alg: 'text',
    status: 'text',
    public_jwk: 'text',
    sealed_private_key: 'text',
    signs_until: 'integer',
    created_at: 'integer',
    retired_at: 'integer',
  },
  audit_events: {
    id: 'text',
    at: 'integer',
    action: 'text',
    outcome: 'text',
    code: 'text',
    principal_type: 'text',
    principal_id: 'text',
    actor_sub: 'text',
    actor_token_id: 'text',
    session_id: 'text',
    user_id: 'text',
    target_id: 'text',
    trace_id: 'text',
    event: 'text',
    personal: 'text',
    leaf_hash: 'text',
  },
  audit_tree: {
    id: 'text',
    origin: 'text',
    size: 'integer',
    root: 'text',
    last_seq: 'integer',
    holes: 'text',
    first: 'integer',
  },
  audit_runs: {
    first_index: 'integer',
    first_seq: 'integer',
    count: 'integer',
  },
  audit_tiles: {
    level: 'integer',
    tile: 'integer',
    hashes: 'text',
    root: 'text',
  },
  audit_checkpoints: {
    size: 'integer',
    root: 'text',
    at: 'integer',
    note: 'text',
    cosignatures: 'text',
  },
  audit_keys: {
    id: 'text',
    name: 'text',
    public_key: 'text',
    sealed_private_key: 'text',
    created_at: 'integer',
    retired_at: 'integer',
  },
  idempotency_keys: {
    owner: 'text',
    operation: 'text',
    key_hash: 'text',
    body_hash: 'text',
    made_id: 'text',
    written_at: 'integer',
  },
  refused_requests: {
    minute: 'integer',
    address: 'text',
    code: 'text',
    count: 'integer',
  },
} as const satisfies {
  [T in Exclude<keyof Tables, 'instance' | 'cutoffs'>]: Record<Exclude<keyof Tables[T], 'seq'>, 'text' | 'integer'>
}

/** Names of integers in queries: columns, and values that are compared with them. */
export const integers: ReadonlySet<string> = new Set([
  ...Object.values(columns).flatMap(table =>
    Object.entries(table)
      .filter(([, type]) => type === 'integer')
      .map(([column]) => column),
  ),
  ...['now', 'limit', 'until', 'keep', 'version', 'keyring_version'],
  ...['policy_version', 'user_version', 'actor_version', 'based_on', 'seen'],
  ...['from_index', 'to_index', 'old_size', 'old_seq'],
  ...['most', 'since', 'before', 'seq', 'idle', 'known_count'],
])
