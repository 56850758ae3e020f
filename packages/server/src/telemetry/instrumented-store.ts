import type { Store } from '../domain/store.ts'
import type { Metrics } from './metrics.ts'
import type { Tracing } from './tracing.ts'

type Method = (...args: unknown[]) => Promise<unknown>

/** Wraps a store so that its calls in flight are counted and its calls are traced. */
export function instrumentedStore(
  store: Store,
  { metrics, tracing }: { metrics: Metrics | undefined; tracing: Tracing | undefined },
): Store {
  if (!metrics && !tracing) return store

  const instrumented =
    (name: string, method: Method): Method =>
    async (...args) => {
      metrics?.storeCallStarted()
      try {
        return await (tracing ? tracing.work(name, 'database', () => method(...args)) : method(...args))
      } finally {
        metrics?.storeCallFinished()
      }
    }

  const instrumentedGroup = (noun: string, group: object) =>
    Object.fromEntries(
      // `onChange` only registers a listener; it does not query the database.
      Object.entries(group).map(([name, method]) => [
        name,
        name === 'onChange' ? method : instrumented(`${noun}.${name}`, method),
      ]),
    )
  const groups = Object.entries(store).filter(([noun, group]) => typeof group === 'object' && noun !== 'clock')
  return { ...store, ...Object.fromEntries(groups.map(([noun, group]) => [noun, instrumentedGroup(noun, group)])) }
}
