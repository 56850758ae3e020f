import { ApiError } from '../contract/errors.ts'
import type { Role } from '../contract/operation.ts'
import type { Store } from './store.ts'

/** Who opened a stream. */
export interface StreamOwner {
  /** Of the secret key, or of the operator, over all their sessions. */
  id: string
  /** The operator's session, and what they might do in it when the stream began. */
  session?: { id: string; role: Role }
}

interface OpenStream extends StreamOwner {
  /** The kind of stream: each kind has its own maximum. */
  kind: string
  end: () => void
}

/** The open event streams of this process, by the secret key or the operator that opened them. */
export class EventStreams {
  readonly #maxPerOwner: number
  readonly #byOwner = new Map<string, Set<OpenStream>>()

  constructor(maxPerOwner: number) {
    this.#maxPerOwner = maxPerOwner
  }

  get size(): number {
    let size = 0
    for (const streams of this.#byOwner.values()) size += streams.size
    return size
  }

  /**
   * Registers a stream.
   * @param end ends the stream; called when the key is revoked or expires, or the session ends or gets another role
   * @param limit the kind of stream, and the maximum of this kind per owner. Default: the setting
   * @returns a function that removes the stream from the register
   * @throws ApiError too_many_streams
   */
  add(owner: StreamOwner, end: () => void, limit: { kind: string; max?: number }): () => void {
    const { kind, max = this.#maxPerOwner } = limit
    const streams = this.#byOwner.get(owner.id) ?? new Set()
    const ofKind = [...streams].filter(stream => stream.kind === kind).length
    if (ofKind >= max) throw new ApiError('too_many_streams', { params: { max } })
    const stream = { ...owner, kind, end }
    this.#byOwner.set(owner.id, streams.add(stream))
    return () => {
      streams.delete(stream)
      if (streams.size === 0) this.#byOwner.delete(owner.id)
    }
  }

  /**
   * Ends the streams of every key and session that has expired or that any node has revoked or ended, and of sessions
   * whose role has changed: what a stream shows depends on the role.
   */
  async endUnusable(store: Store): Promise<void> {
    if (this.#byOwner.size === 0) return
    const keys = new Set(await store.secretKeys.usableIds())
    const roles = await store.operatorSessions.usableRoles()
    const isUsable = ({ id, session }: OpenStream) =>
      session === undefined ? keys.has(id) : roles.get(session.id) === session.role
    for (const streams of this.#byOwner.values()) {
      for (const stream of [...streams]) if (!isUsable(stream)) stream.end()
    }
  }
}
