/** Answers, from existing operations, what the server’s own operations for the console answer in the same shape. */
import type { ServerResponse } from 'node:http'
import type { Call } from './serve.ts'

// biome-ignore lint/suspicious/noExplicitAny: any object of the API
type Any = any

/** Answers a request, if it is one of those. @returns false if the request is for the server */
type Answers = (method: string, path: string, body: Any, response: ServerResponse) => Promise<boolean>

export function standIns(call: Call, operator: { id: string; sub: string; name: string; email: string }): Answers {
  const get = async (path: string): Promise<Any> => (await call<Any>('GET', path)).body
  const acting = async (query: URLSearchParams): Promise<Any[]> => {
    const filter = new URLSearchParams({ status: 'active', limit: '500' })
    for (const name of ['actor_sub', 'user_id']) if (query.get(name)) filter.set(name, query.get(name) ?? '')
    const sessions: Any[] = (await get(`/v1/sessions?${filter}`)).filter((session: Any) => session.actor !== null)
    const ids = [...new Set(sessions.map(({ user_id }) => user_id))]
    const users = new Map<string, Any>()
    for (let at = 0; at < ids.length; at += 100) {
      const some = ids.slice(at, at + 100)
      const found = await get(`/v1/users?limit=100&${some.map(id => `user_id=${id}`).join('&')}`)
      for (const user of found) users.set(user.id, user)
    }
    return sessions.map(session => actingOf(session, users.get(session.user_id)))
  }
  const routes: Record<string, (query: URLSearchParams, body: Any) => Promise<unknown>> = {
    'GET /v1/acting': async query => {
      const all = await acting(query)
      return { data: all.slice(0, Number(query.get('limit') ?? 10)), total_count: all.length }
    },
    'GET /v1/search': async query => {
      const text = query.get('query') ?? ''
      const one = async (path: string, prefix: string) => {
        if (!text.startsWith(prefix)) return []
        const { status, body } = await call<Any>('GET', path + encodeURIComponent(text))
        return status === 200 ? [body] : []
      }
      return {
        object: 'search',
        users: await get(`/v1/users?limit=8&query=${encodeURIComponent(text)}`),
        sessions: await one('/v1/sessions/', 'sess_'),
        actor_tokens: await one('/v1/actor_tokens/', 'act_'),
      }
    },
    'GET /v1/stats': async () => statsOf(await get(`/v1/audit_events?limit=500&after=${Date.now() - 3_600_000}`)),
    'GET /v1/audit_events/export': query => {
      query.delete('format')
      return get(`/v1/audit_events?limit=500&${query}`)
    },
    'GET /v1/signing_keys': async () => signingKeys,
    'POST /v1/signing_keys/rotate': async () => signingKeys,
    'GET /v1/operators': async () => ({ data: operatorsOf(operator), total_count: 3 }),
    'GET /v1/operator_sessions': async () => ({ data: sessionsOf(operator), total_count: 2 }),
    'POST /v1/operators': async () => ({ link: 'https://console.example.com/console/join#bBOl7XcQ3lkT2aXn0Q1z' }),
  }
  return async (method, path, body, response) => {
    const { pathname, searchParams } = new URL(path, 'http://api')
    if (pathname === '/v1/acting/stream') {
      await stream(() => acting(new URLSearchParams()), response).catch(() => response.destroy())
      return true
    }
    const event = /^\/v1\/audit_events\/(aev\w*_\w+|evt_\w+)$/.exec(pathname)?.[1]
    const route =
      routes[`${method} ${pathname}`] ??
      (event === undefined
        ? undefined
        : async () => (await get('/v1/audit_events?limit=500')).find((each: Any) => each.id === event))
    if (!route) return false
    const answer = await route(searchParams, body)
    const found = answer !== undefined
    response.writeHead(found ? 200 : 404, { 'content-type': 'application/json' })
    response.end(JSON.stringify(found ? answer : { errors: [{ code: 'resource_not_found', message: 'Not found.' }] }))
    return true
  }
}

function actingOf(session: Any, user: Any): Any {
  const name = [user?.first_name, user?.last_name].filter(Boolean).join(' ')
  return {
    object: 'acting',
    id: session.id,
    session_id: session.id,
    user_id: session.user_id,
    user: { id: session.user_id, name: name || null, email: user?.email_addresses[0]?.email_address ?? null },
    actor: session.actor,
    actor_sub: session.actor.sub,
    kind: session.actor.type === 'agent' ? 'agent' : 'operator',
    reason: session.reason,
    reason_category: session.reason_category,
    ticket: session.ticket,
    access: session.access,
    scopes: session.scopes,
    began_at: session.created_at,
    expire_at: session.expire_at,
    actor_token_id: null,
  }
}

function statsOf(events: Any[]): object {
  const first = Math.floor(Date.now() / 60_000) - 59
  const minutes = Array.from({ length: 60 }, (_, index) => ({
    at: (first + index) * 60_000,
    created: 0,
    redeemed: 0,
    refused: 0,
    ended: 0,
    acting: 0,
  }))
  for (const { at, action, outcome } of events) {
    const minute = minutes[Math.floor(at / 60_000) - first]
    if (!minute) continue
    if (outcome === 'refused') minute.refused += 1
    else if (action === 'actor_token.create') minute.created += 1
    else if (/accept/.test(action)) minute.redeemed += 1
    else if (/^session\.(revoke|end)/.test(action)) minute.ended += 1
  }
  let acting = 0
  for (const minute of minutes) {
    acting = Math.max(0, acting + minute.redeemed - minute.ended)
    minute.acting = acting
  }
  return { object: 'stats', minutes }
}

/** Compares the list with itself, five times a second. */
async function stream(read: () => Promise<Any[]>, response: ServerResponse): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
  const send = (event: string, data: unknown) => response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
  const byId = async () => new Map((await read()).map(row => [row.id, row]))
  let known = await byId()
  send('ready', {})
  while (!response.destroyed) {
    await new Promise(resolve => setTimeout(resolve, 200))
    const now = await byId()
    for (const [id, row] of now) if (!known.has(id)) send('begun', row)
    for (const id of known.keys())
      if (!now.has(id)) send('ended', { session_id: id, status: 'revoked', ended_at: Date.now() })
    known = now
  }
}

const DAY = 86_400_000
const started = Date.now()

const signingKeys = {
  data: (['next', 'active', 'retiring', 'removed'] as const).map((status, index) => ({
    object: 'signing_key',
    id: `kid_${['9hT2vQ', '4pLm8x', 'aa71Zk', '02bWq1'][index]}`,
    alg: 'RS256',
    status,
    created_at: started - index * 30 * DAY - DAY,
    retired_at: index > 1 ? started - (index - 1) * 30 * DAY : null,
  })),
}

function operatorsOf(own: object): object[] {
  const row = { object: 'operator', role_source: 'claim', created_at: started - 90 * DAY, disabled_at: null }
  return [
    { ...row, ...own, role: 'admin', last_sign_in_at: started - 600_000 },
    {
      ...row,
      id: 'opr_sam',
      name: 'Sam Okafor',
      email: 'sam@support.example',
      sub: 'sam@support.example',
      role: 'support',
      last_sign_in_at: started - 2 * DAY,
    },
    {
      ...row,
      id: 'opr_lee',
      name: 'Lee Novak',
      email: 'lee@support.example',
      sub: 'lee@support.example',
      role: 'viewer',
      role_source: 'link',
      last_sign_in_at: null,
      disabled_at: started - DAY,
    },
  ]
}

function sessionsOf({ id }: { id: string }): object[] {
  const row = {
    object: 'operator_session',
    operator_id: id,
    expires_at: started + 7 * 3_600_000,
    is_current: false,
    ended_at: null,
  }
  return [
    {
      ...row,
      id: 'ops_1',
      is_current: true,
      user_agent: 'Mozilla/5.0 (X11; Linux x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36',
      address: '203.0.113.7',
      created_at: started - 3_600_000,
      last_seen_at: started,
    },
    {
      ...row,
      id: 'ops_2',
      user_agent:
        'Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 Safari/604.1',
      address: '198.51.100.23',
      created_at: started - 5 * 3_600_000,
      last_seen_at: started - 1_500_000,
    },
  ]
}
