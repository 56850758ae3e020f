import type { IncomingMessage } from 'node:http'
import { performance } from 'node:perf_hooks'
import type { Operation } from '../../contract/operation.ts'
import { requestedMethod } from '../input.ts'

/** Waiting that ends within this time is only a burst, and bursts are served; in ms. */
const INTERVAL = 500
/** With this few requests waiting the server is not overloaded, even if each one is slow. */
const FEW = 32

/** A part of the server in which work waits. */
export interface Queue {
  /** Returns how much work waits, and for how long the first item has waited, in ms. */
  waiting(): { length: number; oldest: number }
}

/**
 * Decides whether a request is accepted, by how long work has been waiting:
 *
 * - For the event loop. Requests that arrive while the loop is busy wait in the sockets and are all read in one turn. The
 *   requests that a turn reads after half of `maxWait` are too many; they are the ones that have waited least.
 * - In the queues, which report their waiting time.
 *
 * Waiting alone is not overload. It is overload if the waiting persists, as in CoDel (RFC 8289): for a whole interval the
 * loop was never idle, or the first item of the queue always waited for more than half of `maxWait`. Overload ends after a
 * whole interval without waiting. Otherwise a queue that rejections keep short would immediately grow again.
 */
export class LoadShedder {
  readonly #maxWait: number
  readonly #queues: { queue: Queue; wait: Wait }[]
  readonly #loop = new Wait()
  #turn = { open: false, start: 0, requests: 0, idle: 0 }

  /** @param maxWait maximum time that work waits, in ms */
  constructor(maxWait: number, queues: Queue[]) {
    this.#maxWait = maxWait
    this.#queues = queues.map(queue => ({ queue, wait: new Wait() }))
  }

  /** Whether to reject the request that was just read. Called for each request, in the turn of the loop that read it. */
  shouldShed(): boolean {
    const now = this.startTurn()
    const turn = this.#turn
    turn.requests += 1
    const late = turn.requests > FEW && now - turn.start > this.#maxWait / 2
    if (late) this.#loop.observed(now)
    let refused = late && this.#loop.persists
    for (const { queue, wait } of this.#queues) {
      const { length, oldest } = queue.waiting()
      // In overload, an accepted request waits behind the whole queue, and for its turns of the loop as well.
      const waits = oldest > this.#maxWait / 2 && length > (wait.persists ? FEW / 2 : FEW)
      if (waits) wait.observed(now)
      else wait.ended(now)
      refused ||= waits && wait.persists
    }
    return refused
  }

  /** Called when a turn of the event loop may have started with an event that is not a request. @returns the time */
  startTurn(): number {
    const now = performance.now()
    if (this.#turn.open) return now
    const { idleTime } = performance.nodeTiming
    // The loop counts as idle only if it had nothing to do at all.
    if (idleTime > this.#turn.idle) this.#loop.ended(now)
    this.#turn = { open: true, start: now, requests: 0, idle: idleTime }
    setImmediate(() => {
      this.#turn.open = false
    })
    return now
  }
}

/** Tracks whether work waits in one place for longer than a burst. */
class Wait {
  /** True after a whole interval of waiting, until a whole interval without it. */
  persists = false
  #observedAt = 0
  #endedAt = 0

  observed(now: number): void {
    this.#observedAt = now
    if (now - this.#endedAt > INTERVAL) this.persists = true
  }

  ended(now: number): void {
    this.#endedAt = now
    if (now - this.#observedAt > INTERVAL) this.persists = false
  }
}

/** Creates a function that tells whether a request is for an urgent operation. */
export function neverShedRequests(operations: readonly Operation[]): (request: IncomingMessage) => boolean {
  const paths = Map.groupBy(
    operations.filter(operation => operation.neverShed),
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
