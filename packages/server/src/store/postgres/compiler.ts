import { PostgresQueryCompiler } from 'kysely'
import { DatabaseTime, now, Placeholder } from '../query.ts'
import { integers } from '../schema.ts'
import { READ_TIME, TIME } from './clock.ts'

/** A placeholder for an array: the values that several reads give for the placeholder of this name. */
export class PlaceholderArray extends Placeholder {}

/**
 * Adds its type, one of two, to every parameter, and writes `null` as text. The time is the database's own, unless a
 * clock is injected.
 */
export class QueryCompiler extends PostgresQueryCompiler {
  readonly #timeIsInjected: boolean

  constructor(timeIsInjected: boolean) {
    super()
    this.#timeIsInjected = timeIsInjected
  }

  protected override appendValue(value: unknown): void {
    if (value === null) this.append('null')
    else if (value instanceof DatabaseTime && !this.#timeIsInjected) this.append(value === now ? TIME : READ_TIME)
    else {
      this.addParameter(value)
      this.append(`${this.getCurrentParameterPlaceholder()}::${typeOf(value)}`)
    }
  }
}

function typeOf(value: unknown): string {
  if (value instanceof DatabaseTime) return 'bigint'
  if (!(value instanceof Placeholder)) return typeof value === 'number' ? 'bigint' : 'text'
  const type = integers.has(value.name) ? 'bigint' : 'text'
  return value instanceof PlaceholderArray ? `${type}[]` : type
}
