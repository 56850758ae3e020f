import type { Generated } from 'kysely'
import type {
  AuditRecord,
  ClientRecord,
  IdentifierRecord,
  JwtTemplateRecord,
  RefusedRequestsRecord,
  SecretKeyRecord,
  SessionRecord,
  SigningKeyRecord,
  TicketRecord,
  UserRecord,
} from '../domain/records.ts'

/** The tables, as Kysely types its queries by. What creates them: migrations.ts. */
export interface Tables {
  instance: { id: string; created_at: number; keyring_version: number }
  tickets: TicketRecord
  sessions: SessionRecord
  clients: ClientRecord
  users: UserRecord
  identifiers: IdentifierRecord
  jwt_templates: JwtTemplateRecord
  secret_keys: SecretKeyRecord
  signing_keys: SigningKeyRecord
  audit_events: AuditRecord & { seq: Generated<number> }
  refused_requests: RefusedRequestsRecord
}

/** Every column of every table that is written whole. */
export const columns = {
  tickets: [
    'id',
    'kind',
    'status',
    'user_id',
    'actor',
    'actor_sub',
    'reason',
    'expires_in_seconds',
    'session_max_duration_in_seconds',
    'return_url',
    'expires_at',
    'expired_at',
    'session_id',
    'created_at',
    'updated_at',
  ],
  sessions: [
    'id',
    'client_id',
    'user_id',
    'status',
    'actor',
    'actor_sub',
    'ticket_id',
    'parked_session_id',
    'idle_timeout_seconds',
    'last_active_at',
    'expire_at',
    'abandon_at',
    'created_at',
    'updated_at',
  ],
  clients: ['id', 'rotating_token_hash', 'previous_token_hash', 'last_active_session_id', 'created_at', 'updated_at'],
  users: [
    'id',
    'external_id',
    'username',
    'first_name',
    'last_name',
    'locale',
    'primary_email_address_id',
    'primary_phone_number_id',
    'public_metadata',
    'private_metadata',
    'unsafe_metadata',
    'delete_self_enabled',
    'create_organization_enabled',
    'banned_at',
    'locked_at',
    'legal_accepted_at',
    'last_sign_in_at',
    'last_active_at',
    'created_at',
    'updated_at',
  ],
  identifiers: ['id', 'user_id', 'kind', 'value', 'position', 'created_at', 'updated_at'],
  jwt_templates: ['id', 'name', 'claims', 'lifetime', 'allowed_clock_skew', 'created_at', 'updated_at'],
  secret_keys: ['id', 'name', 'hash', 'hint', 'created_at', 'revoked_at'],
  signing_keys: ['id', 'alg', 'status', 'public_jwk', 'sealed_private_key', 'signs_until', 'created_at', 'retired_at'],
  audit_events: [
    'id',
    'at',
    'action',
    'outcome',
    'code',
    'principal_type',
    'principal_id',
    'actor_sub',
    'ticket_id',
    'session_id',
    'user_id',
    'target_id',
    'trace_id',
    'event',
    'personal',
    'leaf_hash',
  ],
  refused_requests: ['minute', 'address', 'code', 'count'],
} as const satisfies { [T in Exclude<keyof Tables, 'instance'>]: readonly (keyof Tables[T])[] }
