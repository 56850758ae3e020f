/** Times that change while they are shown. One timer for the whole page. */
import { useSyncExternalStore } from 'react'
import { absolute, ago, left } from '../format.ts'

const listeners = new Set<() => void>()
let now = Date.now()
let timer: ReturnType<typeof setInterval> | undefined

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  timer ??= setInterval(() => {
    now = Date.now()
    for (const each of listeners) each()
  }, 1_000)
  return () => {
    listeners.delete(listener)
    if (listeners.size > 0) return
    clearInterval(timer)
    timer = undefined
  }
}

/** Returns the time, in whole seconds of the page’s timer. */
export const useNow = () => useSyncExternalStore(subscribe, () => now)

/** “12:36 left”. In amber when less than two minutes are left. */
export function TimeLeft({ until, suffix = '' }: { until: number; suffix?: string }) {
  const remaining = until - useNow()
  return (
    <time
      className={remaining < 120_000 ? 'left soon' : 'left'}
      dateTime={new Date(until).toISOString()}
      title={`Ends at ${absolute(until)}`}
    >
      {left(remaining)}
      {suffix}
    </time>
  )
}

/** “4 minutes ago”; the whole time on hover. */
export function Ago({ at }: { at: number }) {
  const text = ago(at, Math.max(useNow(), at))
  return (
    <time dateTime={new Date(at).toISOString()} title={absolute(at)}>
      {text}
    </time>
  )
}
