import type { ParentsOf } from './policy-facts.ts'
import type { GroupRecord } from './records.ts'
import type { Store } from './store.ts'

/** The parents of teams and tags. */
export type Hierarchy = Readonly<Record<GroupRecord['kind'], ParentsOf>>

/** Maximum number of versions that are kept: the one in force, and those that requests in flight still use. */
const MAX_VERSIONS = 4

/**
 * The teams and tags that others are part of, by the version of the policy. Every change of them raises that version, so
 * what was read after a version is what it has, or something later, whose version then refuses the write.
 */
export class Hierarchies {
  readonly #store: Pick<Store, 'groups'>
  readonly #versions = new Map<number, Promise<Hierarchy>>()

  constructor(store: Pick<Store, 'groups'>) {
    this.#store = store
  }

  /**
   * Returns the parents of teams and tags.
   *
   *     (await ctx.hierarchies.of(row.policy_version)).team('tier-2')   // ['support']
   *
   * @param version the version of the policy, which must have been read before
   */
  of(version: number): Promise<Hierarchy> {
    const known = this.#versions.get(version)
    if (known) return known
    const reading = this.#store.groups.all().then(hierarchyOf)
    const [oldest = 0] = this.#versions.keys()
    if (this.#versions.size >= MAX_VERSIONS) this.#versions.delete(oldest)
    this.#versions.set(version, reading)
    // What could not be read is read again by the next decision.
    reading.catch(() => this.#versions.delete(version))
    return reading
  }
}

/** Returns the parents in rows of groups. */
export function hierarchyOf(groups: readonly GroupRecord[]): Hierarchy {
  const of = (wanted: GroupRecord['kind']): ParentsOf => {
    const parents = new Map<string, string[]>()
    for (const { kind, name, parents: names } of groups) if (kind === wanted) parents.set(name, JSON.parse(names))
    return name => parents.get(name) ?? []
  }
  return { team: of('team'), tag: of('tag') }
}
