/** Who is acting now: the list once, then the server’s stream of what changes. */
import { type QueryClient, useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { api } from './api.ts'
import type { Acting, Page, Stats } from './wire.ts'

/** An acting session, and when it ended if it did while the page showed it. */
export interface LiveSession extends Acting {
  ended?: { at: number; status: string; seen: number; followers?: number | undefined }
}

const KEY = ['acting']
/** How long an ended row stays, in ms. */
const LINGER = 4_000

type Edit = (rows: LiveSession[]) => LiveSession[]

/** Changes that arrive while the list is being read. Its answer may be older than they are. */
const reading = new Set<Edit[]>()

async function readActing(signal: AbortSignal): Promise<LiveSession[]> {
  const changes: Edit[] = []
  reading.add(changes)
  try {
    const page = await api.get<Page<Acting>>('/v1/acting', { limit: 500, paginated: true }, signal)
    return changes.reduce<LiveSession[]>((rows, edit) => edit(rows), page.data)
  } finally {
    reading.delete(changes)
  }
}

/** Changes the list, and each one that is being read. */
function change(client: QueryClient, edit: Edit): void {
  for (const changes of reading) changes.push(edit)
  client.setQueryData<LiveSession[]>(KEY, rows => rows && edit(rows))
}

export type StreamState = { live: true } | { live: false; since: number | undefined }

export function useActing() {
  const client = useQueryClient()
  const query = useQuery({ queryKey: KEY, queryFn: ({ signal }) => readActing(signal) })
  const [stream, setStream] = useState<StreamState>({ live: false, since: undefined })
  useEffect(() => {
    const follow = followActing({
      ready() {
        setStream({ live: true })
        // A list that is being read for the first time may be older than the stream: it is not waited for, but read again.
        void client.cancelQueries({ queryKey: KEY }).then(() => client.invalidateQueries({ queryKey: KEY }))
      },
      lost: () => setStream(now => (now.live ? { live: false, since: Date.now() } : now)),
      put: session => change(client, rows => [session, ...rows.filter(({ id }) => id !== session.id)].sort(byBegin)),
      ended: ({ session_id, status, ended_at }) => showEnded(client, session_id, { status, at: ended_at }),
    })
    return () => follow.close()
  }, [client])
  return { ...query, stream }
}

/** Shows a session as ended, and removes its row a moment later. */
export function showEnded(
  client: QueryClient,
  session_id: string,
  { status, at, followers }: { status: string; at: number; followers?: number | undefined },
): void {
  const ended = { at, status, seen: performance.now() }
  // The stream and the answer to the button both say it: the first counts. Only the answer names the followers.
  const sent = followers === undefined ? {} : { followers }
  change(client, rows =>
    rows.map(row => (row.id === session_id ? { ...row, ended: { ...(row.ended ?? ended), ...sent } } : row)),
  )
  setTimeout(change, LINGER, client, (rows: LiveSession[]) => rows.filter(({ id }) => id !== session_id))
}

const byBegin = (a: Acting, b: Acting) => b.began_at - a.began_at

interface Listener {
  ready(): void
  lost(): void
  put(session: Acting): void
  ended(event: { session_id: string; status: string; ended_at: number }): void
}

/** Follows the stream, and opens it again after it broke: soon at first, then less often. */
function followActing(listener: Listener): { close(): void } {
  let source: EventSource | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let failures = 0
  const open = () => {
    source = new EventSource('/console/api/v1/acting/stream')
    const on = (name: string, run: (data: unknown) => void) =>
      source?.addEventListener(name, event => run(JSON.parse((event as MessageEvent<string>).data || 'null')))
    on('ready', () => {
      failures = 0
      listener.ready()
    })
    on('begun', data => listener.put(data as Acting))
    on('changed', data => listener.put(data as Acting))
    on('ended', data => listener.ended(data as Parameters<Listener['ended']>[0]))
    source.onerror = () => {
      source?.close()
      listener.lost()
      failures += 1
      timer = setTimeout(open, Math.min(30_000, 500 * 2 ** failures) * (0.5 + Math.random() / 2))
    }
  }
  open()
  return {
    close() {
      clearTimeout(timer)
      source?.close()
    },
  }
}

/** Counts of the last hour, for the small curve. Not shown if they cannot be read. */
export function useStats() {
  return useQuery({
    queryKey: ['stats'],
    queryFn: ({ signal }) => api.get<Stats>('/v1/stats', {}, signal),
    refetchInterval: 60_000,
    retry: false,
  })
}
