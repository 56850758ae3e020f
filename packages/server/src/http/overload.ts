import type { IncomingMessage } from 'node:http'
import { performance } from 'node:perf_hooks'
import type { Operation } from '../contract/operation.ts'
import { requestedMethod } from './method-override.ts'

/** A queue that was empty within so many ms is a burst, and bursts are served. */
const INTERVAL = 500
/** So few are no overload, however slow they are: no more of them are coming than are being answered. */
const FEW = 32

/** Work that waits for something. */
export interface Queue {
  length: number
  /** How long the first of it has been waiting, ms. */
  oldest: number
}

/**
 * Decides whether a request is taken on. What is looked at is how long work has been waiting, at the places where it
 * waits:
 *
 * - for the event loop. What arrives while the loop is busy waits in the sockets, unseen, and is read all in one turn:
 *   so the requests of a turn that come after half of `maxWait` are too many. They are those that waited least.
 * - in the queues, which say so themselves.
 *
 * Waiting alone is no overload. It is one when it stands, as CoDel has it (RFC 8289): for a whole interval the loop was
 * never idle, or the queue never half as long as it may be.
 */
export class Overload {
  readonly #maxWait: number
  readonly #queues: { look: () => Queue; drained: number }[]
  #turn = { open: false, start: 0, requests: 0, idle: 0 }
  #idled = 0

  /** @param maxWait how long work may be kept waiting, ms */
  constructor(maxWait: number, queues: (() => Queue)[]) {
    this.#maxWait = maxWait
    this.#queues = queues.map(look => ({ look, drained: 0 }))
  }

  /** Whether a request that was just read is one too many. Asked for each, in the turn of the loop that read it. */
  refuses(): boolean {
    const now = this.busy()
    const turn = this.#turn
    turn.requests += 1
    let refused = turn.requests > FEW && now - turn.start > this.#maxWait / 2 && now - this.#idled > INTERVAL
    for (const queue of this.#queues) {
      const { length, oldest } = queue.look()
      if (length <= FEW / 2 || oldest < this.#maxWait / 2) queue.drained = now
      refused ||= length > FEW && oldest > this.#maxWait && now - queue.drained > INTERVAL
    }
    return refused
  }

  /** Called when a turn of the event loop may have begun with something else than a request. @returns the time */
  busy(): number {
    const now = performance.now()
    if (this.#turn.open) return now
    const { idleTime } = performance.nodeTiming
    // It counts as idle only if it found nothing at all to do.
    if (idleTime > this.#turn.idle) this.#idled = now
    this.#turn = { open: true, start: now, requests: 0, idle: idleTime }
    setImmediate(() => {
      this.#turn.open = false
    })
    return now
  }
}

/** Tells the requests for operations that are urgent. */
export function urgentRequests(operations: readonly Operation[]): (request: IncomingMessage) => boolean {
  const paths = Map.groupBy(
    operations.filter(operation => operation.urgent),
    operation => operation.method.toUpperCase(),
  )
  const patterns = new Map(
    [...paths].map(([method, of]) => [
      method,
      new RegExp(
        `^(?:${of.map(({ path }) => path.replaceAll('.', '\\.').replace(/\{\w+\}/g, '[^/?]+')).join('|')})(?:\\?|$)`,
      ),
    ]),
  )
  return ({ method = '', url = '' }) => patterns.get(requestedMethod(method, url))?.test(url) ?? false
}
