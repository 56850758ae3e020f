import { createReadStream, type ReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { parse } from 'csv-parse/sync'
import { UsageError } from './output.ts'

/** Maximum number of lines of one CSV record: a quoted value may have line breaks. */
const RECORD_LINES = 1_000
const DELIMITERS = [',', ';', '\t'] as const

/** What the rows of a file describe, and how values in CSV are read. */
export interface RowFormat {
  /** What a row describes: `user`. */
  noun: string
  /** The names of all columns. */
  fields: readonly string[]
  /** Columns with several values, and what separates these. */
  lists: readonly string[]
  separator: RegExp
  /** Columns with `true` or `false`. */
  booleans: readonly string[]
  /** Columns with a whole number. */
  numbers?: readonly string[]
  /** Columns with JSON. */
  json?: RegExp
}

/** One record of the file: its fields as the API takes them, or the reason why the record is invalid. */
export type Row = { line: number; text: string } & ({ fields: Record<string, unknown> } | { reason: string })

export interface ImportFile {
  input: ReadStream
  rows: AsyncIterable<Row>
  /** The header line of a CSV file. */
  header(): string | undefined
}

/**
 * Reads rows from JSON lines or CSV, record by record. An invalid record does not affect the next one.
 * @throws UsageError while reading, if the file has another format or an invalid header
 */
export function openImport(file: string, format: RowFormat): ImportFile {
  const kind = /\.(csv|tsv|txt|jsonl|ndjson|json)$/i.exec(file)?.[1]?.toLowerCase()
  if (kind === undefined || kind === 'txt')
    throw new UsageError('The file must be JSON lines (.jsonl) or CSV (.csv). Rename it if it is one of them.')
  const input = createReadStream(file)
  const lines = linesOf(input)
  let header: string | undefined
  const rows =
    kind === 'csv' || kind === 'tsv'
      ? csvRows(lines, format, text => {
          header = text
        })
      : jsonRows(lines, format)
  return { input, rows, header: () => header }
}

/** Yields the lines without line breaks, and the first one without a byte order mark. */
async function* linesOf(input: ReadStream): AsyncGenerator<string> {
  let isFirst = true
  for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    if (isFirst && /^\ufffd\ufffd|\0/.test(text)) throw new UsageError('The file is UTF-16. Save it as UTF-8.')
    yield isFirst ? text.replace(/^\ufeff/, '') : text
    isFirst = false
  }
}

async function* jsonRows(lines: AsyncIterable<string>, format: RowFormat): AsyncGenerator<Row> {
  let line = 0
  for await (const text of lines) {
    line += 1
    if (text.trim() === '') continue
    try {
      if (text.includes('\ufffd')) throw new Error('it has characters that are not UTF-8')
      const fields: unknown = JSON.parse(text)
      if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) throw new Error('not a JSON object')
      yield { line, text, fields: withLists(fields as Record<string, unknown>, format) }
    } catch (error) {
      yield {
        line,
        text,
        reason: `not ${format.noun === 'actor' ? 'an' : 'a'} ${format.noun}: ${(error as Error).message}`,
      }
    }
  }
}

/**
 * The quotes decide where a record ends: with an odd number of quotes it continues on the next line. If the lines then
 * form no valid record, the quote was a stray one: the first line is invalid, and reading continues with the second.
 */
async function* csvRows(
  lines: AsyncIterable<string>,
  format: RowFormat,
  onHeader: (text: string) => void,
): AsyncGenerator<Row> {
  const reader = new LineReader(lines)
  let header: Header | undefined
  for (let text = await reader.next(); text !== undefined; text = await reader.next()) {
    if (text.trim() === '') continue
    const line = reader.line
    if (header === undefined) {
      onHeader(text)
      header = headerOf(text, format)
      continue
    }
    const whole = await reader.record(text)
    const values = valuesOf(whole, header)
    if (typeof values !== 'string') {
      yield { line, text: whole, ...fieldsOf(format, header.columns, values) }
      continue
    }
    // If the record has several lines, only the first is reported as invalid.
    reader.backTo(line)
    yield { line, text, reason: values }
  }
}

/** Reads lines, and can go back to a line that it has read. */
class LineReader {
  readonly #lines: AsyncIterator<string>
  /** Lines that will be read again. */
  #ahead: string[] = []
  /** Lines of the current record after its first. */
  #taken: string[] = []
  /** Number of the last line that was read. */
  line = 0

  constructor(lines: AsyncIterable<string>) {
    this.#lines = lines[Symbol.asyncIterator]()
  }

  async next(): Promise<string | undefined> {
    this.#taken = []
    return this.#read()
  }

  async #read(): Promise<string | undefined> {
    const text = this.#ahead.shift() ?? (await this.#lines.next()).value
    if (text !== undefined) this.line += 1
    return text
  }

  /** Returns the record that begins with this line. Its quotes decide where it ends. */
  async record(first: string): Promise<string> {
    let whole = first
    let isOpen = hasOddQuotes(first)
    while (isOpen && this.#taken.length < RECORD_LINES) {
      const text = await this.#read()
      if (text === undefined) break
      this.#taken.push(text)
      whole += `\n${text}`
      if (hasOddQuotes(text)) isOpen = false
    }
    return whole
  }

  /** Goes back: the next line to be read is the one after this line of the current record. */
  backTo(line: number): void {
    this.#ahead.unshift(...this.#taken)
    this.#taken = []
    this.line = line
  }
}

const hasOddQuotes = (text: string) => (text.split('"').length - 1) % 2 === 1

interface Header {
  delimiter: string
  columns: string[]
}

/** Parses the header. @throws UsageError if a column is unknown, because the server would refuse every record */
function headerOf(text: string, { fields }: RowFormat): Header {
  const plain = text.replace(/"[^"]*"/g, '')
  const counts = DELIMITERS.map(each => plain.split(each).length)
  const delimiter = DELIMITERS[counts.indexOf(Math.max(...counts))] ?? ','
  const columns = split(text, delimiter)?.map(name => name.toLowerCase())
  if (columns === undefined) throw new UsageError('Line 1: the header has a stray quote (").')
  const unknown = columns.filter(name => !fields.includes(name))
  if (unknown.length > 0)
    throw new UsageError(
      `Line 1: the header has unknown columns: ${unknown.map(name => `“${name}”`).join(', ')}. Valid columns are ${fields.join(', ')}.`,
    )
  const twice = columns.find((name, i) => columns.indexOf(name) !== i)
  if (twice !== undefined) throw new UsageError(`Line 1: the header names ${twice} twice.`)
  return { delimiter, columns }
}

/** Returns the values of one record, or the reason why it is invalid. */
function valuesOf(text: string, { delimiter, columns }: Header): string[] | string {
  if (text.includes('\ufffd')) return 'it has characters that are not UTF-8'
  const values = split(text, delimiter)
  if (values === undefined)
    return 'a quote (") is not closed, or is inside an unquoted value: quote the whole value, and write "" for a quote in it'
  if (values.length !== columns.length)
    return `it has ${values.length} values, but the header has ${columns.length} columns`
  return values
}

function split(text: string, delimiter: string): string[] | undefined {
  try {
    const records = parse(text, { delimiter, trim: true }) as string[][]
    return records.length === 1 ? records[0] : undefined
  } catch {
    return undefined
  }
}

const TRUE = ['true', 'yes', 'y', '1', 't']
const FALSE = ['false', 'no', 'n', '0', 'f']

function fieldsOf(
  format: RowFormat,
  columns: string[],
  values: string[],
): { fields: Record<string, unknown> } | { reason: string } {
  try {
    const filled = columns.map((name, i) => [name, values[i] ?? ''] as const).filter(([, value]) => value !== '')
    if (filled.length === 0) return { reason: 'it has no value' }
    return { fields: Object.fromEntries(filled.map(([name, value]) => [name, typed(format, name, value)])) }
  } catch (error) {
    return { reason: (error as Error).message }
  }
}

function typed({ lists, separator, booleans, numbers, json }: RowFormat, name: string, value: string): unknown {
  if (lists.includes(name)) return partsOf(value, separator)
  if (booleans.includes(name)) {
    const word = value.toLowerCase()
    if (TRUE.includes(word)) return true
    if (FALSE.includes(word)) return false
    throw new Error(`${name} is neither true nor false`)
  }
  if (numbers?.includes(name)) {
    if (!/^-?\d{1,15}$/.test(value)) throw new Error(`${name} is not a whole number`)
    return Number(value)
  }
  if (!json?.test(name)) return value
  try {
    return JSON.parse(value)
  } catch {
    throw new Error(`${name} is not JSON`)
  }
}

function partsOf(value: string, separator: RegExp): string[] {
  return value
    .split(separator)
    .map(each => each.trim())
    .filter(each => each !== '')
}

/** Converts a plain string into a list, where the API takes a list. */
function withLists(fields: Record<string, unknown>, { lists }: RowFormat): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      lists.includes(name) && typeof value === 'string' ? [value] : value,
    ]),
  )
}
