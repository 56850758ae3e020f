import { createHash } from 'node:crypto'
import type { RootOperationNode } from 'kysely'
import { type BoundQuery, isPrepared, type Step } from '../query.ts'
import { QueryCompiler } from './compiler.ts'
import { areIndependent, combine } from './one-statement.ts'
import { forSeveral } from './read-batch.ts'

/** A compiled statement, ready to run with the values for its placeholders. */
export interface Statement {
  sql: string
  /** The parameters of each step. */
  parameters: (readonly unknown[])[]
  /** The name of the prepared statement. */
  name?: string
}

/** Compiles queries, and keeps the statements of those that are run again. */
export class Statements {
  readonly #compiler: QueryCompiler
  readonly #statements = new WeakMap<RootOperationNode, Statement>()
  /** Transitions that are one statement, by their first query. */
  readonly #transitions = new WeakMap<RootOperationNode, { nodes: RootOperationNode[]; statement: Statement }[]>()

  /** @param timeIsInjected whether the time is a parameter, instead of the database's own clock */
  constructor(timeIsInjected: boolean) {
    this.#compiler = new QueryCompiler(timeIsInjected)
  }

  /** Returns the statement of one query. */
  of(query: BoundQuery): Statement {
    const known = this.#statements.get(query.node)
    if (known) return known
    const { sql, parameters } = this.#compile(query.node)
    if (!isPrepared(query)) return { sql, parameters: [parameters] }
    const statement = { sql, parameters: [parameters], name: nameOf(sql) }
    this.#statements.set(query.node, statement)
    return statement
  }

  /** Returns the statement that reads with several sets of values: see `forSeveral`. */
  ofSeveral(query: BoundQuery): Statement {
    const { sql, parameters } = this.#compile(forSeveral(query.node, this.of(query).parameters.flat()))
    return { sql, parameters: [parameters], name: nameOf(sql) }
  }

  /** Returns the one statement of a transition; undefined if its steps have to run one by one. */
  ofTransition(steps: Step[]): Statement | undefined {
    const [first] = steps
    if (!first || !areIndependent(steps)) return undefined
    const known = this.#transitions
      .get(first.query.node)
      ?.find(({ nodes }) => nodes.length === steps.length && nodes.every((node, i) => node === steps[i]?.query.node))
    if (known) return known.statement
    const node = steps.length === 1 ? first.query.node : combine(steps)
    if (!node) return undefined
    const { sql } = this.#compile(node)
    const parameters = steps.flatMap(step => this.of(step.query).parameters)
    const statement = { sql, parameters, name: nameOf(sql) }
    if (steps.every(step => isPrepared(step.query))) {
      const nodes = steps.map(step => step.query.node)
      this.#transitions.set(first.query.node, [
        ...(this.#transitions.get(first.query.node) ?? []),
        { nodes, statement },
      ])
    }
    return statement
  }

  #compile(node: RootOperationNode) {
    return this.#compiler.compileQuery(node, { queryId: '' })
  }
}

/**
 * Names a statement by its text, so that all processes use the same name: a pooler may share connections between them.
 */
const nameOf = (sql: string) => `sd_${createHash('sha1').update(sql).digest('hex').slice(0, 24)}`
