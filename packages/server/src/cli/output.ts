import { StagedoorError } from '@stagedoor/sdk'
import { CommanderError } from 'commander'
import { ConfigError } from '../config.ts'
import { errorTexts } from '../contract/error-texts.ts'
import { ApiError, ApiErrors } from '../contract/errors.ts'
import { detailText, errorText } from './error-text.ts'

/** Exit codes: `failed` if the command could not do its work, `usage` for wrong arguments or settings. */
export const EXIT = { done: 0, failed: 1, usage: 2 } as const

export interface OutputOptions {
  json?: boolean
}

/** Prints one object: as JSON, or as `name  value` lines. */
export function printOne(options: OutputOptions, value: object, lines: Record<string, unknown> = { ...value }): void {
  if (options.json) {
    printJson(value)
    return
  }
  const shown = Object.entries(lines).filter(([, text]) => text !== undefined && text !== null && text !== '')
  const width = Math.max(...shown.map(([name]) => name.length))
  for (const [name, text] of shown) print(`${name.padEnd(width)}  ${plain(text)}`)
}

/** Prints a list: as a JSON array, or as a table. Prints `empty` instead of a table without rows. */
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

/**
 * Returns a function that formats the rows of a table, chunk by chunk. The first chunk sets the widths of the columns, and
 * has their names as its first line.
 */
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

/** Prints a message for people on standard error, so that it is not mixed into the output that programs read. */
export function printMessage(line: string): void {
  process.stderr.write(`${line}\n`)
}

/** Formats a time. @example time(1_769_860_805_000) // '2026-01-31 12:00:05Z' */
export function time(milliseconds: number | null | undefined): string {
  return milliseconds ? `${new Date(milliseconds).toISOString().slice(0, 19).replace('T', ' ')}Z` : ''
}

/** Returns a value as text for a terminal. */
export function plain(value: unknown): string {
  const text = typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value ?? '')
  // Escape control characters, so that stored text cannot move the cursor or reverse the line.
  return text.replace(/[\p{Cc}\p{Bidi_Control}]/gu, char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Prints what went wrong and what to do. @returns the exit code */
export function reportError(error: unknown, json: boolean): number {
  const { code, message, exit } = explain(error)
  if (exit === EXIT.done) return exit
  if (json) printMessage(JSON.stringify({ error: { code, message } }))
  else if (!(error instanceof CommanderError)) printMessage(`stagedoor: ${message}`)
  return exit
}

function explain(error: unknown): { code: string; message: string; exit: number } {
  if (error instanceof CommanderError) {
    return { code: error.code, message: error.message, exit: error.exitCode === 0 ? EXIT.done : EXIT.usage }
  }
  if (error instanceof ConfigError) return { code: 'configuration', message: error.message, exit: EXIT.usage }
  if (error instanceof StagedoorError) return { code: error.code, message: errorText(error), exit: EXIT.failed }
  if (error instanceof ApiErrors) return explain(error.errors[0])
  if (error instanceof ApiError) {
    const { code, long_message, meta } = error.toJSON()
    const { action, param_name = '' } = meta as { action?: string; param_name?: string }
    const message = (errorTexts[code] ?? long_message).replace('{param_name}', param_name)
    return { code, message: detailText({ message, action }), exit: EXIT.failed }
  }
  if (error instanceof UsageError) return { code: 'usage', message: error.message, exit: EXIT.usage }
  const { message } = error instanceof Error ? error : new Error(String(error))
  return { code: 'failed', message, exit: EXIT.failed }
}

/** The command has wrong arguments or options. */
export class UsageError extends Error {}

/** Parses the value of an option as a whole number. @throws UsageError */
export function wholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new UsageError(`“${text}” is not a whole number.`)
  return Number(text)
}
