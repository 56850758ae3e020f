import { isDeepStrictEqual } from 'node:util'
import { type Stagedoor as Client, StagedoorError } from '@stagedoor/sdk'
import type { User } from '@stagedoor/sdk/models/components'
import type { Command } from 'commander'
import { CreateUserRequestBody } from '../contract/users.ts'
import { remote } from './environment.ts'
import type { RowFormat } from './import-file.ts'
import {
  camel,
  camelCased,
  type ImportOptions,
  type Outcome,
  Rejected,
  rejection,
  runImport,
  withImportOptions,
  withRetry,
} from './import-run.ts'

type NewUser = Parameters<Client['users']['create']>[0]

const FIELDS = Object.keys(CreateUserRequestBody.shape)

const FORMAT: RowFormat = {
  noun: 'user',
  fields: FIELDS,
  lists: ['email_address', 'phone_number'],
  separator: /[;,\n]/,
  // Fields that accept only `true` and `false`, according to the contract.
  booleans: FIELDS.filter(name => {
    const type = CreateUserRequestBody.shape[name as keyof typeof CreateUserRequestBody.shape]
    return type.safeParse(true).success && !type.safeParse('true').success
  }),
  json: /_metadata$/,
}

export function addImport(group: Command): void {
  withImportOptions(
    group
      .command('import <file>')
      .description('create users from a file: JSON lines (.jsonl), or CSV with a header line (.csv)'),
    'users',
  )
    .addHelpText(
      'after',
      `
Fields are those of POST /v1/users: external_id, email_address, phone_number, username, first_name, last_name,
public_metadata, private_metadata, unsafe_metadata, created_at, … CSV is UTF-8, separated by commas, semicolons or tabs.
Several addresses in one value are separated by ";" or ",". Metadata is JSON. Booleans are true or false, yes or no, 1 or 0.

Invalid rows are listed with their line and the reason; all other rows are imported. Existing users are not changed, so
you can run an import again. Exit code 1: some rows could not be imported.`,
    )
    .action(async (file: string, options: ImportOptions) => {
      const users = new UserImport(remote(), options)
      await runImport(file, options, FORMAT, fields => users.import(fields))
    })
}

class UserImport {
  readonly #client: Client
  readonly #options: ImportOptions
  /** In a dry run: identifiers of the users that would exist by now. */
  readonly #seen = new Set<string>()

  constructor(client: Client, options: ImportOptions) {
    this.#client = client
    this.#options = options
  }

  async import(user: Record<string, unknown>): Promise<Outcome> {
    if (this.#options.dryRun) return this.#dryRun(user)
    try {
      await withRetry(() => this.#client.users.create(camelCased(user) as NewUser))
      return 'created'
    } catch (error) {
      if (!(error instanceof StagedoorError)) throw error
      if (error.code !== 'form_identifier_exists') throw rejection(error)
      const found = await this.#find(user)
      // The user was deleted between the two requests.
      if (!found) throw rejection(error)
      return this.#change(found, user)
    }
  }

  async #dryRun(user: Record<string, unknown>): Promise<Outcome> {
    const checked = CreateUserRequestBody.safeParse(user)
    const [issue] = checked.error?.issues ?? []
    if (issue) throw new Rejected(`${issue.path.join('.') || 'the row'}: ${issue.message}`)
    const names = identifiersOf(user).map(([name, value]) => `${name} ${value.toLowerCase()}`)
    const found = await this.#find(user)
    if (found) return this.#change(found, user)
    const isSecond = names.some(name => this.#seen.has(name))
    for (const name of names) this.#seen.add(name)
    return isSecond ? 'existing' : 'created'
  }

  /** Finds the user whom this row describes. @throws Rejected if an identifier belongs to another user */
  async #find(user: Record<string, unknown>): Promise<User | undefined> {
    const { external_id } = user
    for (const [name, value] of identifiersOf(user)) {
      const found = await this.#findBy(name, value)
      if (!found) continue
      if (name === 'external_id' || typeof external_id !== 'string') return found
      if (found.externalId !== null)
        throw new Rejected(`its ${name} belongs to another user, ${found.id}, with the external_id ${found.externalId}`)
      if (!this.#options.update)
        throw new Rejected(`its ${name} belongs to ${found.id}, which has no external_id; --update sets it`)
      return found
    }
    return undefined
  }

  async #findBy(name: string, value: string): Promise<User | undefined> {
    return (await withRetry(() => this.#client.users.list(camelCased({ [name]: [value] })))).data[0]
  }

  async #change(found: User, user: Record<string, unknown>): Promise<Outcome> {
    if (!this.#options.update) return 'existing'
    for (const [name, value] of identifiersOf(user))
      if (ADDRESSES.includes(name)) await this.#assertHas(found, name, value)
    const { change, state } = differences(found, user)
    if (Object.keys(change).length === 0 && state.length === 0) return 'existing'
    if (this.#options.dryRun) return 'updated'
    try {
      if (Object.keys(change).length > 0) await withRetry(() => this.#client.users.update(found.id, camelCased(change)))
      for (const verb of state) await withRetry(() => this.#client.users[verb](found.id))
      return 'updated'
    } catch (error) {
      throw error instanceof StagedoorError ? rejection(error) : error
    }
  }

  /** @throws Rejected if the user does not have this address, because the API has no operation that adds one */
  async #assertHas(user: User, name: string, value: string): Promise<void> {
    const has = [...user.emailAddresses.map(it => it.emailAddress), ...user.phoneNumbers.map(it => it.phoneNumber)]
    if (has.includes(value) || (await this.#findBy(name, value))?.id === user.id) return
    throw new Rejected(`the user exists without the ${name} ${value}, and an import cannot add one`)
  }
}

const ADDRESSES = ['email_address', 'phone_number']

/** Returns the identifiers of a user, the most reliable one first. */
function identifiersOf(user: Record<string, unknown>): [name: string, value: string][] {
  return ['external_id', 'username', 'email_address', 'phone_number'].flatMap(name =>
    [user[name]]
      .flat()
      .filter(value => typeof value === 'string')
      .map((value): [string, string] => [name, value.trim()]),
  )
}

type StateChange = 'ban' | 'unban' | 'lock' | 'unlock'

/** Returns the differences between a row and the stored user. */
function differences(found: User, row: Record<string, unknown>) {
  const current = found as unknown as Record<string, unknown>
  const change: Record<string, unknown> = {}
  const state: StateChange[] = []
  for (const [name, value] of Object.entries(row)) {
    if (name === 'banned' && value !== found.banned) state.push(value ? 'ban' : 'unban')
    if (name === 'locked' && value !== found.locked) state.push(value ? 'lock' : 'unlock')
    if (NOT_COMPARED.test(name) || isSame(name, current[camel(name)], value)) continue
    change[name] = value
  }
  return { change, state }
}

/** Fields that are compared elsewhere, or have no effect. */
const NOT_COMPARED = /^(email_address|phone_number|banned|locked|skip_.*|bypass_client_trust)$/

function isSame(name: string, now: unknown, value: unknown): boolean {
  if (typeof value !== 'string') return isDeepStrictEqual(now ?? null, value ?? null)
  if (typeof now === 'number') return now === Date.parse(value)
  const text = value.trim().normalize('NFC')
  return name === 'username' ? String(now ?? '').toLowerCase() === text.toLowerCase() : (now ?? '') === text
}
