import { closeSync, openSync, writeSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { type Stagedoor as Client, StagedoorError } from '@stagedoor/sdk'
import type { User } from '@stagedoor/sdk/models/components'
import type { Command } from 'commander'
import { CreateUserRequestBody } from '../contract/users.ts'
import { remote } from './environment.ts'
import { errorText } from './error-text.ts'
import { openImport, type Row } from './import-file.ts'
import { EXIT, type OutputOptions, printMessage, printOne, UsageError, wholeNumber } from './output.ts'

/** Maximum number of failures listed with --json. */
const MAX_LISTED = 10_000
/** Maximum number of attempts after 429, and the default pause between them, in seconds, if the server sends no Retry-After. */
const MAX_ATTEMPTS = 30
const DEFAULT_PAUSE = 1

interface ImportOptions extends OutputOptions {
  concurrency: number
  dryRun?: boolean
  update?: boolean
  rejects?: string
}

type NewUser = Parameters<Client['users']['create']>[0]
type Outcome = 'created' | 'updated' | 'existing'

export function addImport(group: Command): void {
  group
    .command('import <file>')
    .description('create users from a file: JSON lines (.jsonl), or CSV with a header line (.csv)')
    .option('--dry-run', 'only report what would be done')
    .option('--update', 'update existing users from the file; empty values change nothing')
    .option(
      '--rejects <file>',
      'write the rows that could not be imported to this new file, so that you can fix and import them',
    )
    .option('--concurrency <count>', 'number of concurrent requests (16)', wholeNumber, 16)
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
Fields are those of POST /v1/users: external_id, email_address, phone_number, username, first_name, last_name,
public_metadata, private_metadata, unsafe_metadata, created_at, … CSV is UTF-8, separated by commas, semicolons or tabs.
Several addresses in one value are separated by ";" or ",". Metadata is JSON. Booleans are true or false, yes or no, 1 or 0.

Invalid rows are listed with their line and the reason; all other rows are imported. Existing users are not changed, so
you can run an import again. Exit code 1: some rows could not be imported.`,
    )
    .action(importUsers)
}

async function importUsers(file: string, options: ImportOptions): Promise<void> {
  const size = await sizeOf(file)
  const source = openImport(file)
  const run = new ImportRun(remote(), options, source.header)
  const progress = progressLine(
    () => `${run.counts()} · ${Math.floor((source.input.bytesRead / Math.max(size, 1)) * 100)} % read`,
  )
  const running = new Set<Promise<void>>()
  try {
    for await (const row of source.rows) {
      const one = run.import(row).finally(() => running.delete(one))
      running.add(one)
      if (running.size >= Math.max(1, options.concurrency)) await Promise.race(running)
      if (run.stopped) break
      progress.tick()
    }
  } catch (error) {
    run.stop(error)
  }
  await Promise.all(running)
  progress.end()
  run.report()
}

async function sizeOf(file: string): Promise<number> {
  const found = await stat(file).catch(() => undefined)
  if (!found?.isFile()) throw new UsageError(`There is no file ${file}.`)
  return found.size
}

/** Imports the rows and counts the results. */
class ImportRun {
  readonly #client: Client
  readonly #options: ImportOptions
  readonly #header: () => string | undefined
  readonly #result = { created: 0, updated: 0, existing: 0, failed: 0 }
  readonly #failures: { line: number; message: string }[] = []
  /** In a dry run: identifiers of the users that would exist by now. */
  readonly #seen = new Set<string>()
  #rejects: number | undefined
  /** An error that would fail every other row too: the server is unreachable, or does not accept the key. */
  #error: unknown

  constructor(client: Client, options: ImportOptions, header: () => string | undefined) {
    this.#client = client
    this.#options = options
    this.#header = header
    if (options.rejects !== undefined) this.#rejects = createRejects(options.rejects)
  }

  get stopped(): boolean {
    return this.#error !== undefined
  }

  stop(error: unknown): void {
    this.#error ??= error
  }

  counts(): string {
    const { created, updated, existing, failed } = this.#result
    return `${created} created, ${updated} updated, ${existing} already exist, ${failed} failed`
  }

  async import(row: Row): Promise<void> {
    if ('reason' in row) return this.#fail(row, row.reason)
    if (this.stopped) return
    try {
      this.#result[await this.#importUser(row.user)] += 1
    } catch (error) {
      if (error instanceof Rejected) this.#fail(row, error.message)
      else this.stop(error)
    }
  }

  /** Prints the counts, then throws the error that stopped the run, if any. */
  report(): void {
    const { created, updated, existing, failed } = this.#result
    const dry = this.#options.dryRun ?? false
    const failures = this.#failures.sort((a, b) => a.line - b.line).slice(0, MAX_LISTED)
    printOne(
      this.#options,
      { dry_run: dry, created, updated, existing, failed, stopped: this.stopped, failures },
      {
        ...(dry ? { 'dry run': 'nothing was changed; these are the expected results' } : {}),
        created,
        updated,
        existing,
        failed,
      },
    )
    if (this.#rejects !== undefined) closeSync(this.#rejects)
    if (failed > 0) process.exitCode = EXIT.failed
    if (!this.stopped) return
    if (this.#error instanceof UsageError) throw this.#error
    printMessage('The import stopped before the end of the file. Run it again: it continues where it stopped.')
    throw this.#error
  }

  #fail({ line, text }: Row, message: string): void {
    this.#result.failed += 1
    this.#failures.push({ line, message })
    printMessage(`line ${line}: ${message}`)
    if (this.#rejects === undefined) return
    const header = this.#header()
    if (this.#result.failed === 1 && header !== undefined) writeSync(this.#rejects, `${header}\n`)
    writeSync(this.#rejects, `${text}\n`)
  }

  async #importUser(user: Record<string, unknown>): Promise<Outcome> {
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

/** The row cannot be imported. Others may be. */
class Rejected extends Error {}

/** Returns a Rejected if the row caused the error; otherwise the error itself, which would affect every row. */
function rejection(error: StagedoorError): Error {
  return [400, 413, 422].includes(error.status) ? new Rejected(errorText(error)) : error
}

/** Retries after 429, and waits for the Retry-After of the server. */
async function withRetry<T>(ask: () => PromiseLike<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof StagedoorError) || error.status !== 429 || tries === MAX_ATTEMPTS) throw error
      await sleep((error.retryAfter ?? DEFAULT_PAUSE) * 1_000)
    }
  }
}

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

/** Creates the file for rejected rows. It has personal data, so only its owner can read it. */
function createRejects(file: string): number {
  try {
    return openSync(file, 'wx', 0o600)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST')
      throw new UsageError(`--rejects: ${file} already exists. Use another name.`)
    throw new UsageError(`--rejects: ${file} cannot be written. Check that its folder exists and is writable.`)
  }
}

const camel = (name: string) => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())

function camelCased(record: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [camel(name), value]))
}

/** Shows progress: on a terminal in one line that is overwritten, elsewhere in a new line every few seconds. */
function progressLine(text: () => string): { tick(): void; end(): void } {
  const live = process.stderr.isTTY
  let last = 0
  return {
    tick() {
      const now = performance.now()
      if (now - last < (live ? 100 : 5_000)) return
      last = now
      if (live) process.stderr.write(`\r${text()}\u001b[K`)
      else printMessage(text())
    },
    end() {
      if (live && last > 0) process.stderr.write('\r\u001b[K')
    },
  }
}
