import type { IncomingMessage } from 'node:http'
import { performance } from 'node:perf_hooks'
import type { Operation } from '../contract/operation.ts'
import { requestedMethod } from './method-override.ts'

/** Waiting that is gone within so many ms is a burst, and bursts are served. */
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
 * never idle, or what is first in the queue always waited for more than half of `maxWait`. And it goes on being one until
 * there was none of it for as long: what is kept short by refusing would otherwise be let grow again at once.
 */
export class Overload {
  readonly #maxWait: number
  readonly #queues: { look: () => Queue; wait: Wait }[]
  readonly #loop = new Wait()
  #turn = { open: false, start: 0, requests: 0, idle: 0 }

  /** @param maxWait how long work may be kept waiting, ms */
  constructor(maxWait: number, queues: (() => Queue)[]) {
    this.#maxWait = maxWait
    this.#queues = queues.map(look => ({ look, wait: new Wait() }))
  }

  /** Whether a request that was just read is one too many. Asked for each, in the turn of the loop that read it. */
  refuses(): boolean {
    const now = this.busy()
    const turn = this.#turn
    turn.requests += 1
    const late = turn.requests > FEW && now - turn.start > this.#maxWait / 2
    if (late) this.#loop.seen(now)
    let refused = late && this.#loop.stands
    for (const { look, wait } of this.#queues) {
      const { length, oldest } = look()
      // Once it stands, what is let in waits behind all of these, and for its turns of the loop besides.
      const waits = oldest > this.#maxWait / 2 && length > (wait.stands ? FEW / 2 : FEW)
      if (waits) wait.seen(now)
      else wait.gone(now)
      refused ||= waits && wait.stands
    }
    return refused
  }

  /** Called when a turn of the event loop may have begun with something else than a request. @returns the time */
  busy(): number {
    const now = performance.now()
    if (this.#turn.open) return now
    const { idleTime } = performance.nodeTiming
    // It counts as idle only if it found nothing at all to do.
    if (idleTime > this.#turn.idle) this.#loop.gone(now)
    this.#turn = { open: true, start: now, requests: 0, idle: idleTime }
    setImmediate(() => {
      this.#turn.open = false
    })
    return now
  }
}

/** Whether work waits at some place for longer than a moment. */
class Wait {
  /** It did for a whole interval, and was not gone for as long since. */
  stands = false
  #seen = 0
  #gone = 0

  seen(now: number): void {
    this.#seen = now
    if (now - this.#gone > INTERVAL) this.stands = true
  }

  gone(now: number): void {
    this.#gone = now
    if (now - this.#seen > INTERVAL) this.stands = false
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
