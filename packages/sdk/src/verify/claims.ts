import type { Actor } from '../models/schemas.ts'

/** The claims of a session token. Times are Unix seconds. */
export interface SessionClaims {
  iss: string
  /** The user. */
  sub: string
  /** The session. */
  sid: string
  exp: number
  iat: number
  nbf: number
  /** The page that the token is for, as an origin. */
  azp?: string
  /** The complete actor payload: who is really acting. */
  act?: Actor
  /** What the actor may do: `act:read`, or `act:write` and scopes. Absent: everything. */
  scope?: string
  [claim: string]: unknown
}
