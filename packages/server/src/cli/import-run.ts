import { closeSync, openSync, writeSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { StagedoorError } from '@stagedoor/sdk'
import type { Command } from 'commander'
import { errorText } from './error-text.ts'
import { openImport, type Row, type RowFormat } from './import-file.ts'
import { EXIT, type OutputOptions, printMessage, printOne, UsageError, wholeNumber } from './output.ts'

/** What the imports of all nouns share: options, counts, rejected rows, progress and retries. */

/** Maximum number of failures listed with --json. */
const MAX_LISTED = 10_000
/** Maximum number of attempts after 429, and the default pause between them, in seconds, if the server sends no Retry-After. */
const MAX_ATTEMPTS = 30
const DEFAULT_PAUSE = 1

export interface ImportOptions extends OutputOptions {
  concurrency: number
  dryRun?: boolean
  update?: boolean
  rejects?: string
}

export type Outcome = 'created' | 'updated' | 'existing'

/** Imports one row. @throws Rejected if the row cannot be imported */
export type ImportOne = (fields: Record<string, unknown>) => Promise<Outcome>

/** Adds the options of an import. @param noun in the plural */
export function withImportOptions(command: Command, noun: string): Command {
  return command
    .option('--dry-run', 'only report what would be done')
    .option('--update', `update existing ${noun} from the file; empty values change nothing`)
    .option(
      '--rejects <file>',
      'write the rows that could not be imported to this new file, so that you can fix and import them',
    )
    .option('--concurrency <count>', 'number of concurrent requests (16)', wholeNumber, 16)
    .option('--json', 'print the result as JSON')
}

/**
 * Imports the rows of a file, and prints the counts and the rows that failed.
 *
 *     await runImport('actors.csv', options, FORMAT, fields => importer.import(fields))
 *
 * @throws UsageError if the file cannot be read
 */
export async function runImport(
  file: string,
  options: ImportOptions,
  format: RowFormat,
  importOne: ImportOne,
): Promise<void> {
  const size = await sizeOf(file)
  const source = openImport(file, format)
  const run = new ImportRun(importOne, options, source.header)
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
  readonly #importOne: ImportOne
  readonly #options: ImportOptions
  readonly #header: () => string | undefined
  readonly #result = { created: 0, updated: 0, existing: 0, failed: 0 }
  readonly #failures: { line: number; message: string }[] = []
  #rejects: number | undefined
  /** An error that would fail every other row too: the server is unreachable, or does not accept the key. */
  #error: unknown

  constructor(importOne: ImportOne, options: ImportOptions, header: () => string | undefined) {
    this.#importOne = importOne
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
      this.#result[await this.#importOne(row.fields)] += 1
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
}

/** The row cannot be imported. Others may be. */
export class Rejected extends Error {}

/** Returns a Rejected if the row caused the error; otherwise the error itself, which would affect every row. */
export function rejection(error: StagedoorError): Error {
  return [400, 413, 422].includes(error.status) ? new Rejected(errorText(error)) : error
}

/** Retries after 429, and waits for the Retry-After of the server. */
export async function withRetry<T>(ask: () => PromiseLike<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof StagedoorError) || error.status !== 429 || tries === MAX_ATTEMPTS) throw error
      await sleep((error.retryAfter ?? DEFAULT_PAUSE) * 1_000)
    }
  }
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

/** Returns the name of a member in the SDK. */
export const camel = (name: string) => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())

/** Returns a record with the names of the SDK. */
export function camelCased(record: Record<string, unknown>): Record<string, unknown> {
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
