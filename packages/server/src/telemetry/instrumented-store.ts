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

  const instrumented =
    (name: string, verb: Verb): Verb =>
    async (...args) => {
      const events: AuditRecord[] = []
      const callArgs = metrics ? args.map(arg => collectingEvents(arg, events)) : args
      metrics?.storeCallStarted()
      try {
        const result = await (tracing ? tracing.work(name, 'database', () => verb(...callArgs)) : verb(...callArgs))
        if (events.length > 0 && tookPlace(name, result)) for (const event of events) metrics?.recorded(event)
        return result
      } finally {
        metrics?.storeCallFinished()
      }
    }

  const instrumentedGroup = (noun: string, group: object) =>
    Object.fromEntries(
      // `onChange` only registers a listener; it does not query the database.
      Object.entries(group).map(([name, verb]) => [
        name,
        name === 'onChange' ? verb : instrumented(`${noun}.${name}`, verb),
      ]),
    )
  const groups = Object.entries(store).filter(([noun, group]) => typeof group === 'object' && noun !== 'clock')
  return { ...store, ...Object.fromEntries(groups.map(([noun, group]) => [noun, instrumentedGroup(noun, group)])) }
}

/**
 * Whether a transition took place. `false` and `undefined` mean that it did not; inserts that cannot be refused return
 * nothing.
 */
function tookPlace(name: string, result: unknown): boolean {
  return result !== false && (result !== undefined || /\.(insert|append)$/.test(name))
}

/**
 * Collects the audit events from an argument: the event itself, an event inside an input, or events that a function
 * creates for each changed row.
 */
function collectingEvents(arg: unknown, events: AuditRecord[]): unknown {
  if (typeof arg === 'function') return collectingMaker(arg as EventMaker, events)
  if (typeof arg !== 'object' || arg === null) return arg
  if ('leaf_hash' in arg) events.push(arg as AuditRecord)
  else if ('event' in arg) events.push(arg.event as AuditRecord)
  if ('actorToken' in arg && 'session' in arg) {
    const { actorToken, session } = arg as Record<string, EventMaker>
    return {
      actorToken: collectingMaker(actorToken as EventMaker, events),
      session: collectingMaker(session as EventMaker, events),
    }
  }
  return arg
}

type EventMaker = (record: unknown) => AuditRecord

function collectingMaker(make: EventMaker, events: AuditRecord[]): EventMaker {
  return record => {
    const event = make(record)
    events.push(event)
    return event
  }
}
