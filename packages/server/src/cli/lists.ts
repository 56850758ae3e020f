import { setTimeout as sleep } from 'node:timers/promises'
import type { List } from '@stagedoor/sdk/models/components'
import type { Command } from 'commander'
import { type OutputOptions, print, printJson, printMessage, tableOf, UsageError, wholeNumber } from './output.ts'
import { moment } from './units.ts'

/** Default of `--limit`. Rows per request and per printed chunk when every row is read. */
const LIMIT = 10
const CHUNK = 500
/** With `--follow`: interval between requests, and how far back each one reads, because events may be stored late; in ms. */
const INTERVAL = 1_000
const LOOK_BACK = 15_000

export interface ListOptions extends OutputOptions {
  limit?: number
  offset?: number
  all?: boolean
}

export interface TimedOptions extends ListOptions {
  since?: number
  until?: number
  follow?: boolean
}

/** Adds the options of every list. */
export function paged(command: Command): Command {
  return command
    .option('--limit <count>', 'maximum number of rows (10)', wholeNumber)
    .option('--offset <count>', 'number of rows to skip', wholeNumber)
    .option('--all', 'print every row')
    .option('--json', 'print JSON')
}

/** Adds the options of a list that is ordered newest first. */
export function timed(command: Command): Command {
  return paged(command)
    .option(
      '--since <time>',
      'only from this time on: 2026-01-31, 2026-01-31T12:00:00Z, or 10m for ten minutes ago',
      moment,
    )
    .option('--until <time>', 'only before this time', moment)
    .option('--follow', 'keep printing new rows, until Ctrl+C')
}

export interface Table<T> {
  columns: Record<string, (row: T) => unknown>
  /** Printed if there is no row. */
  empty: string
}

type Read<T> = (page: { limit: number; offset?: number | undefined }) => List<T>

/** Prints a page or every row, and a hint if rows are left. */
export async function showList<T extends object>(options: ListOptions, read: Read<T>, table: Table<T>): Promise<void> {
  if (options.all) return showRows(options, rowsFrom(read, options.offset), table)
  const { limit = LIMIT, offset = 0 } = options
  const { data, totalCount, totalCountIsMinimum } = await read({ limit, offset })
  await showRows(options, data, table)
  if (offset + data.length < totalCount && data.length > 0)
    printMessage(
      `${offset + data.length} of ${totalCountIsMinimum ? 'at least ' : ''}${totalCount} so far. Next page: --offset ${offset + data.length}. Larger pages: --limit 500. Every row: --all.`,
    )
}

/** Prints a list that is ordered newest first. `table.at` is the time of a row in Unix ms; `table.id` identifies it. */
export async function showTimed<T extends object>(
  options: TimedOptions,
  read: Read<T>,
  table: Table<T> & { at: (row: T) => number; id: (row: T) => unknown },
): Promise<void> {
  if (options.follow) return follow(options, read, table)
  if (options.since === undefined && options.until === undefined) return showList(options, read, table)
  const { limit = LIMIT, offset = 0, all = false } = options
  let isMore = false
  async function* chosen() {
    let count = 0
    for await (const row of between(options, read, table)) {
      count += 1
      if (count <= offset) continue
      isMore = !all && count > offset + limit
      if (isMore) return
      yield row
    }
  }
  await showRows(options, chosen(), table)
  if (isMore) printMessage(`There are more rows. Next page: --offset ${offset + limit}. Every row: --all.`)
}

async function* between<T>(
  { since = 0, until = Number.POSITIVE_INFINITY }: TimedOptions,
  read: Read<T>,
  { at }: { at: (row: T) => number },
): AsyncGenerator<T> {
  for await (const row of read({ limit: CHUNK })) {
    if (at(row) < since) return
    if (at(row) < until) yield row
  }
}

async function* rowsFrom<T>(read: Read<T>, offset?: number): AsyncGenerator<T> {
  yield* read({ limit: CHUNK, ...(offset === undefined ? {} : { offset }) })
}

async function showRows<T extends object>(
  options: ListOptions,
  rows: Iterable<T> | AsyncIterable<T>,
  { columns, empty }: Table<T>,
): Promise<void> {
  if (options.json) {
    const all: T[] = []
    for await (const row of rows) all.push(row)
    return printJson(all)
  }
  const lines = tableOf(columns)
  let chunk: T[] = []
  let count = 0
  for await (const row of rows) {
    count += 1
    if (chunk.push(row) < CHUNK) continue
    for (const line of lines(chunk)) print(line)
    chunk = []
  }
  for (const line of chunk.length > 0 ? lines(chunk) : []) print(line)
  if (count === 0) print(empty)
}

/** Prints the newest rows, oldest first, and then each new row. With --json, prints one line per row. */
async function follow<T extends object>(
  options: TimedOptions,
  read: Read<T>,
  table: Table<T> & { at: (row: T) => number; id: (row: T) => unknown },
): Promise<void> {
  if (options.until !== undefined || options.offset !== undefined || options.all)
    throw new UsageError('--follow can be combined with --since and --limit, but not with --until, --offset or --all.')
  const lines = tableOf(table.columns)
  let seen = new Map<unknown, number>()
  const show = (rows: T[]) => {
    const added = rows.filter(row => !seen.has(table.id(row))).reverse()
    for (const row of rows) seen.set(table.id(row), table.at(row))
    if (options.json) for (const row of added) print(JSON.stringify(row))
    else if (added.length > 0) for (const line of lines(added)) print(line)
  }
  const first: T[] = []
  if (options.since === undefined) first.push(...(await read({ limit: options.limit ?? LIMIT })).data)
  else for await (const row of between(options, read, table)) first.push(row)
  show(first)
  let newest = Math.max(0, ...first.map(table.at))
  for (;;) {
    await sleep(INTERVAL)
    const rows: T[] = []
    for await (const row of between({ since: newest - LOOK_BACK }, read, table)) rows.push(row)
    // Skip rows that are older than the first page.
    show(rows.filter(row => table.at(row) >= Math.min(newest, ...seen.values())))
    newest = Math.max(newest, ...rows.map(table.at))
    seen = new Map([...seen].filter(([, at]) => at >= newest - 2 * LOOK_BACK))
  }
}
