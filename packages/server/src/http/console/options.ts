import type { Role } from '../../contract/operation.ts'

/** Settings of the console, in addition to those of the domain. */
export interface ConsoleOptions {
  /** Whether it answers although no operator can sign in yet. */
  isAlwaysOn: boolean
  /** The identity provider with which operators sign in; undefined if they use passkeys. */
  provider: ProviderOptions | undefined
  /** The folder with the built files of the pages; undefined if they have not been built. */
  folder: string | undefined
}

export interface ProviderOptions {
  issuer: string
  client_id: string
  client_secret: string
  scopes: string
  /** The claim that has the groups, and the group of each role. */
  role_claim: string
  roles: readonly (readonly [Role, string])[]
  /** The claim that becomes the `sub` of the actor. */
  actor_sub: 'sub' | 'email'
}
