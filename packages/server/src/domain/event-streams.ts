import { ApiError } from '../contract/errors.ts'
import type { Store } from './store.ts'

interface OpenStream {
  /** The kind of stream: each kind has its own maximum. */
  kind: string
  end: () => void
}

/** The open event streams of this process, by the secret key or the operator's session that opened them. */
export class EventStreams {
  readonly #maxPerKey: number
  readonly #byKey = new Map<string, Set<OpenStream>>()

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
   * @param keyId of the key, or of the session: `streamOwner`
   * @param end ends the stream; called when the key is revoked or expires, or the session ends
   * @param limit the kind of stream, and the maximum of this kind per key. Default: the setting
   * @returns a function that removes the stream from the register
   * @throws ApiError too_many_streams
   */
  add(keyId: string, end: () => void, limit: { kind: string; max?: number }): () => void {
    const { kind, max = this.#maxPerKey } = limit
    const streams = this.#byKey.get(keyId) ?? new Set()
    const ofKind = [...streams].filter(stream => stream.kind === kind).length
    if (ofKind >= max) throw new ApiError('too_many_streams', { params: { max } })
    const stream = { kind, end }
    this.#byKey.set(keyId, streams.add(stream))
    return () => {
      streams.delete(stream)
      if (streams.size === 0) this.#byKey.delete(keyId)
    }
  }

  /** Ends the streams of every key and session that has expired or that any node has revoked or ended. */
  async endUnusable(store: Store): Promise<void> {
    if (this.#byKey.size === 0) return
    const usable = new Set([...(await store.secretKeys.usableIds()), ...(await store.operatorSessions.usableIds())])
    for (const [keyId, streams] of this.#byKey) {
      if (!usable.has(keyId)) for (const { end } of [...streams]) end()
    }
  }
}
