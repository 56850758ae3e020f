import { ApiError } from '../contract/errors.ts'
import type { Store } from './store.ts'

/** The open event streams of this process, by the secret key that opened them. */
export class EventStreams {
  readonly #maxPerKey: number
  readonly #byKey = new Map<string, Set<() => void>>()

  constructor(maxPerKey: number) {
    this.#maxPerKey = maxPerKey
  }

  get size(): number {
    let size = 0
    for (const streams of this.#byKey.values()) size += streams.size
    return size
  }

  /**
   * Registers a stream.
   * @param end ends the stream; called when the key is revoked or expires
   * @returns a function that removes the stream from the register
   * @throws ApiError too_many_streams
   */
  add(keyId: string, end: () => void): () => void {
    const streams = this.#byKey.get(keyId) ?? new Set()
    if (streams.size >= this.#maxPerKey) throw new ApiError('too_many_streams', { params: { max: this.#maxPerKey } })
    this.#byKey.set(keyId, streams.add(end))
    return () => {
      streams.delete(end)
      if (streams.size === 0) this.#byKey.delete(keyId)
    }
  }

  /** Ends the streams of every key that has expired or that any node has revoked. */
  async endUnusable(store: Store): Promise<void> {
    if (this.#byKey.size === 0) return
    const usable = new Set(await store.secretKeys.usableIds())
    for (const [keyId, streams] of this.#byKey) {
      if (!usable.has(keyId)) for (const end of [...streams]) end()
    }
  }
}
