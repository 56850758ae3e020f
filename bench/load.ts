import { createPublicKey, type JsonWebKey, verify } from 'node:crypto'
import type { Socket } from 'node:net'
import { answer } from './child.ts'
import { ACTOR_TOKEN, type Answer, answerIn, bearer, clientCookieOf, get, opened, openedTo, post } from './http.ts'

/**
 * The load: a closed loop of keep-alive HTTP/1.1 connections, one outstanding request on each. Every answer must be 200
 * with the expected content; any other answer counts as wrong.
 */

export type Kind = 'create' | 'redeem' | 'mint' | 'list' | 'constant' | 'bare' | 'impersonate' | 'exchange' | 'requests'

export interface Round {
  /** Port of the server. Users, tickets and sessions that the load creates there are stored under it. */
  port: number
  kind: Kind
  seconds: number
  connections: number
  secretKey?: string
  /** For `bare`: the path to POST to. */
  path?: string
  alg?: string
  /** For `impersonate`: an admin's cookie, and the users to act as. */
  cookie?: string
  users?: string[]
  /** For `exchange`: users' access tokens. */
  subjects?: string[]
  /** For `requests`: complete requests to send in turn, where to, and the member of each answer that must be a text. */
  requests?: string[]
  origin?: string
  member?: string
}

export interface Measured {
  rate: number
  p50: number
  p99: number
  answers: number
  wrong: number
  /** The first wrong answer, for the error message. */
  example?: string
}

/** The requests of a round, and the check of each complete answer. */
interface Job {
  next(): string | undefined
  finish?(answers: Answer[]): Promise<void> | void
}

/** Number of sessions that mints use in turn. */
const SESSIONS = 1_000
const USERS = 200
/** Number of session tokens that are verified per round. */
const VERIFIED = 50

class Target {
  users: string[] = []
  tickets: string[] = []
  sessions: { id: string; cookie: string }[] = []
  sampleToken = ''
}

const targets = new Map<number, Target>()

async function jobOf(round: Round, target: Target): Promise<Job> {
  const authorization = bearer(round.secretKey)
  let turn = 0
  switch (round.kind) {
    case 'create': {
      if (target.users.length === 0) {
        let left = USERS
        const request = post('/v1/users', 'json', '{}', authorization)
        const made = await exchange(() => opened(round.port), 8, 10_000, {
          next: () => (left-- > 0 ? request : undefined),
        })
        target.users = made.answers.map(({ body }) => JSON.parse(body).id as string)
      }
      const requests = target.users.map(user_id =>
        post('/v1/actor_tokens', 'json', JSON.stringify({ user_id, ...ACTOR_TOKEN }), authorization),
      )
      return {
        next: () => requests[turn++ % requests.length],
        finish: answers => {
          for (const { body } of answers) target.tickets.push(JSON.parse(body).token)
        },
      }
    }
    case 'redeem':
      return {
        next: () => {
          const ticket = target.tickets.pop()
          if (ticket === undefined) return undefined
          return post('/v1/client/sign_ins', 'x-www-form-urlencoded', `strategy=ticket&ticket=${ticket}`)
        },
        finish: answers => {
          for (const { head, body } of answers) {
            const cookie = clientCookieOf(head)
            const { response } = JSON.parse(body)
            if (cookie === undefined || response.status !== 'complete') throw new Error(`not redeemed: ${body}`)
            if (target.sessions.length < SESSIONS) target.sessions.push({ id: response.created_session_id, cookie })
          }
        },
      }
    case 'mint': {
      if (target.sessions.length === 0) throw new Error('nothing to mint for: redeem first')
      const requests = target.sessions.map(({ id, cookie }) =>
        post(`/v1/client/sessions/${id}/tokens`, 'x-www-form-urlencoded', '', `Cookie: ${cookie}\r\n`),
      )
      return {
        next: () => requests[turn++ % requests.length],
        finish: answers => verifySample(round, target, answers),
      }
    }
    case 'list': {
      const request = get('/v1/actor_tokens?status=pending&limit=20', authorization)
      return {
        next: () => request,
        finish: answers => {
          const length = JSON.parse(answers.at(-1)?.body ?? '[]').length
          if (length !== 20) throw new Error(`a list of ${length}, not 20`)
        },
      }
    }
    case 'impersonate': {
      const headers = `Cookie: ${round.cookie}\r\nOrigin: http://127.0.0.1\r\n`
      const requests = (round.users ?? []).map(userId =>
        post('/api/auth/admin/impersonate-user', 'json', JSON.stringify({ userId }), headers),
      )
      return {
        next: () => requests[turn++ % requests.length],
        finish: answers => {
          const tokens = answers.map(({ body }) => JSON.parse(body).session.token)
          if (new Set(tokens).size !== tokens.length) throw new Error('two sessions are the same')
        },
      }
    }
    case 'exchange':
      return exchangeJob(round)
    case 'requests': {
      const { requests = [], member = '' } = round
      return {
        next: () => requests[turn++ % requests.length],
        finish: answers => {
          for (const { body } of answers.slice(-VERIFIED))
            if (typeof JSON.parse(body)[member] !== 'string') throw new Error(`an answer without ${member}: ${body}`)
        },
      }
    }
    case 'constant':
    case 'bare': {
      const body = round.path === '/create' ? JSON.stringify({ user_id: 'user_2abc', ...ACTOR_TOKEN }) : ''
      const request = post(round.path ?? '/constant', 'json', body)
      return { next: () => request }
    }
  }
}

/** Token exchanges at oidc-provider. */
function exchangeJob(round: Round): Job {
  let turn = 0
  const requests = (round.subjects ?? []).map(subject => {
    const form = new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      client_id: 'olivia',
      client_secret: 'olivia, only for a measurement',
      subject_token: subject,
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      ...(round.alg === 'ES256' ? { resource: 'https://api.example.com/es256' } : {}),
    })
    return post('/token', 'x-www-form-urlencoded', form.toString())
  })
  return {
    next: () => requests[turn++ % requests.length],
    finish: answers => {
      for (const { body } of answers.slice(-VERIFIED)) {
        const token = JSON.parse(body).access_token as string
        const [header, claims] = token.split('.').map(part => Buffer.from(part, 'base64url').toString())
        if (JSON.parse(header ?? '').alg !== round.alg || JSON.parse(claims ?? '').act?.sub !== 'olivia')
          throw new Error(`a wrong token: ${token}`)
      }
    },
  }
}

/** Checks that the tokens are signed with the published key, name the actor, and are all different. */
async function verifySample({ port, alg }: Round, target: Target, answers: Answer[]): Promise<void> {
  const tokens = answers.slice(-VERIFIED).map(({ body }) => JSON.parse(body).jwt as string)
  if (new Set(tokens).size !== tokens.length) throw new Error('two session tokens are the same')
  const { keys } = (await (await fetch(`http://127.0.0.1:${port}/.well-known/jwks.json`)).json()) as {
    keys: JsonWebKey[]
  }
  for (const token of tokens) {
    const [header = '', payload = '', signature = ''] = token.split('.')
    const { kid, alg: signedWith } = JSON.parse(Buffer.from(header, 'base64url').toString())
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
    const key = createPublicKey({ key: keys.find(it => it.kid === kid) as JsonWebKey, format: 'jwk' })
    const signed = Buffer.from(`${header}.${payload}`)
    const hash = alg === 'EdDSA' ? null : 'sha256'
    const good = verify(hash, signed, { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url'))
    if (!good || signedWith !== alg || claims.act?.sub !== ACTOR_TOKEN.actor.sub)
      throw new Error(`a wrong token: ${token}`)
  }
  target.sampleToken = tokens[0] ?? ''
}

interface Exchanged {
  answers: Answer[]
  latencies: number[]
  elapsed: number
  wrong: number
  example?: string
}

/** Sends requests on all connections until the job has no more or the time has passed. */
async function exchange(
  connect: () => Promise<Socket>,
  connections: number,
  milliseconds: number,
  job: Job,
): Promise<Exchanged> {
  const sockets = await Promise.all(Array.from({ length: connections }, connect))
  const result: Exchanged = { answers: [], latencies: [], elapsed: 0, wrong: 0 }
  const start = performance.now()
  const deadline = start + milliseconds
  await Promise.all(sockets.map(socket => converse(socket, job, deadline, result)))
  result.elapsed = performance.now() - start
  for (const socket of sockets) socket.destroy()
  return result
}

function converse(socket: Socket, job: Job, deadline: number, result: Exchanged): Promise<void> {
  return new Promise((resolve, reject) => {
    let received = ''
    let sent = 0
    const send = () => {
      const now = performance.now()
      const request = now < deadline ? job.next() : undefined
      if (request === undefined) return resolve()
      sent = now
      socket.write(request, 'latin1')
    }
    socket.setTimeout(20_000, () => reject(new Error('no answer for 20 s')))
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the server closed a connection')))
    socket.setEncoding('latin1')
    socket.on('data', (chunk: string) => {
      received = received === '' ? chunk : received + chunk
      let found: ReturnType<typeof answerIn>
      try {
        found = answerIn(received)
      } catch (error) {
        return reject(error)
      }
      if (found === undefined) return
      result.latencies.push(performance.now() - sent)
      if (found.answer.status === 200 && received.length === found.end) result.answers.push(found.answer)
      else {
        result.wrong++
        result.example ??= received
      }
      received = ''
      send()
    })
    send()
  })
}

answer(async (question: Round | { sampleOf: number }): Promise<Measured | string> => {
  if ('sampleOf' in question) return targets.get(question.sampleOf)?.sampleToken ?? ''
  const { port, origin, seconds, connections } = question
  const connect = () => (origin === undefined ? opened(port) : openedTo(origin))
  const target = targets.get(port) ?? new Target()
  targets.set(port, target)
  const job = await jobOf(question, target)
  const { answers, latencies, elapsed, wrong, example } = await exchange(connect, connections, seconds * 1_000, job)
  await job.finish?.(answers)
  latencies.sort((a, b) => a - b)
  const percentile = (part: number) => latencies[Math.floor(latencies.length * part)] ?? Number.NaN
  return {
    rate: (answers.length * 1_000) / elapsed,
    p50: percentile(0.5),
    p99: percentile(0.99),
    answers: answers.length,
    wrong,
    ...(example === undefined ? {} : { example }),
  }
})
