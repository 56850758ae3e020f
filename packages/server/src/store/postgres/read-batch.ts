import {
  ColumnNode,
  type OperationNode,
  OperationNodeTransformer,
  type PrimitiveValueListNode,
  ReferenceNode,
  type RootOperationNode,
  sql,
  TableNode,
  ValueListNode,
  ValueNode,
} from 'kysely'
import { Placeholder } from '../query.ts'
import { PlaceholderArray } from './compiler.ts'

/** The values for a query. */
export type Args = Record<string, unknown>
type Rows = unknown[]

/** Takes the waiting reads and returns the rows for each of them. On a retry, `take` returns the same reads. */
export type Send = (take: () => Args[]) => Promise<(Rows | Promise<Rows>)[]>

interface Waiter {
  resolve(rows: Rows | Promise<Rows>): void
  reject(error: unknown): void
}

/** Reads that wait to be sent in one statement. */
class Batch {
  readonly since = performance.now()
  /** Identical reads share one entry. */
  readonly reads = new Map<string, { args: Args; waiters: Waiter[] }>()
  size = 0
  isStarted = false
}

/**
 * Batches the reads of one query. A few statements run at the same time, each as soon as it is requested. Reads that
 * arrive while they run form the next batch. A read never joins a statement that was already sent, so it sees
 * everything that was committed before it arrived.
 */
export class ReadBatcher {
  readonly #maxRunning: number
  readonly #send: Send
  readonly #waiting: Set<{ since: number; size: number }>
  #running = 0
  #next: Batch | undefined

  /** @param waiting receives the batch that waits to be sent */
  constructor(maxRunning: number, send: Send, waiting: Set<{ since: number; size: number }>) {
    this.#maxRunning = maxRunning
    this.#send = send
    this.#waiting = waiting
  }

  /** Reads the rows for one set of values. */
  read(args: Args): Promise<Rows> {
    return new Promise((resolve, reject) => {
      let batch = this.#next
      if (!batch) {
        batch = this.#next = new Batch()
        this.#waiting.add(batch)
      }
      const key = JSON.stringify(args)
      const same = batch.reads.get(key)
      if (same) same.waiters.push({ resolve, reject })
      else batch.reads.set(key, { args, waiters: [{ resolve, reject }] })
      batch.size += 1
      this.#startNext()
    })
  }

  #startNext(): void {
    if (!this.#next || this.#next.isStarted || this.#running === this.#maxRunning) return
    this.#next.isStarted = true
    this.#running += 1
    void this.#run(this.#next)
  }

  async #run(batch: Batch): Promise<void> {
    const take = () => {
      if (this.#next === batch) this.#next = undefined
      this.#waiting.delete(batch)
      return [...batch.reads.values()].map(({ args }) => args)
    }
    const reads = () => [...batch.reads.values()].entries()
    try {
      const found = await this.#send(take)
      // Each caller gets its own copy of the rows.
      for (const [i, { waiters }] of reads())
        for (const [n, { resolve }] of waiters.entries())
          resolve(n === 0 ? (found[i] as Rows) : copyOf(found[i] as Rows))
    } catch (error) {
      take()
      for (const [, { waiters }] of reads()) for (const { reject } of waiters) reject(error)
    }
    this.#running -= 1
    this.#startNext()
  }
}

const copyOf = async (rows: Rows | Promise<Rows>): Promise<Rows> => (await rows).map(row => ({ ...(row as object) }))

/**
 * Changes a query for one set of values into a query for many sets: each placeholder becomes an array with the values of
 * all sets. The query returns each row with `read_number`, the number of its set, from 1.
 * @param parameters the parameters of the query for one set
 */
export function forSeveral(query: RootOperationNode, parameters: readonly unknown[]): RootOperationNode {
  const names = [...new Set(parameters.filter(value => value instanceof Placeholder).map(({ name }) => name))]
  const arrays = sql.join(names.map(name => new PlaceholderArray(name)))
  const columns = sql.join([...names.map(columnOf), 'read_number'].map(name => sql.id(name)))
  const one = { toOperationNode: () => arrayElements.transformNode(query) }
  return sql`select reads.read_number, found.* from unnest(${arrays}) with ordinality as reads (${columns}), lateral ${one} as found`.toOperationNode()
}

/** Returns the column of `reads` with the values of a placeholder. */
const columnOf = (name: string) => `arg_${name}`

/** Replaces each placeholder by the column with its values. */
class ArrayElements extends OperationNodeTransformer {
  // Kysely declares that a value stays a value, but its compiler accepts any expression there.
  protected override transformValue(node: ValueNode): ValueNode {
    return node.immediate ? node : (elementOf(node.value) as OperationNode as ValueNode)
  }

  protected override transformPrimitiveValueList(node: PrimitiveValueListNode): PrimitiveValueListNode {
    return ValueListNode.create(node.values.map(elementOf)) as OperationNode as PrimitiveValueListNode
  }
}

const elementOf = (value: unknown): OperationNode =>
  value instanceof Placeholder
    ? ReferenceNode.create(ColumnNode.create(columnOf(value.name)), TableNode.create('reads'))
    : ValueNode.create(value)

const arrayElements = new ArrayElements()
