import type { AuditRecord } from '../domain/records.ts'
import type { Store } from '../domain/store.ts'
import type { Metrics } from './metrics.ts'
import type { Tracing } from './tracing.ts'

type Verb = (...args: unknown[]) => Promise<unknown>

/** Wraps a store so that its calls, and the audit events that they write, are counted and traced. */
export function instrumentedStore(
  store: Store,
  { metrics, tracing }: { metrics: Metrics | undefined; tracing: Tracing | undefined },
): Store {
  if (!metrics && !tracing) return store

  const watched =
    (name: string, verb: Verb): Verb =>
    async (...args) => {
      const events: AuditRecord[] = []
      const given = metrics ? args.map(arg => withCommitTracking(arg, events)) : args
      metrics?.storeCallBegan()
      try {
        const result = await (tracing ? tracing.work(name, 'database', () => verb(...given)) : verb(...given))
        if (events.length > 0 && happened(name, result)) for (const event of events) metrics?.recorded(event)
        return result
      } finally {
        metrics?.storeCallEnded()
      }
    }

  const watchedGroup = (noun: string, group: object) =>
    Object.fromEntries(
      // `onChange` only registers a listener; it does not query the database.
      Object.entries(group).map(([name, verb]) => [
        name,
        name === 'onChange' ? verb : watched(`${noun}.${name}`, verb),
      ]),
    )
  const groups = Object.entries(store).filter(([noun, group]) => typeof group === 'object' && noun !== 'clock')
  return { ...store, ...Object.fromEntries(groups.map(([noun, group]) => [noun, watchedGroup(noun, group)])) }
}

/**
 * Whether a transition took place. `false` and `undefined` mean that it did not; inserts that cannot be refused return
 * nothing.
 */
function happened(name: string, result: unknown): boolean {
  return result !== false && (result !== undefined || /\.(insert|append)$/.test(name))
}

/**
 * Collects the audit events from an argument: the event itself, an event inside an input, or events that a function
 * creates for each changed row.
 */
function withCommitTracking(arg: unknown, events: AuditRecord[]): unknown {
  if (typeof arg === 'function') return overheardMaker(arg as EventMaker, events)
  if (typeof arg !== 'object' || arg === null) return arg
  if ('leaf_hash' in arg) events.push(arg as AuditRecord)
  else if ('event' in arg) events.push(arg.event as AuditRecord)
  if ('actorToken' in arg && 'session' in arg) {
    const { actorToken, session } = arg as Record<string, EventMaker>
    return {
      actorToken: overheardMaker(actorToken as EventMaker, events),
      session: overheardMaker(session as EventMaker, events),
    }
  }
  return arg
}

type EventMaker = (record: unknown) => AuditRecord

function overheardMaker(make: EventMaker, events: AuditRecord[]): EventMaker {
  return record => {
    const event = make(record)
    events.push(event)
    return event
  }
}
