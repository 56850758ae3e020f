import type { Role } from '../contract/operation.ts'
import type { Countable, Found, Page } from './lists.ts'
import type {
  ActorRecord,
  AuditRecord,
  OperatorLinkRecord,
  OperatorPasskeyRecord,
  OperatorRecord,
  OperatorSessionRecord,
  OperatorSignInRecord,
} from './records.ts'

/** The part of the port to the database with the operators of the console. */
export interface OperatorStore {
  find(id: string): Promise<OperatorRecord | undefined>
  findByIdentity(iss: string, sub: string): Promise<OperatorRecord | undefined>
  /** Whether there is an operator, other than the one of a development server. */
  exist(): Promise<boolean>
  findByLocalName(name: string): Promise<OperatorRecord | undefined>
  list(filter: Countable, page: Page): Promise<Found<OperatorRecord>>
  /** Adds a link, and the operator if it is new. Fails with `UniqueValueTaken` if another one has the local name. */
  invite(operator: OperatorRecord | undefined, link: OperatorLinkRecord, event: AuditRecord): Promise<void>
  findLink(secretHash: string): Promise<OperatorLinkRecord | undefined>
  /** unused → used, if the link has not expired, and begins the sign-in of its operator. */
  useLink(secretHash: string, signIn: OperatorSignInRecord, event: AuditRecord): Promise<boolean>
  /**
   * Starts a session: adds or changes the operator, registers the actor and uses what proves who it is. `false` if the
   * operator is disabled, was added by another sign-in meanwhile, or the proof was used. Fails with `UniqueValueTaken` if
   * the actor looks like another one.
   */
  signIn(signIn: OperatorSignIn): Promise<boolean>
  /** Ends all sessions of the operator, disables the actor, and revokes what the actor has. */
  disable(
    operator: Pick<OperatorRecord, 'id' | 'actor_sub'>,
    at: number,
    event: AuditRecord,
  ): Promise<OperatorRecord | undefined>
  /** Enables the operator, and the actor if it was disabled together with the operator. */
  enable(
    operator: Pick<OperatorRecord, 'id' | 'actor_sub' | 'disabled_at'>,
    at: number,
    event: AuditRecord,
  ): Promise<OperatorRecord | undefined>
  endSessions(operatorId: string, event: AuditRecord): Promise<void>
  findPasskey(id: string): Promise<OperatorPasskeyRecord | undefined>
  passkeysOf(operatorId: string): Promise<OperatorPasskeyRecord[]>
}

/** The same with their sessions and sign-ins. */
export interface OperatorSessionStore {
  find(id: string): Promise<OperatorSessionRecord | undefined>
  /** Finds a session that has neither ended nor expired, of an operator who is not disabled. */
  findUsable(secretHash: string): Promise<UsableOperatorSession | undefined>
  /** Returns what the operator may do in each such session, by the id of the session. */
  usableRoles(): Promise<ReadonlyMap<string, Role>>
  list(filter: { operator_id?: string | undefined } & Countable, page: Page): Promise<Found<OperatorSessionRecord>>
  /** Stores that a session is in use. @param idle how long it may stay unused from now, in ms */
  touch(id: string, idle: number): Promise<void>
  /** Gives a usable session another secret and a new proof: step-up. */
  renew(
    session: Pick<OperatorSessionRecord, 'id' | 'operator_id' | 'secret_hash' | 'auth_at' | 'amr'>,
    idle: number,
    event: AuditRecord,
    use?: PasskeyUse,
  ): Promise<OperatorSessionRecord | undefined>
  end(id: string, event: AuditRecord): Promise<OperatorSessionRecord | undefined>
  /** Stores a sign-in that has begun. */
  begin(signIn: OperatorSignInRecord): Promise<void>
  findSignIn(secretHash: string): Promise<OperatorSignInRecord | undefined>
  /** Removes a sign-in that has not expired: only the first caller gets it. */
  takeSignIn(secretHash: string): Promise<OperatorSignInRecord | undefined>
}

/** A session with what a request needs to know about its operator. */
export type UsableOperatorSession = OperatorSessionRecord & {
  [K in 'iss' | 'sub' | 'actor_sub' | 'role' | 'role_source' | 'name' | 'email' as `operator_${K}`]: OperatorRecord[K]
}

/** The sign-in of an operator. */
export interface OperatorSignIn {
  operator: OperatorRecord
  session: OperatorSessionRecord
  actor: ActorRecord
  /** Whether the teams that are registered stay. */
  keepsTeams: boolean
  event: AuditRecord
  /** What proves who it is, if it is stored here. Each can be used once. */
  proof?:
    | {
        link_hash?: string | undefined
        sign_in_hash?: string | undefined
        /** A new passkey. It replaces every other one, and ends the sessions of the operator. */
        passkey?: OperatorPasskeyRecord
        use?: PasskeyUse
      }
    | undefined
  /** A session of the same browser, which ends. */
  replaces?: string | undefined
}

/** A use of a passkey. */
export interface PasskeyUse {
  id: string
  use_count: number
  /** The count that was read before. */
  known_count: number
  last_used_at: number
}
