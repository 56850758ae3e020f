import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { type Stagedoor as Client, StagedoorError } from '@stagedoor/sdk'
import type { Command } from 'commander'
import { parse as parseCsv } from 'csv-parse'
import { remote } from './environment.ts'
import {
  EXIT,
  note,
  type OutputOptions,
  type PageOptions,
  paged,
  printList,
  printOne,
  time,
  UsageError,
  wholeNumber,
} from './output.ts'

type NewUser = Parameters<Client['users']['create']>[0]

export function addUsers(program: Command): void {
  const group = program.command('users').description('create, import and list users')

  group
    .command('create')
    .description('create a user')
    .option('--external-id <id>', 'your own id of the user')
    .option('--email <address...>', 'e-mail addresses; the first one is the primary one')
    .option('--username <name>')
    .option('--first-name <name>')
    .option('--last-name <name>')
    .option('--json', 'print JSON')
    .action(
      async (
        options: OutputOptions & {
          externalId?: string
          email?: string[]
          username?: string
          firstName?: string
          lastName?: string
        },
      ) => {
        const { externalId, email: emailAddress, username, firstName, lastName } = options
        const user = await remote().users.create({ externalId, emailAddress, username, firstName, lastName })
        printOne(options, user, {
          id: user.id,
          external_id: user.externalId,
          email: user.emailAddresses[0]?.emailAddress,
        })
      },
    )

  paged(
    group
      .command('list')
      .description('list users')
      .option('--query <text>', 'part of an id, name, e-mail address or phone number')
      .option('--external-id <id...>', 'only these')
      .option('--order-by <column>', 'created_at, -created_at (default), first_name, …'),
  ).action(async (options: PageOptions & { query?: string; externalId?: string[]; orderBy?: string }) => {
    const { query, externalId, orderBy, limit, offset } = options
    const { data } = await remote().users.list({ query, externalId, orderBy, limit, offset })
    printList(
      options,
      data,
      {
        id: user => user.id,
        external_id: user => user.externalId,
        name: user => [user.firstName, user.lastName].filter(Boolean).join(' '),
        email: user => user.emailAddresses[0]?.emailAddress,
        state: user => (user.banned ? 'banned' : user.locked ? 'locked' : ''),
        created: user => time(user.createdAt),
      },
      'No users.',
    )
  })

  group
    .command('import <file>')
    .description('create users from a file: JSON lines (.jsonl), or CSV with a header line (.csv)')
    .option('--concurrency <count>', 'so many at a time (16)', wholeNumber, 16)
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
Fields are those of POST /v1/users: external_id, email_address, phone_number, username, first_name, last_name,
public_metadata, private_metadata, unsafe_metadata, created_at, … In CSV several addresses are separated by ";",
and metadata is JSON. A user whose external_id, username or address is there already is left as it is, so an
import that was interrupted can simply be run again.`,
    )
    .action(importUsers)
}

interface Row {
  line: number
  user: Record<string, unknown>
}

async function importUsers(file: string, options: OutputOptions & { concurrency: number }): Promise<void> {
  const client = remote()
  const size = await stat(file)
    .then(({ size }) => size)
    .catch(() => {
      throw new UsageError(`There is no file ${file}.`)
    })
  const input = createReadStream(file)
  const result = { created: 0, existing: 0, failed: 0 }
  const failures: { line: number; message: string }[] = []
  const fail = (line: number, message: string) => {
    result.failed += 1
    if (failures.length < 100) failures.push({ line, message })
    note(`line ${line}: ${message}`)
  }
  const progress = progressLine(
    () =>
      `${result.created} created, ${result.existing} there already, ${result.failed} failed · ${Math.floor((input.bytesRead / Math.max(size, 1)) * 100)} % read`,
  )

  const running = new Set<Promise<void>>()
  for await (const row of rowsOf(file, input, fail)) {
    const one = createOne(client, row, result, fail).finally(() => running.delete(one))
    running.add(one)
    if (running.size >= Math.max(1, options.concurrency)) await Promise.race(running)
    progress.tick()
  }
  await Promise.all(running)
  progress.end()
  printOne(options, { ...result, failures }, result)
  if (result.failed > 0) process.exitCode = EXIT.failed
}

async function createOne(
  client: Client,
  { line, user }: Row,
  result: { created: number; existing: number },
  fail: (line: number, message: string) => void,
): Promise<void> {
  try {
    await client.users.create(camelCased(user) as NewUser)
    result.created += 1
  } catch (error) {
    if (!(error instanceof StagedoorError)) throw error
    if (error.code === 'form_identifier_exists') result.existing += 1
    else if (error.status >= 400 && error.status < 500 && error.status !== 401) fail(line, error.message)
    else throw error
  }
}

async function* rowsOf(
  file: string,
  input: ReturnType<typeof createReadStream>,
  fail: (line: number, message: string) => void,
): AsyncGenerator<Row> {
  if (/\.csv$/i.test(file)) {
    const records = input.pipe(parseCsv({ columns: true, bom: true, info: true, skip_empty_lines: true, trim: true }))
    for await (const { record, info } of records as AsyncIterable<{
      record: Record<string, string>
      info: { lines: number }
    }>) {
      try {
        yield { line: info.lines, user: fromCsv(record) }
      } catch (error) {
        fail(info.lines, (error as Error).message)
      }
    }
    return
  }
  if (!/\.(jsonl|ndjson|json)$/i.test(file)) throw new UsageError('The file must be JSON lines (.jsonl) or CSV (.csv).')
  let line = 0
  for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    line += 1
    if (text.trim() === '') continue
    try {
      const user: unknown = JSON.parse(text)
      if (typeof user !== 'object' || user === null || Array.isArray(user)) throw new Error('not a JSON object')
      yield { line, user: withLists(user as Record<string, unknown>) }
    } catch (error) {
      fail(line, `not a user: ${(error as Error).message}`)
    }
  }
}

const LISTS = ['email_address', 'phone_number']

function fromCsv(record: Record<string, string>): Record<string, unknown> {
  const filled = Object.entries(record).filter(([, value]) => value !== '')
  const user = Object.fromEntries(
    filled.map(([name, value]) => {
      if (LISTS.includes(name)) return [name, value.split(';').map(each => each.trim())]
      if (name.endsWith('_metadata')) return [name, parseMetadata(name, value)]
      return [name, value]
    }),
  )
  return user
}

function parseMetadata(name: string, value: string): unknown {
  try {
    return JSON.parse(value)
  } catch {
    throw new Error(`${name} is not JSON`)
  }
}

/** One address may be given as a plain string. */
function withLists(user: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(user).map(([name, value]) => [
      name,
      LISTS.includes(name) && typeof value === 'string' ? [value] : value,
    ]),
  )
}

function camelCased(user: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(user).map(([name, value]) => [
      name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()),
      value,
    ]),
  )
}

/** One line that is written over, on a terminal; elsewhere a line every few seconds. */
function progressLine(text: () => string): { tick(): void; end(): void } {
  const live = process.stderr.isTTY
  let last = 0
  return {
    tick() {
      const now = performance.now()
      if (now - last < (live ? 100 : 5_000)) return
      last = now
      if (live) process.stderr.write(`\r${text()}\u001b[K`)
      else note(text())
    },
    end() {
      if (live && last > 0) process.stderr.write('\r\u001b[K')
    },
  }
}
