import { StagedoorError } from '@stagedoor/sdk'
import { CommanderError } from 'commander'
import { ConfigError } from '../config.ts'
import { ApiError, ApiErrors } from '../contract/errors.ts'
import { wordsOf, wordsOfDetail } from './words.ts'

/** 1: it could not be done. 2: it was asked for wrongly, or a setting is wrong. */
export const EXIT = { done: 0, failed: 1, usage: 2 } as const

export interface OutputOptions {
  json?: boolean
}

/** One thing: as JSON, or as `name  value` lines. */
export function printOne(options: OutputOptions, value: object, lines: Record<string, unknown> = { ...value }): void {
  if (options.json) {
    printJson(value)
    return
  }
  const shown = Object.entries(lines).filter(([, text]) => text !== undefined && text !== null && text !== '')
  const width = Math.max(...shown.map(([name]) => name.length))
  for (const [name, text] of shown) print(`${name.padEnd(width)}  ${plain(text)}`)
}

/** Many things: as a JSON array, or as a table. `empty` is said when there are none. */
export function printList<T extends object>(
  options: OutputOptions,
  rows: T[],
  columns: Record<string, (row: T) => unknown>,
  empty: string,
): void {
  if (options.json || rows.length === 0) {
    if (options.json) printJson(rows)
    else print(empty)
    return
  }
  for (const line of tableOf(columns)(rows)) print(line)
}

/** Lines of a table, part by part: widths are those of the first part, and the names of the columns are above it. */
export function tableOf<T>(columns: Record<string, (row: T) => unknown>): (rows: readonly T[]) => string[] {
  const names = Object.keys(columns)
  let widths: number[] | undefined
  return rows => {
    const cells = rows.map(row => names.map(name => plain(columns[name]?.(row))))
    if (widths === undefined) cells.unshift(names.map(name => name.toUpperCase()))
    widths ??= names.map((_, i) => Math.max(...cells.map(line => line[i]?.length ?? 0)))
    return cells.map(line =>
      line
        .map((cell, i) => cell.padEnd(widths?.[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
  }
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2))
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** For people who wait; never mixed into what a program reads. */
export function note(line: string): void {
  process.stderr.write(`${line}\n`)
}

/** `2026-01-31 12:00:05Z` */
export function time(milliseconds: number | null | undefined): string {
  return milliseconds ? `${new Date(milliseconds).toISOString().slice(0, 19).replace('T', ' ')}Z` : ''
}

function plain(value: unknown): string {
  const text = typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value ?? '')
  // What others wrote is shown as text: it cannot move the cursor or reverse the line.
  return text.replace(/[\p{Cc}\p{Bidi_Control}]/gu, char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Says what went wrong and what to do. @returns the exit code */
export function reportError(error: unknown, json: boolean): number {
  const { code, message, exit } = explain(error)
  if (exit === EXIT.done) return exit
  if (json) note(JSON.stringify({ error: { code, message } }))
  else if (!(error instanceof CommanderError)) note(`stagedoor: ${message}`)
  return exit
}

function explain(error: unknown): { code: string; message: string; exit: number } {
  if (error instanceof CommanderError) {
    return { code: error.code, message: error.message, exit: error.exitCode === 0 ? EXIT.done : EXIT.usage }
  }
  if (error instanceof ConfigError) return { code: 'configuration', message: error.message, exit: EXIT.usage }
  if (error instanceof StagedoorError) return { code: error.code, message: wordsOf(error), exit: EXIT.failed }
  if (error instanceof ApiErrors) return explain(error.errors[0])
  if (error instanceof ApiError) {
    const { code, long_message: message, meta } = error.toJSON()
    const { action, param_name: paramName } = meta as { action?: string; param_name?: string }
    return { code, message: wordsOfDetail({ code, message, action, paramName }), exit: EXIT.failed }
  }
  if (error instanceof UsageError) return { code: 'usage', message: error.message, exit: EXIT.usage }
  const { message } = error instanceof Error ? error : new Error(String(error))
  return { code: 'failed', message, exit: EXIT.failed }
}

/** Asked for wrongly. */
export class UsageError extends Error {}

/** A whole number of an option. */
export function wholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new UsageError(`“${text}” is not a whole number.`)
  return Number(text)
}
