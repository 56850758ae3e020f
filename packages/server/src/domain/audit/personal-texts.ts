import { hash } from 'node:crypto'
import type { Findings } from './findings.ts'

/** An event whose personal text is empty. */
interface Erased {
  index: number
  id: string
  user_id: string | null
  actor_sub: string | null
}

/** An event `audit.erase`: whose personal texts were erased, among the entries below an index. */
interface Erasure {
  up_to_index: number
  filter: { user_id?: string; actor_sub?: string; event_ids?: readonly string[] }
}

const HASH_MEMBER = '"personal_hash":"'
const ERASE = '"action":"audit.erase"'
const PRUNE = '"action":"audit.prune"'

/**
 * Checks personal texts against the hashes in their events. An empty text is right only if an event `audit.erase` covers
 * it, and missing entries only if an event `audit.prune` does.
 */
export class PersonalTexts {
  checked = 0
  erased = 0
  readonly #findings: Findings
  readonly #empty: Erased[] = []
  readonly #erasures: Erasure[] = []
  readonly #prunes: number[] = []

  constructor(findings: Findings) {
    this.#findings = findings
  }

  /** Checks the personal texts of entries. */
  check(from: number, entries: readonly { text: string; personal: string | null }[]): void {
    this.look(from, entries)
    for (const [at, { text, personal }] of entries.entries()) {
      if (personal === null) this.#addEmpty(from + at, text)
      else if (hash('sha256', personal) === hashIn(text)) this.checked++
      else {
        const event = parse(text)
        const name = typeof event?.id === 'string' ? event.id : `entry ${from + at}`
        this.#findings.tampered(`personal part of ${name} was changed`, { from: from + at, to: from + at })
      }
    }
  }

  /** Notes which of the entries permit that something is missing. */
  look(from: number, entries: readonly { text: string }[]): void {
    for (const [at, { text }] of entries.entries()) {
      const isErase = text.includes(ERASE)
      if (!isErase && !text.includes(PRUNE)) continue
      const event = parse(text)
      const details = event?.details as (Partial<Erasure> & { first?: unknown }) | null | undefined
      if (event?.outcome !== 'done' || !details) continue
      const { up_to_index, filter, first } = details
      // An erasure concerns only events before itself.
      if (event.action === 'audit.erase' && typeof up_to_index === 'number' && filter)
        this.#erasures.push({ up_to_index: Math.min(up_to_index, from + at), filter })
      if (event.action === 'audit.prune' && typeof first === 'number') this.#prunes.push(first)
    }
  }

  #addEmpty(index: number, text: string): void {
    const event = parse(text)
    const string = (value: unknown) => (typeof value === 'string' ? value : null)
    this.#empty.push({
      index,
      id: string(event?.id) ?? `entry ${index}`,
      user_id: string(event?.user_id),
      actor_sub: string(event?.actor_sub),
    })
  }

  /** Decides about empty texts and archived entries, after all entries were seen. */
  finish({ first }: { first: number }): void {
    const covers = coverOf(this.#erasures)
    for (const event of this.#empty) {
      if (covers(event)) this.erased++
      else {
        const { id, index } = event
        this.#findings.tampered(`personal part of ${id} was removed without an erasure`, { from: index, to: index })
      }
    }
    if (first > 0 && !this.#prunes.includes(first))
      this.#findings.tampered(`entries 0..${first - 1} are gone`, { from: 0, to: first - 1 })
  }
}

/** Returns a function that says whether one of the erasures covers an event. */
function coverOf(erasures: readonly Erasure[]): (event: Erased) => boolean {
  const upTo = {
    user_id: new Map<string, number>(),
    actor_sub: new Map<string, number>(),
    id: new Map<string, number>(),
  }
  const add = (map: Map<string, number>, key: string, index: number) => map.set(key, Math.max(index, map.get(key) ?? 0))
  for (const { up_to_index, filter } of erasures) {
    if (filter.user_id !== undefined) add(upTo.user_id, filter.user_id, up_to_index)
    if (filter.actor_sub !== undefined) add(upTo.actor_sub, filter.actor_sub, up_to_index)
    for (const id of filter.event_ids ?? []) add(upTo.id, id, up_to_index)
  }
  const below = (map: Map<string, number>, key: string | null, index: number) => index < (map.get(key ?? '') ?? 0)
  return ({ index, id, user_id, actor_sub }) =>
    below(upTo.id, id, index) || below(upTo.user_id, user_id, index) || below(upTo.actor_sub, actor_sub, index)
}

/**
 * Returns the hash of the personal text that an event names. Members of canonical JSON are sorted, so the last place is
 * that of the event itself: what follows has no free texts with unescaped quotes.
 */
function hashIn(text: string): string {
  const at = text.lastIndexOf(HASH_MEMBER)
  return at < 0 ? '' : text.slice(at + HASH_MEMBER.length, at + HASH_MEMBER.length + 64)
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const event: unknown = JSON.parse(text)
    return typeof event === 'object' && event !== null ? (event as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
